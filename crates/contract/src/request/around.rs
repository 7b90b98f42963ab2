//! What stands around a number: scale, unit and topics, and the limit that it is.

use super::Sentence;
use super::compound::{MINUTE, minutes, scales, times};
use super::lexicon::{Dimension, Limit, Sense, Topic};
use super::number::Number;
use super::target::{Phrase, belongs};
use super::tokens::Kind;
use crate::Clause;

/// Reads what follows the number: scale, "+", unit and topics, the end of a range, a late limit.
pub(super) fn right(s: &Sentence<'_>, at: usize, phrase: &mut Phrase) {
    let mut i = at + 1;
    if minutes(s, i) {
        phrase.unit = Some((Dimension::Time, MINUTE));
        i += 1;
    } else if let Some(Sense::Scale(factor)) = s.sense(i) {
        phrase.short_scale = matches!(s.word(i), "b" | "g" | "k" | "w");
        phrase.scale = Some(factor);
        i = scales(s, i + 1, phrase);
    }
    if s.word(i) == "+" {
        phrase.limit = Some(Limit::Lower);
        i += 1;
    }
    if let Some((upto, next)) = range_end(s, i, phrase) {
        phrase.upto = Some(upto);
        phrase.limit = Some(Limit::Exact);
        phrase.unread |= !phrase.steps.is_empty();
        i = next;
        if let Some(Sense::Scale(factor)) = s.sense(i) {
            phrase.scale = Some(factor);
            i += 1;
        }
    }
    if s.word(i) == "min" && phrase.scale.is_none() {
        phrase.unit = Some((Dimension::Time, MINUTE));
        i += 1;
    }
    i = attributes(s, i, phrase);
    let more = times(s, i, phrase);
    if more > i {
        i = attributes(s, more, phrase);
    }
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
    phrase.to = percentile(s, i, phrase).unwrap_or(i);
}

/// Where a percentile ends that stands behind a comma, as in "latency under 100 ms, 95th percentile".
fn percentile(s: &Sentence<'_>, i: usize, phrase: &mut Phrase) -> Option<usize> {
    let topic = Topic::Clause(Clause::LatencyP95);
    let at = s.past_joins(i + 1);
    let said = s.word(i) == "," && s.sense(at) == Some(Sense::Topic(topic));
    let time = matches!(phrase.unit, Some((Dimension::Time, _)));
    // What goes on may have a number of its own.
    let ends = s.sense(at + 1) == Some(Sense::List)
        || (s.kind(at + 1) == Kind::Sign && s.sense(at + 1).is_none() && s.word(at + 1) != "(");
    (said && time && ends && belongs(topic, phrase)).then(|| {
        phrase.topics.push(topic);
        at + 1
    })
}

/// Units and topics from `i` on; gives where they end.
pub(super) fn attributes(s: &Sentence<'_>, mut i: usize, phrase: &mut Phrase) -> usize {
    loop {
        let mut next = i;
        while matches!(s.sense(next), Some(Sense::Join)) && s.word(next) != ":" {
            next += 1;
        }
        let mut end = next + 1;
        if s.word(next) == "(" {
            // "20 ms (p95)", "5 M parameters (trainable)"
            next = s.past_joins(end);
            end = next + 2;
            if s.word(next + 1) != ")" {
                return i;
            }
        }
        match s.sense(next) {
            Some(Sense::Unit(dimension, factor)) if phrase.unit.is_none() => {
                phrase.unit = Some((dimension, factor));
            }
            Some(Sense::Topic(topic)) if belongs(topic, phrase) && !is_of_next(topic, s, end) => {
                phrase.topics.push(topic);
            }
            _ => return i,
        }
        i = end;
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
    s.is_number(i).then_some(i)
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
    if !joined || !s.is_number(number) {
        return None;
    }
    Some((Number::read(s.word(number)).ok()?, number + 1))
}

/// Reads what stands before the number: a limit, what is bounded, and the words that join them.
pub(super) fn left(s: &Sentence<'_>, at: usize, phrase: &mut Phrase) {
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
            _ => match enclosed(s, before, phrase) {
                Some((open, topic)) => {
                    phrase.topics.push(topic);
                    (i, from) = (open, open);
                    continue;
                }
                None if in_training(s, before, phrase) => {}
                None => break,
            },
        }
        i = before;
    }
    phrase.from = from;
}

/// Where the brackets open that end at `close`, and the topic in them, as in "latency (p95)".
fn enclosed(s: &Sentence<'_>, close: usize, phrase: &Phrase) -> Option<(usize, Topic)> {
    let open = close.checked_sub(2).filter(|open| s.word(*open) == "(" && s.word(close) == ")")?;
    match s.sense(open + 1) {
        Some(Sense::Topic(topic)) if belongs(topic, phrase) => Some((open, topic)),
        _ => None,
    }
}

/// Whether the word at `at` says of what follows that training takes it, as in "train with less than 4 GB of memory". Where the
/// training has a bound of its own already, the phrase is read as of training too, with a doubt.
fn in_training(s: &Sentence<'_>, at: usize, phrase: &mut Phrase) -> bool {
    let takes = matches!(
        s.word(at),
        "with"
            | "using"
            | "use"
            | "uses"
            | "need"
            | "needs"
            | "require"
            | "requires"
            | "must use"
            | "has to use"
            | "使用"
            | "用"
    );
    let bytes = matches!(phrase.unit, Some((Dimension::Bytes, _)));
    let topic = Sense::Topic(Topic::Training);
    let training =
        (0..at).rev().find(|i| s.sense(*i) != Some(Sense::Join)).filter(|i| s.sense(*i) == Some(topic));
    let Some(training) = training.filter(|_| takes && bytes && belongs(Topic::Training, phrase)) else {
        return false;
    };
    if s.used[training] {
        phrase.topics.push(Topic::Training);
        phrase.doubt = Some("read as of training, which is spoken of before it");
    }
    !s.used[training]
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
