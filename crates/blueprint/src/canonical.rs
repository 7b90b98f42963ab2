//! Canonical form and hash: designs that build and train the same network hash alike.

use crate::language::{
    Between, Block, Blueprint, Branch, Decoder, Merge, Parallel, Repeated, Residual, ResidualTag, Shortcut,
    Source,
};
use sha2::{Digest, Sha256};

/// The canonical form: spellings of one thing are rewritten to one spelling.
///
/// Repeated bodies are written out. Branches that are added, gated or not, stand in the order of their written form, as addition
/// commutes; so do two backbones that are cut alike. Defaults that are written out need no care: the written form leaves them out.
pub fn canonical(blueprint: &Blueprint) -> Blueprint {
    let mut form = blueprint.clone();
    form.encoder.blocks = form.encoder.blocks.into_iter().flat_map(written_out).collect();
    for block in &mut form.encoder.blocks {
        if let Block::Parallel(parallel) = block {
            sort_branches(parallel);
        }
    }
    if let Source::Pretrained { backbone, cut, cuts, beside: Some(beside), .. } = &mut form.encoder.source
        && cuts.0 == 1
        && *cut == beside.cut
        && *backbone > beside.backbone
    {
        std::mem::swap(backbone, &mut beside.backbone);
    }
    // One layer has nothing below it to join.
    if let Decoder::Recurrent { layers, between, .. } = &mut form.decoder
        && layers.0 == 1
    {
        *between = Between::Plain;
    }
    form
}

fn written_out(block: Block) -> Vec<Block> {
    match block {
        Block::Repeat(Repeated { times, shortcut, body, .. }) => {
            let once = match shortcut {
                Shortcut::None => body.into_iter().map(Block::Leaf).collect(),
                Shortcut::Residual => vec![Block::Residual(Residual { op: ResidualTag::Residual, body })],
            };
            std::iter::repeat_n(once, times.0 as usize).flatten().collect()
        }
        block => vec![block],
    }
}

fn sort_branches(parallel: &mut Parallel) {
    if matches!(parallel.merge, Merge::Add | Merge::Gated) {
        parallel.branches.sort_by_key(|branch: &Branch| serde_json::to_string(branch).unwrap_or_default());
    }
}

/// sha256 of the canonical form, in hex.
pub fn hash(blueprint: &Blueprint) -> String {
    let text = serde_json::to_string(&canonical(blueprint)).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
