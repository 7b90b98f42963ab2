//! Bounds of a part of a captioner, or of all but one: no clause has them.

use super::Sentence;
use super::backbones::BACKBONES;
use super::lexicon::{Name, Sense};
use super::target::{Phrase, Target};
use super::tokens::Kind;
use crate::Clause;

/// A part of a captioner beside a phrase, which its number may be about.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The phrase with the part.
    pub from: usize,
    pub to: usize,
    /// Whether a name stands before it, as in "an LSTM decoder under 5 M parameters": that may be the captioner.
    pub named: bool,
}

/// The encoder or decoder beside a phrase about a cost: "decoder parameters under 2M", "2M parameters in the decoder",
/// "5M parameters without the backbone".
pub(super) fn part(s: &Sentence<'_>, target: Target, phrase: &Phrase) -> Option<Part> {
    use Clause::{MacsImage, MacsToken, ParamsTotal, ParamsTrainable, WeightBytes};
    let costs = [ParamsTotal, ParamsTrainable, MacsImage, MacsToken, WeightBytes];
    if !costs.iter().any(|cost| target == Target::Clause(*cost)) {
        return None;
    }
    if let Some(to) = left_out_behind(s, phrase.to) {
        return Some(Part { from: phrase.from, to, named: false });
    }
    if let Some(from) = left_out_before(s, phrase.from) {
        return Some(Part { from, to: phrase.to, named: false });
    }
    let after = s.past_joins(phrase.to);
    if is_part(s, after) {
        return Some(Part { from: phrase.from, to: after + 1, named: false });
    }
    let joins = |i: &usize| s.sense(*i) == Some(Sense::Join);
    let before = (0..phrase.from).rev().find(|i| !joins(i)).filter(|i| is_part(s, *i) && !s.used[*i])?;
    let named = before.checked_sub(1).is_some_and(|i| matches!(s.sense(i), Some(Sense::Name(_))));
    Some(Part { from: if named { phrase.from } else { before }, to: phrase.to, named })
}

fn is_part(s: &Sentence<'_>, i: usize) -> bool {
    let plain =
        matches!(s.word(i), "decoder" | "decoders" | "encoder" | "encoders" | "backbone" | "backbones");
    plain || (s.sense(i) == Some(Sense::Encoder) && !s.word(i).is_ascii())
}

/// Words between "excluding" and the part: "excluding the frozen image encoder".
const MAX_BETWEEN: usize = 4;

/// Where the part ends that a phrase up to `at` is said to leave out: "…, not counting the backbone".
fn left_out_behind(s: &Sentence<'_>, at: usize) -> Option<usize> {
    let open = s.past_joins(at);
    let apart = matches!(s.word(open), "," | "(");
    let but = open + usize::from(apart);
    let (counted, mut i) = leaves_out(s, but)?;
    // ", excluding ResNet-18 backbones" and "without a pretrained encoder" say what may not be used, not what is not counted.
    let stands = |i: usize| match s.sense(i) {
        Some(Sense::Name(Name::Part(word))) => BACKBONES.contains(&word) && (counted || !apart),
        _ => between(s, i) && (counted || !matches!(s.word(i), "a" | "an" | "any")),
    };
    let stop = s.len().min(i + MAX_BETWEEN);
    while !is_part(s, i) {
        if i >= stop || !stands(i) || s.used[i] {
            return None;
        }
        i += 1;
    }
    Some(i + 1)
}

/// Where it begins that a phrase from `at` on leaves a part out: "excluding the backbone, …".
fn left_out_before(s: &Sentence<'_>, at: usize) -> Option<usize> {
    let says = |i: &usize| s.sense(*i) != Some(Sense::Join) && !matches!(s.word(*i), "," | "外" | "以");
    let part = (0..at).rev().find(says).filter(|i| is_part(s, *i) && !s.used[*i])?;
    (part.saturating_sub(MAX_BETWEEN)..part).rev().find_map(|but| {
        let (_, end) = leaves_out(s, but)?;
        let free = end <= part && (end..part).all(|i| between(s, i)) && (but..part).all(|i| !s.used[i]);
        free.then_some(but)
    })
}

fn between(s: &Sentence<'_>, i: usize) -> bool {
    matches!(s.sense(i), None | Some(Sense::Join)) && s.kind(i) == Kind::Word
}

/// Words that leave out what follows.
const LEAVE_OUT: &[&str] = &[
    "excluding",
    "exclude",
    "excludes",
    "without",
    "except",
    "except for",
    "apart from",
    "aside from",
    "besides",
    "outside",
    "不含",
    "不包括",
    "不包含",
    "除",
    "除了",
];

/// Whether "excluding", "not counting" and the like begin at `i`: whether a count is spoken of, and where they end.
fn leaves_out(s: &Sentence<'_>, i: usize) -> Option<(bool, usize)> {
    let leaves = LEAVE_OUT.contains(&s.word(i));
    let counting = matches!(s.word(i + 1), "counting" | "including" | "算" | "计");
    match s.word(i) {
        "not" | "不" if counting => Some((true, i + 2)),
        "not" if matches!(s.word(i + 1), "in" | "of") => Some((false, i + 2)),
        _ if leaves && counting => Some((true, i + 2)),
        _ => leaves.then_some((false, i + 1)),
    }
}
