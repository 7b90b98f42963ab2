//! Canonical form and hash: designs that build and train the same network hash alike.

use crate::language::{Block, Blueprint, Branch, Merge, Parallel};
use sha2::{Digest, Sha256};

/// The canonical form: spellings of one thing are rewritten to one spelling.
///
/// Branches that are added stand in the order of their written form, as addition commutes.
pub fn canonical(blueprint: &Blueprint) -> Blueprint {
    let mut form = blueprint.clone();
    for block in &mut form.encoder.blocks {
        if let Block::Parallel(parallel) = block {
            sort_branches(parallel);
        }
    }
    form
}

fn sort_branches(parallel: &mut Parallel) {
    if parallel.merge == Merge::Add {
        parallel.branches.sort_by_key(|branch: &Branch| serde_json::to_string(branch).unwrap_or_default());
    }
}

/// sha256 of the canonical form, in hex.
pub fn hash(blueprint: &Blueprint) -> String {
    let text = serde_json::to_string(&canonical(blueprint)).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
