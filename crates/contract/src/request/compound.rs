//! Numbers in several pieces: "1 h 30 min" and "1亿5000万" are read as one; of "1/2" and "1:30" no piece is read alone.

use super::Sentence;
use super::lexicon::{Dimension, Sense, Topic};
use super::number::Number;
use super::target::Phrase;
use crate::Clause;

pub(super) const MINUTE: u64 = 60_000_000;
const SECOND: u64 = 1_000_000;

/// The last piece of what "/" or ":" ties to the number at `at`, and whether all of it is written without blanks.
pub(super) fn tied(s: &Sentence<'_>, at: usize) -> (usize, bool) {
    let (mut last, mut close) = (at, true);
    while s.is_number(last + 2) {
        let touch = |a: usize, b: usize| s.lexemes[a].end == s.lexemes[b].start;
        let touches = touch(last, last + 1) && touch(last + 1, last + 2);
        match s.word(last + 1) {
            "/" | "⁄" | "÷" => close &= touches,
            ":" if touches => {}
            _ => break,
        }
        last += 2;
    }
    (last, close)
}

/// Reads what goes on behind a scale, as in "1 million 500 thousand", "1亿5000万" and "1万5000"; gives where it ends.
pub(super) fn scales(s: &Sentence<'_>, mut i: usize, phrase: &mut Phrase) -> usize {
    let Some(mut factor) = phrase.scale else { return i };
    loop {
        // "5 M 20 k tokens" is about two things; what is spelled out is not.
        let long = !s.word(i - 1).is_ascii() || s.word(i - 1).len() > 2;
        if !long || !s.is_number(i) || !s.adjacent(i - 1, i) {
            return i;
        }
        let (smaller, end) = match s.sense(i + 1) {
            Some(Sense::Scale(smaller)) if smaller < factor => (smaller, i + 2),
            Some(Sense::Scale(_)) => return i,
            _ if fills(s, i, factor) => (1, i + 1),
            _ => return i,
        };
        step(s, i, factor, smaller, phrase);
        (factor, i) = (smaller, end);
    }
}

/// Whether the digits at `i` are those that a Chinese scale right before them leaves open, as in "1万5000".
fn fills(s: &Sentence<'_>, i: usize, factor: u64) -> bool {
    let touches = s.lexemes[i - 1].end == s.lexemes[i].start;
    touches && !s.word(i - 1).is_ascii() && factor == 10u64.pow(s.word(i).len().min(19) as u32)
}

/// The unit of "2m" and "2分", which are minutes where seconds follow.
pub(super) fn minutes(s: &Sentence<'_>, i: usize) -> bool {
    let short = i < s.len() && matches!(s.text_of(i, i + 1), "m" | "分");
    short && s.is_number(i + 1) && time_unit(s, i + 2).is_some_and(|(unit, _)| unit == SECOND)
}

/// Reads what goes on behind a unit of time, as in "1 h 30 min", "2 minutes and 30 seconds"; gives where it ends.
pub(super) fn times(s: &Sentence<'_>, mut i: usize, phrase: &mut Phrase) -> usize {
    let Some((Dimension::Time, mut unit)) = phrase.unit else { return i };
    if time_unit(s, i - 1).is_none() && !minutes(s, i - 1) {
        return i;
    }
    loop {
        let and = usize::from(matches!(s.word(i), "and" | ","));
        let number = i + and;
        let Some((smaller, end)) = time_unit(s, number + 1).filter(|_| s.is_number(number)) else { break };
        let next = if unit > SECOND { unit / 60 } else { unit / 1_000 };
        if smaller >= unit || (and > 0 && smaller != next) || is_of_another(s, end) {
            break;
        }
        step(s, number, unit, smaller, phrase);
        phrase.unread |= phrase.scale.is_some() || phrase.upto.is_some();
        (unit, i) = (smaller, end);
    }
    let half = match s.word(i) {
        "半" => 1,
        "and" if s.word(i + 1) == "a" && s.word(i + 2) == "half" => 3,
        _ => 0,
    };
    phrase.unread |= half > 0;
    i + half
}

/// Adds the number at `i` in a smaller unit, or notes that it cannot be read.
fn step(s: &Sentence<'_>, i: usize, unit: u64, smaller: u64, phrase: &mut Phrase) {
    match Number::read(s.word(i)) {
        Ok(more) if unit.is_multiple_of(smaller) => phrase.steps.push((unit / smaller, more)),
        _ => phrase.unread = true,
    }
}

/// A unit of time in microseconds, and where it ends; "min" is one behind a number.
fn time_unit(s: &Sentence<'_>, i: usize) -> Option<(u64, usize)> {
    match s.sense(i) {
        Some(Sense::Unit(Dimension::Time, factor)) => Some((factor, i + 1)),
        _ => matches!(s.word(i), "min" | "分").then_some((MINUTE, i + 1)),
    }
}

/// Whether a time that ends at `i` is said to be that of one caption, as in "training 2 hours 30 ms latency".
fn is_of_another(s: &Sentence<'_>, i: usize) -> bool {
    use Clause::{LatencyP50, LatencyP95};
    matches!(
        s.sense(s.past_joins(i)),
        Some(Sense::Topic(Topic::Clause(LatencyP50 | LatencyP95) | Topic::PerImage | Topic::PerWord))
    )
}
