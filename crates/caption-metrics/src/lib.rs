//! Caption metrics over strings: tokenizer and corpus BLEU as the COCO evaluation computes it.
