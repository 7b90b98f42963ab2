//! What the cheapest designs of a contract are made of: every choice of words, with the smallest numbers that go together.
//!
//! Within one choice of source, image size, blocks, decoder and words, every cost grows with every width. So the smallest
//! widths are cheapest in all costs at once, and only the choices of words have to be tried. Where widths depend on each
//! other (heads divide a Transformer's width, tied embeddings are as wide as what the vocabulary layer reads), those that
//! go together are tried of which none is below another. A recipe costs nothing: one that is allowed is enough.
//!
//! Blocks that nobody asks for are tried where they make cheaper what follows: a pool to one cell, and a convolution to the
//! fewest channels. That has one group, so that it reads every source; with more it would have a few thousand values less.

use crate::spelling::spellings;
use crate::words::Worded;
use crate::{Contract, Family, Range, words};
use capwright_blueprint::language::{
    Attention, Beside, Block, Bridge, Channels, Cut, Cuts, Decoder, Embeddings, Encoder, Heads, ImageSize,
    Leaf, LearningRate, Memory, OptimizerKind, Places, Queries, Recipe, Repeat, Scales, Source, Stage,
    StageKind, Tune, Width,
};
use capwright_blueprint::{Blueprint, Shape, Zoo, schema};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What stands behind an encoder.
pub(crate) type Behind = (Bridge, Decoder);

/// Parts that keep the contract's words and ranges, whichever are put together.
pub(crate) struct Candidates {
    pub(crate) encoders: Vec<Encoder>,
    pub(crate) behind: Vec<Behind>,
    recipe: Recipe,
}

impl Candidates {
    /// `None` where no choice of words keeps the contract.
    pub(crate) fn of(contract: &Contract, zoo: &dyn Zoo) -> Option<Self> {
        let mut wanted: Vec<&str> = contract.components.required.iter().map(String::as_str).collect();
        let encoders = having(encoders(contract, zoo), contract, &mut wanted);
        let behind = having(behind(contract), contract, &mut wanted);
        let recipe = having(recipes(contract), contract, &mut wanted).into_iter().next()?;
        wanted.is_empty().then_some(Self { encoders, behind, recipe })
    }

    /// A whole design.
    pub(crate) fn design(&self, encoder: &Encoder, (bridge, decoder): &Behind) -> Blueprint {
        Blueprint {
            encoder: encoder.clone(),
            bridge: bridge.clone(),
            decoder: decoder.clone(),
            recipe: self.recipe.clone(),
        }
    }
}

/// Parts with their words, without those that have a forbidden one.
fn allowed<T: Worded>(all: impl IntoIterator<Item = T>, contract: &Contract) -> Vec<(T, BTreeSet<String>)> {
    let forbidden = &contract.components.forbidden;
    let worded = all.into_iter().map(|part| {
        let said = part.said();
        (part, said)
    });
    worded.filter(|(_, said)| !forbidden.iter().any(|word| words::has(said, word))).collect()
}

/// Those that are allowed and have, of the words still wanted, each that any of them has; that is wanted no longer.
fn having<T: Worded>(all: Vec<T>, contract: &Contract, wanted: &mut Vec<&str>) -> Vec<T> {
    let mut all = allowed(all, contract);
    let here = |word: &&str| all.iter().any(|(_, said)| words::has(said, word));
    let (here, others): (Vec<&str>, Vec<&str>) = wanted.iter().copied().partition(here);
    *wanted = others;
    all.retain(|(_, said)| here.iter().all(|word| words::has(said, word)));
    all.into_iter().map(|(part, _)| part).collect()
}

fn typed<T: DeserializeOwned>(values: Vec<Value>) -> impl Iterator<Item = T> {
    values.into_iter().filter_map(|value| serde_json::from_value(value).ok())
}

fn range(contract: &Contract, field: &str) -> Range {
    contract.ranges.get(field).copied().unwrap_or_default()
}

/// The smallest number of a menu that the range of its field holds.
fn least(contract: &Contract, field: &str, menu: &[Value]) -> Option<Value> {
    let range = range(contract, field);
    menu.iter().find(|value| value.as_f64().is_some_and(|x| range.holds(x))).cloned()
}

/// Encoders to try.
fn encoders(contract: &Contract, zoo: &dyn Zoo) -> Vec<Encoder> {
    let rule = &schema::language()["properties"]["encoder"]["properties"]["blocks"];
    let most = rule["maxItems"].as_u64().unwrap_or(u64::MAX) as usize;
    let blocks = blocks(contract, &rule["items"]);
    // The cheapest blocks may be so many that no pool finds room before them.
    let mut covers = vec![demanded(contract, &blocks, false), demanded(contract, &blocks, true)];
    covers.dedup();
    let leaf = |is: fn(&Leaf) -> bool| {
        blocks.iter().map(|(block, _)| block).find(|block| matches!(block, Block::Leaf(leaf) if is(leaf)))
    };
    let pooled = leaf(|leaf| matches!(leaf, Leaf::AdaptivePool(_)));
    let narrow = leaf(|leaf| matches!(leaf, Leaf::Conv(_)));
    let mut stacks: Vec<Vec<Block>> = Vec::new();
    for ahead in [vec![], vec![pooled], vec![narrow], vec![pooled, narrow]] {
        // A block that is forbidden stands in no stack.
        let Some(ahead) = ahead.into_iter().collect::<Option<Vec<&Block>>>() else { continue };
        let stack = |cover: &Vec<Block>| ahead.iter().copied().chain(cover).cloned().collect::<Vec<Block>>();
        stacks.extend(covers.iter().map(stack).filter(|stack| stack.len() <= most));
    }
    let sizes = contract.components.image_sizes.as_slice();
    let sizes = if sizes.is_empty() { ImageSize::CHOICES } else { sizes };
    let mut found = Vec::new();
    for source in sources(contract, zoo) {
        for size in sizes {
            let encoder = |blocks: &Vec<Block>| Encoder {
                input: ImageSize(*size),
                source: source.clone(),
                blocks: blocks.clone(),
            };
            found.extend(stacks.iter().map(encoder));
        }
    }
    found
}

/// Sources to try: a second backbone, and more than a frozen one, where the contract requires them.
fn sources(contract: &Contract, zoo: &dyn Zoo) -> Vec<Source> {
    let parts = &contract.components;
    let mut names = match &parts.backbones {
        Some(names) => names.clone(),
        None => [zoo.usual(), parts.required.clone()].concat(),
    };
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let tunes = tunes(contract);
    // A required part that is no backbone has no cuts.
    let seconds: Vec<(&String, Vec<Cut>)> =
        parts.required.iter().filter_map(|word| Some((word, zoo.cuts(word)?))).collect();
    let mut found = Vec::new();
    for name in &names {
        for cut in zoo.cuts(name).unwrap_or_default() {
            let source = |tune, beside| {
                let (backbone, cuts) = (name.clone(), Cuts::default());
                Source::Pretrained { backbone, cut, cuts, tune, beside }
            };
            found.extend(tunes.iter().map(|tune| source(*tune, None)));
            for (second, cuts) in seconds.iter().filter(|(second, _)| *second != name) {
                let finer = cuts.iter().filter(|finer| **finer <= cut);
                let beside = finer.map(|finer| Beside { backbone: (*second).clone(), cut: *finer });
                found.extend(beside.map(|beside| source(Tune::Frozen, Some(beside))));
            }
        }
    }
    if parts.scratch {
        let narrowest = Channels(Channels::CHOICES[0]);
        for kind in [StageKind::Conv, StageKind::Separable, StageKind::InvertedResidual, StageKind::Basic] {
            let stage = Stage { kind, out: narrowest, repeat: Repeat(1) };
            found.extend(
                (1..=5).map(|depth| Source::Scratch { stem: narrowest, stages: vec![stage.clone(); depth] }),
            );
        }
    }
    found
}

/// How much of a backbone is trained: what is trained costs most, and is tried where it is asked for or all that is allowed.
fn tunes(contract: &Contract) -> Vec<Tune> {
    let parts = &contract.components;
    let tune = |word: &String| serde_json::from_value(word.as_str().into()).ok();
    if parts.forbidden.iter().filter_map(tune).any(|tune: Tune| tune == Tune::Frozen) {
        return vec![Tune::LastStage, Tune::All, Tune::LastStageWithStatistics, Tune::AllWithStatistics];
    }
    let asked = parts.required.iter().filter_map(tune).filter(|tune| *tune != Tune::Frozen);
    std::iter::once(Tune::Frozen).chain(asked).collect()
}

/// Every choice of words of a block that the contract allows, with the words.
fn blocks(contract: &Contract, rule: &Value) -> Vec<(Block, BTreeSet<String>)> {
    // The middle of a gate is the narrower the more it is reduced.
    let number = |field: &str, menu: &[Value]| {
        let cheapest = if field == "reduction" { menu.last() } else { menu.first() };
        cheapest.cloned()
    };
    allowed(typed::<Block>(spellings("blocks", rule, &number)), contract)
}

/// Blocks that have every required word that blocks can have: one after the other the cheapest and plainest that has any of
/// those left, or with `few` one that has the most of them.
fn demanded(contract: &Contract, blocks: &[(Block, BTreeSet<String>)], few: bool) -> Vec<Block> {
    let mut left: Vec<&str> = contract.components.required.iter().map(String::as_str).collect();
    let mut chosen = Vec::new();
    loop {
        let ranked = blocks.iter().filter_map(|(block, said)| {
            let new = left.iter().filter(|word| said.contains(**word)).count();
            // What fits no small map fits none of the smallest designs.
            let cost = (new > 0).then(|| block.alone(Shape::new(8, 4, 4)).ok())??.totals();
            let most = if few { new } else { 0 };
            Some(((Reverse(most), cost.parameters, cost.macs, Reverse(new), said.len()), block, said))
        });
        let Some((_, block, said)) = ranked.min_by_key(|(rank, ..)| *rank) else { return chosen };
        chosen.push(block.clone());
        left.retain(|word| !said.contains(*word));
    }
}

/// Bridges and decoders to try: every choice of words, numbers the smallest that the ranges allow.
fn behind(contract: &Contract) -> Vec<Behind> {
    let sections = &schema::language()["properties"];
    let number = |field: &str, menu: &[Value]| least(contract, field, menu);
    let parts = &contract.components;
    // These only add to a memory, a cell or a layer, and are tried where they are asked for or what a field is without them is
    // forbidden.
    let asked = |part: &Value, additions: &[(&str, &str)]| {
        let is_in = |list: &[String], word: &str| list.iter().any(|other| other == word);
        additions.iter().all(|(field, plain)| {
            let word = part[*field].as_str();
            word.is_none_or(|word| is_in(&parts.required, word) || is_in(&parts.forbidden, plain))
        })
    };
    let spelled = |section: &str, additions: &[(&str, &str)]| {
        let mut all = spellings(section, &sections[section], &number);
        all.retain(|part| asked(part, additions));
        all
    };
    let mut bridges: Vec<Bridge> =
        typed(spelled("bridge", &[("positions", "none"), ("scales", "cells")])).collect();
    let gathered =
        Queries::CHOICES.iter().find(|n| **n > 0 && range(contract, "queries").holds(f64::from(**n)));
    if let Some(queries) = gathered.map(|n| Queries(*n)) {
        bridges.extend(bridges.clone().into_iter().map(|bridge| Bridge { queries, ..bridge }));
    }
    let plain = |bridge: &Bridge| {
        let (places, scales) = (Places::default(), Scales::default());
        bridge.positions == places && bridge.scales == scales && bridge.queries.0 == 0
    };
    let mut found = Vec::new();
    let additions = [("rnn_norm", "none"), ("between", "plain"), ("ff_kind", "gelu")];
    for decoder in typed::<Decoder>(spelled("decoder", &additions)) {
        if !parts.families.contains(&Family::of_decoder(&decoder)) {
            continue;
        }
        for (dim, decoder) in at_widths(contract, decoder) {
            // One token has neither places nor scales, unless it is the mean of what a resampler made of all cells.
            let (memory, recurrent) = (decoder.memory(), matches!(decoder, Decoder::Recurrent { .. }));
            let fitting = bridges.iter().filter(|bridge| {
                memory == Memory::Grid || plain(bridge) || (recurrent && bridge.queries.0 > 0)
            });
            found.extend(fitting.map(|bridge| (Bridge { dim, ..bridge.clone() }, decoder.clone())));
        }
    }
    found
}

/// A decoder at its smallest widths, each time with the memory's.
fn at_widths(contract: &Contract, mut decoder: Decoder) -> Vec<(Width, Decoder)> {
    let within = |field: &str, menu: &[u32]| -> Vec<u32> {
        let range = range(contract, field);
        menu.iter().copied().filter(|value| range.holds(f64::from(*value))).collect()
    };
    let widths = |field: &str| within(field, Width::CHOICES);
    let dims = widths("dim");
    let joined = match &decoder {
        Decoder::Recurrent { embeddings: Embeddings::Tied, attention, .. } => {
            Some(*attention != Attention::None)
        }
        Decoder::TopDown { embeddings: Embeddings::Tied, .. } => Some(false),
        _ => None,
    };
    if let Some(context) = joined {
        let all = tied(&dims, &widths("hidden"), &widths("embed"), context).into_iter();
        return all.map(|[dim, state, read]| (Width(dim), resized(&decoder, state, read))).collect();
    }
    if let Decoder::Transformer { dim, heads, .. } = &mut decoder {
        let menu = within("heads", Heads::CHOICES);
        // Any number of heads costs the same.
        let divided =
            dims.iter().find_map(|dim| Some((*dim, *menu.iter().find(|heads| dim.is_multiple_of(**heads))?)));
        let Some((width, count)) = divided else { return Vec::new() };
        (*dim, *heads) = (Width(width), Heads(count));
    }
    dims.first().map(|dim| (Width(*dim), decoder)).into_iter().collect()
}

/// Widths of memory, state and tied embeddings that go together, none of which is below another. Embeddings are as wide as
/// the state, or with `context` as state and memory.
fn tied(dims: &[u32], hiddens: &[u32], embeds: &[u32], context: bool) -> Vec<[u32; 3]> {
    let mut found: Vec<[u32; 3]> = Vec::new();
    for dim in dims {
        let read = |hidden: u32| if context { hidden + dim } else { hidden };
        let fits = hiddens.iter().copied().find(|hidden| embeds.contains(&read(*hidden)));
        // A wider memory is worth a narrower state alone.
        let narrower = |hidden: &u32| found.last().is_none_or(|[_, least, _]| hidden < least);
        if let Some(hidden) = fits.filter(narrower) {
            found.push([*dim, hidden, read(hidden)]);
        }
    }
    found
}

/// A recurrent decoder with other widths.
fn resized(decoder: &Decoder, state: u32, read: u32) -> Decoder {
    let mut decoder = decoder.clone();
    if let Decoder::Recurrent { embed, hidden, .. } | Decoder::TopDown { embed, hidden, .. } = &mut decoder {
        (*embed, *hidden) = (Width(read), Width(state));
    }
    decoder
}

/// Recipes to try: every choice of words that goes with the learning rate. Numbers that may be left out are written where
/// a range is said of them, since their defaults count too.
fn recipes(contract: &Contract) -> Vec<Recipe> {
    let rule = &schema::language()["properties"]["recipe"];
    let mut said = serde_json::Map::new();
    for field in contract.ranges.keys() {
        let Some(menu) = schema::choices(&rule["properties"][field]) else { continue };
        let Some(value) = least(contract, field, &menu) else { return Vec::new() };
        said.insert(field.clone(), value);
    }
    let mut all = spellings("recipe", rule, &|field: &str, menu: &[Value]| least(contract, field, menu));
    for recipe in all.iter_mut().filter_map(Value::as_object_mut) {
        recipe.extend(said.clone());
    }
    let fits = |recipe: &Recipe| {
        recipe.lr.0 <= LearningRate::ADAPTIVE_MOST || recipe.optimizer == OptimizerKind::Sgd
    };
    typed::<Recipe>(all).filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(toml: &str) -> Contract {
        Contract::from_toml(&format!("version = 1\n{toml}")).expect("a contract")
    }

    #[test]
    fn tied_widths_go_together_and_none_is_below_another() {
        let all = Width::CHOICES;
        assert_eq!(tied(all, all, all, true), vec![[64, 64, 128]]);
        assert_eq!(tied(all, &[96, 128, 192], all, true), vec![[64, 128, 192], [96, 96, 192]]);
        assert_eq!(tied(all, &[256], all, false), vec![[64, 256, 256]]);
        assert!(tied(all, &[256], &[64, 96, 128], true).is_empty());
    }

    #[test]
    fn a_transformer_is_as_wide_as_its_heads_need() {
        let widths = |toml: &str| -> BTreeSet<(u32, u32)> {
            let all = behind(&contract(toml)).into_iter();
            let of = |(_, decoder): Behind| match decoder {
                Decoder::Transformer { dim, heads, .. } => Some((dim.0, heads.0)),
                _ => None,
            };
            all.filter_map(of).collect()
        };
        assert_eq!(widths(""), BTreeSet::from([(64, 1)]));
        assert_eq!(widths("ranges.heads = { min = 6, max = 6 }"), BTreeSet::from([(96, 6)]));
        assert_eq!(widths("ranges.heads = { min = 6 }"), BTreeSet::from([(64, 8)]));
        assert!(widths("ranges.heads = { min = 6, max = 6 }\nranges.dim = { max = 64 }").is_empty());
    }

    #[test]
    fn recipes_have_what_ranges_ask_for_and_suit_their_rate() {
        let plain = recipes(&contract(""));
        assert_eq!((plain[0].optimizer, plain[0].ema.0), (OptimizerKind::Adamw, 0.0));
        let slow = recipes(&contract("ranges.ema = { min = 0.99 }\nranges.warmup_pct = { max = 1 }"));
        assert!(slow.iter().all(|recipe| recipe.ema.0 == 0.99 && recipe.warmup_pct.0 == 0));
        assert_eq!(slow.len(), plain.len());
        let fast = recipes(&contract("ranges.lr = { min = 0.005 }"));
        assert!(!fast.is_empty() && fast.iter().all(|recipe| recipe.optimizer == OptimizerKind::Sgd));
    }

    #[test]
    fn demanded_blocks_are_cheap_or_few() {
        let rule = &schema::language()["properties"]["encoder"]["properties"]["blocks"]["items"];
        let ops = |words: &str, few: bool| -> Vec<String> {
            let contract = contract(&format!("components.required = [{words}]"));
            let demanded = demanded(&contract, &blocks(&contract, rule), few);
            let op =
                |block: &Block| serde_json::to_value(block).expect("JSON")["op"].as_str().map(str::to_owned);
            demanded.iter().filter_map(op).collect()
        };
        for few in [false, true] {
            assert_eq!(ops("\"cbam\", \"attention\"", few), ["cbam"]);
            assert_eq!(ops("\"gelu\"", few), ["act"]);
        }
        let several = "\"conv\", \"gelu\", \"layer\", \"residual\", \"cbam\"";
        assert_eq!(ops(several, false), ["residual", "norm", "conv", "cbam"]);
        assert_eq!(ops(several, true), ["residual", "cbam"]);
    }
}
