//! Budgets and allowed components of a study, and the checks against them.

use serde::{Deserialize, Serialize};

/// How captions are decoded: fixed for a study, so that scores compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoding {
    /// Beam width; 1 is greedy.
    pub beam: usize,
    /// Longest caption in words.
    pub max_words: usize,
}
