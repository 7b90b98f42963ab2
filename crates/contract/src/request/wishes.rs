//! From bounds as read to the clauses of a contract: of two on one thing the stricter is kept, and the other listed.

use super::lexicon::Limit;
use super::number::{BadNumber, Number};
use super::quantity::Bound;
use super::target::{Target, is_share};
use super::{Notes, Reading};
use crate::terms::Slot;
use crate::{Clause, Contract, Range, Side, words};
use capwright_blueprint::language::ImageSize;

/// Writes every bound into the contract, or lists why not.
pub(super) fn resolve(bounds: Vec<Bound>, notes: &mut Notes, contract: &mut Contract) {
    let mut kept: Vec<Kept> = Vec::new();
    for bound in bounds {
        let outcome = match bound.target {
            Target::Clause(clause) => clause_bound(&bound, clause, &mut kept, notes),
            Target::Field(field) => range(&bound, field, contract),
            Target::ImageSize => image_sizes(&bound, contract),
            Target::Beam => setting(&bound, "decoding.beam", |n| contract.decoding.beam = n as usize),
            Target::Epochs => setting(&bound, "training.epochs", |n| {
                contract.training.epochs = u32::try_from(n).unwrap_or(u32::MAX);
            }),
            Target::Trials => setting(&bound, "search.trials", |n| {
                contract.search.trials = u32::try_from(n).unwrap_or(u32::MAX);
                contract.search.max_proposals = contract.search.trials.saturating_mul(5);
            }),
            Target::Confidence => confidence(&bound, contract),
        };
        settle(outcome, bound, notes);
    }
    keep_strictest(kept, notes, contract);
}

/// What came of a bound.
enum Outcome {
    /// Meaning and clause.
    Understood(String, String),
    /// Kept aside for the comparison with others.
    Aside,
    Ignored(String),
    Refused(String),
}

struct Kept {
    clause: Clause,
    value: f64,
    whole: u64,
    bound: Bound,
}

fn settle(outcome: Outcome, bound: Bound, notes: &mut Notes) {
    let (start, phrase) = bound.place.clone();
    match outcome {
        Outcome::Understood(meaning, clause) => {
            notes.say(Reading { phrase, meaning, start, clause }, bound.doubt.as_deref());
        }
        Outcome::Ignored(why) => notes.ignore(bound.place, why),
        Outcome::Refused(why) => notes.refuse(bound.place, why),
        Outcome::Aside => {}
    }
}

fn clause_bound(bound: &Bound, clause: Clause, kept: &mut Vec<Kept>, _: &mut Notes) -> Outcome {
    let side = match bound.limit {
        Limit::Upper => Side::Upper,
        Limit::Lower => Side::Lower,
        Limit::Near | Limit::Exact => {
            let words = if clause.side() == Side::Upper {
                "upper bounds are kept; say \"at most\" or \"under\""
            } else {
                "lower bounds are kept; say \"at least\""
            };
            return Outcome::Ignored(format!("only {words}"));
        }
    };
    if side != clause.side() {
        let (not, only) = if side == Side::Lower { ("lower", "upper") } else { ("upper", "lower") };
        return Outcome::Ignored(format!("{not} bounds are not supported here; only {only} bounds are kept"));
    }
    let mut bound = bound.clone();
    let scaled = match clause {
        Clause::Bleu1 | Clause::Bleu2 | Clause::Bleu3 | Clause::Bleu4 | Clause::IdenticalShare => 1.0,
        Clause::CiderD => 10.0,
        _ => f64::INFINITY,
    };
    if bound.number.real(bound.up, bound.down) > scaled && bound.down == 1 {
        bound.down = 100;
        bound.doubt = Some("read on the scale of 0 to 100".to_owned());
    }
    if bound.number.is_zero() {
        return Outcome::Refused(BadNumber::Zero.to_string());
    }
    let value = bound.number.real(bound.up, bound.down);
    match bound.number.whole(bound.up, bound.down, clause.side() == Side::Lower) {
        _ if value > scaled => Outcome::Refused(format!("{clause} never exceeds {scaled}")),
        Ok(whole) => {
            kept.push(Kept { clause, value, whole, bound });
            Outcome::Aside
        }
        Err(_) if real(clause) && value > 0.0 => {
            kept.push(Kept { clause, value, whole: 0, bound });
            Outcome::Aside
        }
        Err(why) => Outcome::Refused(why.to_string()),
    }
}

/// Whether a clause's bound may have a fraction.
fn real(clause: Clause) -> bool {
    let mut probe = Contract::default();
    matches!(probe.slot(clause), Some(Slot::Real(_)))
}

fn keep_strictest(kept: Vec<Kept>, notes: &mut Notes, contract: &mut Contract) {
    let mut told: Vec<Clause> = Vec::new();
    let stricter = |a: f64, b: f64, side: Side| if side == Side::Upper { a < b } else { a > b };
    let best = |clause: Clause| {
        let values = kept.iter().filter(|k| k.clause == clause).map(|k| k.value);
        values.reduce(|a, b| if stricter(b, a, clause.side()) { b } else { a })
    };
    for one in &kept {
        let clause = one.clause;
        let (start, phrase) = one.bound.place.clone();
        if Some(one.value) != best(clause) {
            let why = format!("another phrase bounds the {} more strictly; that one is kept", clause.noun());
            notes.ignore((start, phrase), why);
        } else if told.contains(&clause) {
            notes.ignore((start, phrase), "said already");
        } else {
            told.push(clause);
            let shown = match contract.slot(clause) {
                Some(Slot::Whole(field)) => {
                    *field = Some(one.whole);
                    grouped(one.whole)
                }
                Some(Slot::Real(field)) => {
                    *field = Some(one.value);
                    one.value.to_string()
                }
                None => {
                    contract.decoding.max_words = usize::try_from(one.whole).unwrap_or(usize::MAX);
                    grouped(one.whole)
                }
            };
            let meaning = format!("{} {shown} {}", clause.side(), clause.noun());
            let reading = Reading { phrase, meaning, start, clause: clause.to_string() };
            notes.say(reading, one.bound.doubt.as_deref());
        }
    }
}

fn range(bound: &Bound, field: &'static str, contract: &mut Contract) -> Outcome {
    let percent = |x: f64| if is_share(field) && x > 0.0 && x < 1.0 { (x * 1e6).round() / 1e4 } else { x };
    let value = percent(bound.number.real(bound.up, bound.down));
    let upto = bound.upto.map(|n| percent(n.real(bound.up, bound.down)));
    let said = match bound.limit {
        Limit::Upper => Range { min: None, max: Some(value) },
        Limit::Lower => Range { min: Some(value), max: None },
        Limit::Exact => Range { min: Some(value), max: Some(upto.unwrap_or(value)) },
        Limit::Near => {
            return Outcome::Ignored("say \"at most\", \"at least\" or the number alone".to_owned());
        }
    };
    let old = contract.ranges.get(field).copied().unwrap_or_default();
    let joined = Range {
        min: [old.min, said.min].into_iter().flatten().reduce(f64::max),
        max: [old.max, said.max].into_iter().flatten().reduce(f64::min),
    };
    let menu = words::menu(field).unwrap_or_default();
    if joined.min.zip(joined.max).is_some_and(|(min, max)| min > max) {
        return Outcome::Refused(format!("{field} cannot be {said} and {old} at once"));
    }
    if !menu.iter().any(|v| joined.holds(*v)) {
        let all = menu.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
        return Outcome::Refused(format!("the language has no {field} {joined}; it has {all}"));
    }
    contract.ranges.insert(field.to_owned(), joined);
    Outcome::Understood(format!("{field} {said}"), format!("ranges.{field}"))
}

/// The sizes that a phrase allows, of those that the phrases before it leave.
fn image_sizes(bound: &Bound, contract: &mut Contract) -> Outcome {
    let whole = |number: Number| number.whole(bound.up, bound.down, false);
    let more: Result<Vec<u64>, _> = bound.more.iter().map(|number| whole(*number)).collect();
    let (side, upto, more) = match (whole(bound.number), bound.upto.map(whole).transpose(), more) {
        (Ok(side), Ok(upto), Ok(more)) => (side, upto.unwrap_or(side), more),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => return Outcome::Refused(why.to_string()),
    };
    let fits = |size: u32| match bound.limit {
        Limit::Upper => u64::from(size) <= side,
        Limit::Lower => u64::from(size) >= side,
        Limit::Exact | Limit::Near => {
            (side..=upto).contains(&u64::from(size)) || more.contains(&u64::from(size))
        }
    };
    let said: Vec<u32> = ImageSize::CHOICES.iter().copied().filter(|size| fits(*size)).collect();
    let list = |sizes: &[u32]| sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let strange = more.iter().any(|size| !said.iter().any(|said| u64::from(*said) == *size));
    if said.is_empty() || strange {
        return Outcome::Refused(format!(
            "the language has no such image size; it has {}",
            list(ImageSize::CHOICES)
        ));
    }
    let old = &contract.components.image_sizes;
    let left: Vec<u32> = said.iter().copied().filter(|size| old.is_empty() || old.contains(size)).collect();
    if left.is_empty() {
        let (said, old) = (list(&said), list(old));
        return Outcome::Refused(format!("the image size cannot be one of {said} and one of {old} at once"));
    }
    contract.components.image_sizes = left;
    Outcome::Understood(format!("images of {} pixels", list(&said)), Clause::ImageSizes.to_string())
}

fn setting(bound: &Bound, name: &str, set: impl FnOnce(u64)) -> Outcome {
    if bound.upto.is_some() || matches!(bound.limit, Limit::Lower | Limit::Near) {
        return Outcome::Ignored(format!("{name} is set as one number; say it alone or \"at most\""));
    }
    match bound.number.whole(bound.up, bound.down, false) {
        Err(why) => Outcome::Refused(why.to_string()),
        Ok(n) => {
            set(n);
            Outcome::Understood(format!("{name} is {n}"), name.to_owned())
        }
    }
}

fn confidence(bound: &Bound, contract: &mut Contract) -> Outcome {
    if bound.upto.is_some() {
        return Outcome::Ignored("measuring.confidence is set as one number; say it alone".to_owned());
    }
    let mut value = bound.number.real(bound.up, bound.down);
    if value > 1.0 && bound.down == 1 {
        value = bound.number.real(1, 100);
    }
    if !(0.0..1.0).contains(&value) || value == 0.0 {
        return Outcome::Refused("a confidence lies above 0 and below 1, as in 0.95 or 95 %".to_owned());
    }
    contract.measuring.confidence = value;
    Outcome::Understood(format!("floors hold with confidence {value}"), "measuring.confidence".to_owned())
}

/// 1234567 as `1,234,567`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
