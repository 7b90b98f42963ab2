//! Bounds: a limit, a topic, a number, a scale and a unit, in any order around the number.

use super::around::{attributes, left, right};
use super::compound::tied;
use super::lexicon::{Dimension, Limit, Sense, Topic};
use super::number::{BadNumber, Number};
use super::parts::{Part, part};
use super::target::{Phrase, Read, Target, dimension_of, target};
use super::tokens::Kind;
use super::{Notes, Sentence};
use crate::Clause;

/// A bound as read: the number exactly, in the unit of its target.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub target: Target,
    pub limit: Limit,
    pub number: Number,
    /// The other end of "between … and …".
    pub upto: Option<Number>,
    /// Other numbers of a list.
    pub more: Vec<Number>,
    /// The unit in the target's own: `number · up / down`.
    pub up: u64,
    pub down: u64,
    pub place: (usize, String),
    pub doubt: Option<String>,
}

/// Reads every number of the request; each is used, refused, or listed with the reason.
pub(super) fn read(
    s: &mut Sentence<'_>,
    notes: &mut Notes,
    ask: &mut dyn FnMut(&str) -> Option<Clause>,
) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for at in 0..s.len() {
        if s.is_number(at) && !s.used[at] {
            bounds.extend(bound(s, notes, at, ask));
        }
    }
    bounds
}

fn bound(
    s: &mut Sentence<'_>,
    notes: &mut Notes,
    at: usize,
    ask: &mut dyn FnMut(&str) -> Option<Clause>,
) -> Option<Bound> {
    let mut phrase = around(s, at);
    let negative = s.is_negative(at);
    let text = s.text_of(phrase.from, phrase.to).to_owned();
    let found = asked(&mut phrase, &text, ask);
    let part = found.as_ref().ok().and_then(|(target, ..)| part(s, *target, &phrase));
    let place = match part {
        Some(Part { from, to, .. }) => s.take(from, to),
        None => s.take(phrase.from, phrase.to),
    };
    let (target, up, down, mut doubt) = match found {
        Ok(_) if part.is_some_and(|part| !part.named) => {
            notes.ignore(place, "costs are bounded of whole captioners, not of their parts");
            return None;
        }
        Ok(found) => found,
        Err(why) => {
            notes.ignore(place, why);
            return None;
        }
    };
    if part.is_some() {
        doubt = Some("costs are bounded of whole captioners: read as of all of it".to_owned());
    }
    doubt = doubt.or(phrase.doubt.map(str::to_owned));
    let number = match amount(s, at, &phrase, target) {
        Ok(_) if negative => Err(BadNumber::Zero),
        other => other,
    };
    let number = match number {
        Ok(number) => number,
        Err(why) => {
            notes.refuse(place, why.to_string());
            return None;
        }
    };
    let Some(up) = phrase.scale.unwrap_or(1).checked_mul(up) else {
        notes.refuse(place, BadNumber::TooLarge.to_string());
        return None;
    };
    let up = up / phrase.steps.iter().map(|(times, _)| times).product::<u64>();
    let free = !matches!(target, Target::Clause(_));
    if phrase.limit.is_none() && !free && doubt.is_none() {
        let side = if let Target::Clause(clause) = target { clause.side() } else { crate::Side::Upper };
        let words = if side == crate::Side::Upper { "an upper" } else { "a lower" };
        doubt = Some(format!("no limit is named: read as {words} bound"));
    }
    let limit = phrase.limit.unwrap_or(match target {
        Target::Clause(clause) if clause.side() == crate::Side::Lower => Limit::Lower,
        Target::Clause(_) => Limit::Upper,
        _ => Limit::Exact,
    });
    Some(Bound { target, limit, number, upto: phrase.upto, more: phrase.more, up, down, place, doubt })
}

/// Everything around the number at `at`.
fn around(s: &Sentence<'_>, at: usize) -> Phrase {
    if let Some(sizes) = sizes(s, at) {
        return sizes;
    }
    let read = |last: usize| {
        let mut phrase = Phrase { from: at, to: last + 1, ..Phrase::default() };
        right(s, last, &mut phrase);
        left(s, at, &mut phrase);
        phrase
    };
    let mut phrase = read(at);
    let (last, close) = tied(s, at);
    if last > at && (close || target(&phrase).is_err()) {
        phrase = Phrase { unread: true, ..read(last) };
    }
    // "5 000 000" can be nothing else, "5 224" can.
    if s.word(at).split(' ').skip(1).any(|group| group != "000") {
        phrase.doubt = Some("the groups of digits are read as one number");
    }
    phrase
}

/// The number of a phrase, in the smallest scale or unit that it has.
fn amount(s: &Sentence<'_>, at: usize, phrase: &Phrase, target: Target) -> Result<Number, BadNumber> {
    if phrase.unread {
        return Err(BadNumber::Malformed);
    }
    let read = if target == Target::ImageSize { Number::side } else { Number::read };
    phrase.steps.iter().try_fold(read(s.word(at))?, |sum, (times, more)| sum.times_plus(*times, *more))
}

/// A list of image sizes, as in "images of 96, 128 or 160 pixels": as many of its numbers as are about nothing else.
fn sizes(s: &Sentence<'_>, at: usize) -> Option<Phrase> {
    let pixels = |i: usize| i + usize::from(matches!(s.sense(i), Some(Sense::Unit(Dimension::Pixels, 1))));
    let (mut more, mut ends) = (Vec::new(), vec![at + 1]);
    let mut end = at + 1;
    loop {
        let joint = pixels(end);
        let next = (joint..s.len()).find(|i| s.sense(*i) != Some(Sense::List)).unwrap_or(s.len());
        if next == joint || !s.is_number(next) {
            break;
        }
        more.push(Number::side(s.word(next)).ok()?);
        end = next + 1;
        ends.push(end);
    }
    (1..=more.len()).rev().find_map(|count| {
        let mut phrase = Phrase { from: at, more: more[..count].to_vec(), ..Phrase::default() };
        phrase.to = attributes(s, ends[count], &mut phrase);
        left(s, at, &mut phrase);
        let units = matches!(phrase.unit, None | Some((Dimension::Pixels, 1)));
        let sizes = target(&phrase).is_ok_and(|read| read.0 == Target::ImageSize);
        let next = s.sense(phrase.to);
        let ends = phrase.to > ends[count] || next == Some(Sense::List) || s.kind(phrase.to) == Kind::Sign;
        (units && sizes && phrase.limit.is_none() && ends && s.word(phrase.to) != "+").then_some(phrase)
    })
}

/// The target of a phrase; one that is not plain is asked for.
fn asked(
    phrase: &mut Phrase,
    text: &str,
    ask: &mut dyn FnMut(&str) -> Option<Clause>,
) -> Result<Read, String> {
    let plain = target(phrase);
    let doubtful = phrase.topics.is_empty() && !matches!(phrase.unit, Some((Dimension::Flops, _)));
    if !doubtful || matches!(plain, Ok((.., None))) {
        return plain;
    }
    let answered = ask(text)
        .filter(|clause| phrase.unit.is_none_or(|(dimension, _)| dimension_of(*clause).contains(&dimension)));
    let Some(clause) = answered else { return plain };
    phrase.topics.push(Topic::Clause(clause));
    let said = "what it is about was said by the language model".to_owned();
    target(phrase).map(|(target, up, down, _)| (target, up, down, Some(said))).or(plain)
}
