//! A design in a few words.

use capwright_blueprint::Blueprint;
use capwright_blueprint::language::{
    Attention, Block, Cell, Decoder, ImageMode, Leaf, Memory, Merge, Shortcut, Source, StageKind, Tune,
};

/// A design in a few words: `mobilenet_v2@s32 224px + se → lstm 512 dot`.
pub fn describe(blueprint: &Blueprint) -> String {
    let encoder = &blueprint.encoder;
    let mut text = format!("{} {}px", source(&encoder.source), encoder.input.0);
    for block in &encoder.blocks {
        text.push_str(" + ");
        text.push_str(&self::block(block));
    }
    format!("{text} → {}", decoder(blueprint))
}

fn source(source: &Source) -> String {
    match source {
        Source::Pretrained { backbone, cut, cuts, tune, beside } => {
            let tuned = match tune {
                Tune::Frozen => "",
                Tune::LastStage => " tuned last stage",
                Tune::All => " tuned",
                Tune::LastStageWithStatistics => " tuned last stage, norms too",
                Tune::AllWithStatistics => " tuned, norms too",
            };
            let second = beside.iter().map(|b| format!(" & {}@{}", b.backbone, b.cut));
            let second: String = second.collect();
            format!("{backbone}@{}{}{tuned}{second}", cut, times(cuts.0))
        }
        Source::Scratch { stem, stages } => {
            let mut text = format!("scratch[{}", stem.0);
            for stage in stages {
                let kind = match stage.kind {
                    StageKind::Conv => "conv",
                    StageKind::Separable => "sep",
                    StageKind::InvertedResidual => "inv",
                    StageKind::Basic => "basic",
                };
                text.push_str(&format!(" {kind}{}{}", stage.out.0, times(stage.repeat.0)));
            }
            text + "]"
        }
    }
}

fn block(block: &Block) -> String {
    let join = |leaves: &[Leaf], by: &str| leaves.iter().map(Leaf::brief).collect::<Vec<_>>().join(by);
    match block {
        Block::Leaf(one) => one.brief(),
        Block::Residual(residual) => format!("res({})", join(&residual.body, " ")),
        Block::Repeat(repeat) => {
            let shortcut = match repeat.shortcut {
                Shortcut::None => "",
                Shortcut::Residual => "res",
            };
            format!("{}×{shortcut}({})", repeat.times.0, join(&repeat.body, " "))
        }
        Block::Parallel(parallel) => {
            let branches: Vec<String> = parallel.branches.iter().map(|b| join(&b.0, " ")).collect();
            let name = match parallel.merge {
                Merge::Add => "add",
                Merge::Concat => "cat",
                Merge::Gated => "gated",
            };
            format!("{name}({})", branches.join(" | "))
        }
    }
}

fn decoder(blueprint: &Blueprint) -> String {
    match &blueprint.decoder {
        Decoder::Recurrent { cell, hidden, layers, image, attention, .. } => {
            let cell = match cell {
                Cell::Lstm => "lstm",
                Cell::Gru => "gru",
            };
            // With attention, how the image enters first is a detail; without, it is the whole story.
            let looks = match (attention, image) {
                (Attention::Additive, _) => "additive",
                (Attention::Dot, _) => "dot",
                (Attention::MultiHead, _) => "heads",
                (Attention::Adaptive, _) => "adaptive",
                (Attention::None, ImageMode::InitialState) => "init",
                (Attention::None, ImageMode::FirstToken) => "first",
                (Attention::None, ImageMode::EveryStep) => "every",
            };
            format!("{cell} {}{} {looks}", hidden.0, times(layers.0))
        }
        Decoder::TopDown { hidden, .. } => format!("top-down {}", hidden.0),
        Decoder::Convolution { memory, dim, layers, kernel, .. } => {
            let attending = if *memory == Memory::Grid { " grid" } else { "" };
            format!("conv {}{} kernel {}{attending}", dim.0, times(layers.0), kernel.0)
        }
        Decoder::Transformer { memory, dim, layers, heads, .. } => {
            let global = if *memory == Memory::Global { " global" } else { "" };
            format!("transformer {}{} {}h{global}", dim.0, times(layers.0), heads.0)
        }
    }
}

/// `×2`, or nothing for one.
fn times(count: u32) -> String {
    if count == 1 { String::new() } else { format!("×{count}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::blueprint;

    #[test]
    fn designs_in_a_few_words() {
        let mut design = blueprint("mobilenet_v2");
        assert_eq!(describe(&design), "mobilenet_v2@s32 224px → lstm 512 dot");
        design.encoder.blocks = serde_json::from_str(
            r#"[{"op":"residual","body":[{"op":"se","reduction":4}]},{"op":"parallel","merge":"concat","branches":
               [[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"}],[{"op":"pool","kind":"max"}]]}]"#,
        )
        .expect("blocks");
        design.encoder.source = serde_json::from_str(
            r#"{"kind":"scratch","stem":16,"stages":[{"kind":"separable","out":32,"repeat":2}]}"#,
        )
        .expect("a source");
        design.decoder = serde_json::from_str(
            r#"{"family":"transformer","memory":"grid","dim":256,"layers":3,"heads":8,"ff":2,"dropout_pct":10}"#,
        )
        .expect("a decoder");
        assert_eq!(
            describe(&design),
            "scratch[16 sep32×2] 224px + res(se) + cat(conv64k1 | maxpool) → transformer 256×3 8h"
        );
    }
}
