//! Bounds: a limit, a topic, a number, a scale and a unit, in any order around the number.

use super::lexicon::{Dimension, Limit, Sense, Topic};
use super::target::{Phrase, Read, Target, belongs, dimension_of, target};
use super::tokens::{BadNumber, Kind, Number};
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
        if s.kind(at) == Kind::Number && s.sense(at).is_none() && !s.used[at] {
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
    let mut phrase = sizes(s, at).unwrap_or_else(|| {
        let mut phrase = Phrase { from: at, to: at + 1, ..Phrase::default() };
        right(s, at, &mut phrase);
        left(s, at, &mut phrase);
        phrase
    });
    let negative = s.is_negative(at);
    let number = Number::read(s.word(at));
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
    let number = match number {
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

/// A part of a captioner beside a phrase, which its number may be about.
#[derive(Clone, Copy)]
struct Part {
    /// The phrase with the part.
    from: usize,
    to: usize,
    /// Whether a name stands before it, as in "an LSTM decoder under 5 M parameters": that may be the captioner.
    named: bool,
}

/// The encoder or decoder beside a phrase about a cost: "decoder parameters under 2M", "2M parameters in the decoder".
fn part(s: &Sentence<'_>, target: Target, phrase: &Phrase) -> Option<Part> {
    use Clause::{MacsImage, MacsToken, ParamsTotal, ParamsTrainable, WeightBytes};
    let costs = [ParamsTotal, ParamsTrainable, MacsImage, MacsToken, WeightBytes];
    if !costs.iter().any(|cost| target == Target::Clause(*cost)) {
        return None;
    }
    let is_part = |i: usize| {
        let plain =
            matches!(s.word(i), "decoder" | "decoders" | "encoder" | "encoders" | "backbone" | "backbones");
        plain || (s.sense(i) == Some(Sense::Encoder) && !s.word(i).is_ascii())
    };
    let joins = |i: usize| s.sense(i) == Some(Sense::Join);
    let after = (phrase.to..s.len()).find(|i| !joins(*i)).filter(|i| is_part(*i));
    if let Some(after) = after {
        return Some(Part { from: phrase.from, to: after + 1, named: false });
    }
    let before = (0..phrase.from).rev().find(|i| !joins(*i)).filter(|i| is_part(*i) && !s.used[*i])?;
    let named = before.checked_sub(1).is_some_and(|i| matches!(s.sense(i), Some(Sense::Name(_))));
    Some(Part { from: if named { phrase.from } else { before }, to: phrase.to, named })
}

/// A list of image sizes, as in "images of 96, 128 or 160 pixels": as many of its numbers as are about nothing else.
fn sizes(s: &Sentence<'_>, at: usize) -> Option<Phrase> {
    let pixels = |i: usize| i + usize::from(matches!(s.sense(i), Some(Sense::Unit(Dimension::Pixels, 1))));
    let (mut more, mut ends) = (Vec::new(), vec![at + 1]);
    let mut end = at + 1;
    loop {
        let joint = pixels(end);
        let next = (joint..s.len()).find(|i| s.sense(*i) != Some(Sense::List)).unwrap_or(s.len());
        if next == joint || s.kind(next) != Kind::Number || s.sense(next).is_some() {
            break;
        }
        more.push(Number::read(s.word(next)).ok()?);
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

/// Reads what follows the number: scale, "+", unit and topics, the end of a range, a late limit.
fn right(s: &Sentence<'_>, at: usize, phrase: &mut Phrase) {
    let mut i = at + 1;
    if let Some(Sense::Scale(factor)) = s.sense(i) {
        phrase.short_scale = matches!(s.word(i), "b" | "g" | "k" | "w");
        phrase.scale = Some(factor);
        i += 1;
    }
    if s.word(i) == "+" {
        phrase.limit = Some(Limit::Lower);
        i += 1;
    }
    if let Some((upto, next)) = range_end(s, i, phrase) {
        phrase.upto = Some(upto);
        phrase.limit = Some(Limit::Exact);
        i = next;
        if let Some(Sense::Scale(factor)) = s.sense(i) {
            phrase.scale = Some(factor);
            i += 1;
        }
    }
    if s.word(i) == "min" && phrase.scale.is_none() {
        phrase.unit = Some((Dimension::Time, 60_000_000));
        i += 1;
    }
    i = attributes(s, i, phrase);
    if phrase.unit.is_none() && phrase.topics.is_empty() && stranger(s, i) && s.adjacent(i - 1, i) {
        phrase.stranger = Some(s.word(i).to_owned());
        i += 1;
    }
    let late = match s.sense(i) {
        Some(Sense::Late(limit)) => Some(limit),
        Some(Sense::Limit(limit)) if next_number(s, i + 1).is_none() && limit != Limit::Exact => Some(limit),
        _ => None,
    };
    if let Some(limit) = late.filter(|_| phrase.limit.is_none()) {
        phrase.limit = Some(limit);
        i += 1;
        i = attributes(s, i, phrase);
    } else if late.is_some() && matches!(s.sense(i), Some(Sense::Late(_))) {
        i += 1;
    }
    phrase.to = i;
}

/// Units and topics from `i` on; gives where they end.
fn attributes(s: &Sentence<'_>, mut i: usize, phrase: &mut Phrase) -> usize {
    loop {
        let mut next = i;
        while matches!(s.sense(next), Some(Sense::Join)) && s.word(next) != ":" {
            next += 1;
        }
        match s.sense(next) {
            Some(Sense::Unit(dimension, factor)) if phrase.unit.is_none() => {
                phrase.unit = Some((dimension, factor));
            }
            Some(Sense::Topic(topic)) if belongs(topic, phrase) && !is_of_next(topic, s, next + 1) => {
                phrase.topics.push(topic);
            }
            _ => return i,
        }
        i = next + 1;
    }
}

/// Whether a topic before `i` is said about the number that follows: one that comes before the phrase ends, in a unit that the
/// topic can have.
fn is_of_next(topic: Topic, s: &Sentence<'_>, i: usize) -> bool {
    next_number(s, i).is_some_and(|number| {
        let mut after = number + 1;
        while matches!(s.sense(after), Some(Sense::Scale(_))) {
            after += 1;
        }
        let unit = match s.sense(after) {
            Some(Sense::Unit(dimension, factor)) => Some((dimension, factor)),
            _ => None,
        };
        belongs(topic, &Phrase { unit, ..Phrase::default() })
    })
}

/// The number that follows before the phrase ends.
fn next_number(s: &Sentence<'_>, mut i: usize) -> Option<usize> {
    while matches!(s.sense(i), Some(Sense::Join | Sense::Limit(_) | Sense::Not | Sense::Topic(_))) {
        i += 1;
    }
    (i < s.len() && s.kind(i) == Kind::Number && s.sense(i).is_none()).then_some(i)
}

/// The second number of "256 to 512", "256-512", "between 256 and 512".
fn range_end(s: &Sentence<'_>, i: usize, phrase: &Phrase) -> Option<(Number, usize)> {
    let between = phrase.from > 0 && {
        let before = s.sense(phrase.from - 1);
        before == Some(Sense::Limit(Limit::Exact)) && matches!(s.word(phrase.from - 1), "between" | "介于")
            || s.word(phrase.from - 1) == "from"
    };
    let joined = match s.word(i) {
        "to" | "-" | "–" | "到" | "至" | "~" => true,
        "and" | "和" | "与" => between,
        _ => false,
    };
    let number = i + 1;
    if !joined || s.kind(number) != Kind::Number || s.sense(number).is_some() {
        return None;
    }
    Some((Number::read(s.word(number)).ok()?, number + 1))
}

/// Reads what stands before the number: a limit, what is bounded, and the words that join them.
fn left(s: &Sentence<'_>, at: usize, phrase: &mut Phrase) {
    let mut i = at;
    let mut from = at;
    while let Some(before) = i.checked_sub(1).filter(|b| !s.used[*b]) {
        match s.sense(before) {
            Some(Sense::Limit(limit)) if phrase.limit.is_none() => {
                let (limit, start) = denied(s, before, limit);
                phrase.limit = Some(limit);
                (i, from) = (start, start);
                continue;
            }
            Some(Sense::Limit(Limit::Exact)) if phrase.upto.is_some() => from = before,
            Some(Sense::Limit(Limit::Lower)) if phrase.upto.is_some() && s.word(before) == "from" => {
                from = before
            }
            Some(Sense::Unit(dimension, factor)) if phrase.unit.is_none() && phrase.stranger.is_none() => {
                if dimension == Dimension::Bytes {
                    break;
                }
                phrase.unit = Some((dimension, factor));
                from = before;
            }
            Some(Sense::Unit(dimension, 1)) if phrase.unit.is_some_and(|(d, _)| d == dimension) => {
                from = before
            }
            Some(Sense::Topic(topic)) if belongs(topic, phrase) => {
                phrase.topics.push(topic);
                from = before;
            }
            Some(Sense::Join) => {}
            None if matches!(s.word(before), "-" | "−") && s.is_negative(at) => from = before,
            _ => break,
        }
        i = before;
    }
    phrase.from = from;
}

/// "no", "not", "never" and "can't be" turn a limit round.
fn denied(s: &Sentence<'_>, at: usize, limit: Limit) -> (Limit, usize) {
    let turned = match limit {
        Limit::Upper => Limit::Lower,
        Limit::Lower => Limit::Upper,
        other => other,
    };
    let turns = |i: &usize| {
        let word = s.word(*i);
        !s.used[*i] && (matches!(word, "no" | "not" | "never" | "不" | "cannot") || word.ends_with("n't"))
    };
    let verb = |i: &usize| matches!(s.word(*i), "be" | "use" | "have" | "take");
    let be = at.checked_sub(1).filter(verb).unwrap_or(at);
    match at.checked_sub(1).filter(turns).or(be.checked_sub(1).filter(turns)) {
        Some(before) => (turned, before),
        None => (limit, at),
    }
}

/// Whether a word after the number is none that is known.
fn stranger(s: &Sentence<'_>, i: usize) -> bool {
    i < s.len() && s.kind(i) == Kind::Word && s.sense(i).is_none() && !s.used[i]
}
