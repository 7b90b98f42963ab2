//! What is said of names: before them ("no", "all but", "with or without") and behind them ("is forbidden", "is optional").

use super::Sentence;
use super::lexicon::Sense;
use super::tokens::Kind;

/// What is said of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Wanted,
    Denied,
    /// Neither asked for nor excluded.
    Optional,
}

/// What is said before a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// Where that starts.
    pub from: usize,
    pub way: Way,
    pub only: bool,
    pub doubt: Option<&'static str>,
}

pub(super) fn before(s: &Sentence<'_>, at: usize) -> Before {
    let Near { start, only, apart } = near(s, at);
    let need = |i: usize| matches!(s.word(i), "need" | "needs" | "require" | "requires");
    let denied = |from: usize, doubt| {
        let way = if (from..at).any(need) { Way::Optional } else { Way::Denied };
        Before { from, way, only: false, doubt }
    };
    let said = |end: usize, sense| end.checked_sub(1).filter(|i| !s.used[*i] && s.sense(*i) == Some(sense));
    match said(start, Sense::Not) {
        // "not only LSTM" asks for LSTM, and not for it alone.
        Some(from) if only => return Before { from, way: Way::Wanted, only: false, doubt: None },
        Some(from) => return denied(from, None),
        None => {}
    }
    let article = start.checked_sub(1).filter(|i| matches!(s.word(*i), "with a" | "with an"));
    if let Some(from) = said(article.unwrap_or(start), Sense::Maybe) {
        return Before { from, way: Way::Optional, only: false, doubt: None };
    }
    if let Some((from, doubt)) = all_but(s, start).filter(|_| !only) {
        return denied(from, doubt);
    }
    match far_denied(s, start).filter(|_| !apart) {
        Some(from) => denied(from, Some("the \"not\" some words before it is read as said of it")),
        None => Before { from: start, way: Way::Wanted, only, doubt: None },
    }
}

/// Words right before a name that lead from what is said to it.
struct Near {
    start: usize,
    only: bool,
    /// Whether one of them begins anew, so that a "not" farther away is said of something else.
    apart: bool,
}

fn near(s: &Sentence<'_>, at: usize) -> Near {
    let mut near = Near { start: at, only: false, apart: false };
    while near.start > 0 && !s.used[near.start - 1] {
        let last = near.start - 1;
        let word = s.word(last);
        match s.sense(last) {
            Some(Sense::Only) => near.only = true,
            Some(Sense::Must) => {
                near.apart |= matches!(word, "with" | "using" | "including" | "带" | "带有" | "包含")
            }
            Some(Sense::Join) if matches!(word, "a" | "an" | "the" | "的" | "一个") => {}
            // "the use of", "no need for", "any kind of".
            Some(Sense::Join) if matches!(word, "of" | "for") && last > 0 && is_use(s.word(last - 1)) => {
                near.start -= 1
            }
            _ if matches!(word, "any" | "plain") => {}
            _ => break,
        }
        near.start -= 1;
    }
    near
}

fn is_use(word: &str) -> bool {
    matches!(word, "use" | "usage" | "need" | "kind" | "kinds" | "form" | "forms" | "sort" | "type" | "types")
}

/// Where "all but", "everything but", "all decoders but" begins that ends at `start`, and why it may be meant otherwise.
fn all_but(s: &Sentence<'_>, start: usize) -> Option<(usize, Option<&'static str>)> {
    let but = start.checked_sub(1).filter(|i| s.word(*i) == "but" && !s.used[*i])?;
    let passes = |i: &usize| {
        !s.used[*i]
            && s.kind(*i) == Kind::Word
            && !matches!(s.sense(*i), Some(Sense::Name(_) | Sense::List | Sense::Not | Sense::Limit(_)))
    };
    let all = (but.saturating_sub(4)..but)
        .rev()
        .take_while(passes)
        .find(|i| matches!(s.word(*i), "all" | "every" | "any" | "each" | "everything"))?;
    let kind = |i: usize| {
        let known =
            matches!(s.sense(i), Some(Sense::Join | Sense::Encoder | Sense::OfData | Sense::OfWeights));
        known || matches!(s.word(i), "decoder" | "decoders" | "family" | "families" | "models" | "types")
    };
    let doubt = (!(all + 1..but).all(kind)).then_some("\"all … but\" is read as said of it");
    Some((all, doubt))
}

/// Whether "may", "can have" and the like stand before `from`: what follows is allowed, and not demanded.
pub(super) fn may(s: &Sentence<'_>, from: usize) -> bool {
    let verb = from.checked_sub(1).filter(|i| s.word(*i) == "have").unwrap_or(from);
    let may = verb.checked_sub(1).filter(|i| !s.used[*i]);
    may.is_some_and(|i| matches!(s.word(i), "may" | "can" | "could" | "might"))
}

/// A "no" or "not" with a few unknown words between it and a name, as in "no pretrained ResNet-18"; but not in "not too large",
/// which says something of its own.
fn far_denied(s: &Sentence<'_>, start: usize) -> Option<usize> {
    let mut unknown = 0;
    for i in (0..start).rev() {
        let word = s.word(i);
        match s.sense(i) {
            _ if s.used[i] => return None,
            Some(Sense::Not) => {
                let degree =
                    matches!(s.word(i + 1), "too" | "very" | "so" | "that" | "overly" | "necessarily");
                return (!degree).then_some(i);
            }
            Some(Sense::Join | Sense::Must) => {}
            None if s.kind(i) == Kind::Word && word.is_ascii() && unknown < 3 => {
                if matches!(word, "but" | "which" | "who" | "where" | "so" | "because") {
                    return None;
                }
                unknown += 1;
            }
            _ => return None,
        }
    }
    None
}

/// What is said behind names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// "… is forbidden", "… are not allowed", "…-free".
    Denied,
    /// "… is not needed", "… is optional".
    Optional,
    /// "… is needed": behind "no", it is not.
    Needed,
    /// "… is allowed".
    Allowed,
}

/// Words between names and what is said behind them.
const VERBS: &[&str] = &[
    "is",
    "are",
    "both",
    "all",
    "be",
    "must",
    "must be",
    "should",
    "should be",
    "may",
    "can",
    "都",
    "也",
    "是",
];

/// What is said behind names that end at `end`, and where that ends.
pub(super) fn behind(s: &Sentence<'_>, end: usize) -> Option<(Behind, usize)> {
    if s.word(end) == "free" {
        return Some((Behind::Denied, end + 1));
    }
    if s.word(end) == "(" && s.sense(end + 1) == Some(Sense::Maybe) && s.word(end + 2) == ")" {
        return Some((Behind::Optional, end + 3));
    }
    let said = (end..s.len()).find(|i| !VERBS.contains(&s.word(*i))).filter(|i| !s.used[*i])?;
    match (s.sense(said), s.word(said)) {
        (Some(Sense::Not), _) => not_behind(s, said),
        (Some(Sense::Maybe), "optional" | "可选" | "可选的" | "可有可无") => {
            let of_next = matches!(s.sense(said + 1), Some(Sense::Name(_) | Sense::Must));
            (!of_next).then_some((Behind::Optional, said + 1))
        }
        (_, "needed" | "required" | "necessary" | "mandatory") => Some((Behind::Needed, said + 1)),
        (_, "allowed" | "permitted" | "acceptable" | "welcome" | "ok" | "okay") => {
            Some((Behind::Allowed, said + 1))
        }
        (_, "used") if (end..said).any(|i| matches!(s.word(i), "may" | "can")) => {
            Some((Behind::Allowed, said + 1))
        }
        _ => None,
    }
}

/// What a "not" at `not` says of names before it.
fn not_behind(s: &Sentence<'_>, not: usize) -> Option<(Behind, usize)> {
    if matches!(s.word(not), "forbidden" | "banned" | "prohibited" | "disallowed" | "excluded") {
        return Some((Behind::Denied, not + 1));
    }
    // "LSTM和GRU都不要": where the sentence goes on, it may be said of what follows.
    let alone =
        matches!(s.word(not), "不要" | "不用" | "不使用" | "不能用" | "不允许" | "禁止" | "禁用" | "除外");
    let ends = s.kind(not + 1) == Kind::Sign || s.sense(not + 1) == Some(Sense::List);
    if alone && ends {
        return Some((Behind::Denied, not + 1));
    }
    let said = not + 1 + usize::from(s.word(not + 1) == "be");
    match s.word(said) {
        "allowed" | "permitted" | "wanted" | "used" | "welcome" | "acceptable" | "desired" | "ok"
        | "okay" => Some((Behind::Denied, said + 1)),
        "needed" | "required" | "necessary" | "mandatory" => Some((Behind::Optional, said + 1)),
        _ => None,
    }
}
