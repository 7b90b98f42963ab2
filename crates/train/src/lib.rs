//! Graphs to networks on burn: features, training, decoding, scoring. The only crate that knows tensors.
