//! Decoder families: "only LSTM", "a Transformer decoder", "no transformers", "GRU or LSTM".

use super::{Notes, Reading, Sentence};
use crate::Family;

/// One list of families with what is said of them.
struct Mention {
    families: Vec<Family>,
    wanted: bool,
    only: bool,
    place: (usize, String),
}

/// Reads what is said of decoder families; `None` if nothing is.
pub(super) fn read(s: &mut Sentence<'_>, notes: &mut Notes) -> Option<Vec<Family>> {
    let mut mentions = Vec::new();
    let mut at = 0;
    while at < s.tokens.len() {
        if s.used[at] || family(s.word(at)).is_none() {
            at += 1;
            continue;
        }
        if let Some((from, to)) = encoder(s, at) {
            let place = s.take(from, to);
            notes.ignore(place, "families are of decoders; encoders are chosen by the allowed backbones");
            at = to;
            continue;
        }
        let (found, to) = list(s, at);
        let (from, wanted, only) = polarity(s, at);
        let place = s.take(from, to);
        mentions.push(Mention { families: found, wanted, only, place });
        at = to;
    }
    if mentions.is_empty() { None } else { resolve(mentions, notes) }
}

fn family(word: &str) -> Option<Family> {
    match word {
        "lstm" | "lstms" => Some(Family::Lstm),
        "gru" | "grus" => Some(Family::Gru),
        "transformer" | "transformers" => Some(Family::Transformer),
        _ => None,
    }
}

/// A "vision transformer" or "transformer encoder".
fn encoder(s: &Sentence<'_>, at: usize) -> Option<(usize, usize)> {
    let vision = at.checked_sub(1).filter(|i| s.word(*i) == "vision");
    let named = matches!(s.word(at + 1), "encoder" | "encoders" | "backbone" | "backbones");
    (vision.is_some() || named).then(|| (vision.unwrap_or(at), at + 1 + usize::from(named)))
}

/// The families joined from `at` on, and where the list ends.
fn list(s: &Sentence<'_>, at: usize) -> (Vec<Family>, usize) {
    let mut found = Vec::new();
    let mut end = at;
    let mut i = at;
    while let Some(next) = family(s.word(i)).filter(|_| encoder(s, i).is_none()) {
        found.push(next);
        end = i + 1;
        end += usize::from(matches!(s.word(end), "decoder" | "decoders"));
        i = end;
        while matches!(s.word(i), "," | "/" | "or" | "and" | "nor" | "&") {
            i += 1;
        }
        if i == end {
            break;
        }
    }
    (found, end)
}

/// Where the phrase before a family starts, whether the family is wanted, and whether it alone is.
fn polarity(s: &Sentence<'_>, at: usize) -> (usize, bool, bool) {
    const PASSED: &[&str] =
        &["a", "an", "any", "the", "use", "using", "want", "only", "just", "pure", "plain"];
    const AGAINST: &[&str] = &[
        "no",
        "not",
        "non",
        "without",
        "never",
        "neither",
        "nor",
        "except",
        "avoid",
        "avoiding",
        "excluding",
        "don't",
        "dont",
    ];
    let mut start = at;
    let mut only = false;
    while start > 0 && !s.used[start - 1] && PASSED.contains(&s.word(start - 1)) {
        start -= 1;
        only |= matches!(s.word(start), "only" | "just" | "pure");
    }
    let pair = start.checked_sub(2).map(|i| (s.word(i), s.word(i + 1)));
    let against_pair = [("instead", "of"), ("rather", "than"), ("other", "than"), ("anything", "but")]
        .map(Some)
        .contains(&pair);
    if against_pair {
        return (start - 2, false, false);
    }
    let denied = start.checked_sub(1).filter(|i| !s.used[*i] && AGAINST.contains(&s.word(*i)));
    match denied {
        // "not only LSTM" asks for LSTM, and not for it alone.
        Some(i) if only => (i, true, false),
        Some(i) => (i, false, false),
        None => (start, true, only),
    }
}

fn resolve(mentions: Vec<Mention>, notes: &mut Notes) -> Option<Vec<Family>> {
    let said =
        |f: Family, wanted: bool| mentions.iter().any(|m| m.wanted == wanted && m.families.contains(&f));
    let any_wanted = mentions.iter().any(|m| m.wanted);
    let kept = |f: Family| !said(f, false) && (said(f, true) || !any_wanted);
    let left: Vec<Family> = Family::ALL.into_iter().filter(|f| kept(*f)).collect();
    let both = Family::ALL.into_iter().find(|f| said(*f, true) && said(*f, false));
    let beside_only = mentions.iter().filter(|m| m.only).find_map(|alone| {
        let others = mentions.iter().filter(|m| m.wanted).flat_map(|m| &m.families);
        others.copied().find(|f| !alone.families.contains(f))
    });
    let fault = if let Some(family) = both {
        Some(format!("the request both asks for {family} decoders and excludes them"))
    } else if let Some(family) = beside_only {
        Some(format!("the request asks for one family only, and for {family} too"))
    } else if left.is_empty() {
        Some("the request excludes every decoder family".to_owned())
    } else {
        None
    };
    if let Some(fault) = fault {
        for mention in mentions {
            notes.refuse(mention.place, fault.clone());
        }
        return None;
    }
    for Mention { families, wanted, place: (start, phrase), .. } in mentions {
        let names = families.iter().map(Family::to_string).collect::<Vec<_>>().join(" or ");
        let meaning = if wanted { format!("{names} decoders only") } else { format!("no {names} decoders") };
        notes.understood.push((start, Reading { phrase, meaning }));
    }
    Some(left)
}
