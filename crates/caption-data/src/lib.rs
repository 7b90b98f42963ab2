//! Captioned image data sets: readers, splits, vocabulary, image pipeline, the built-in scenes set.
