//! What is named without a number: decoder families, parts, backbones, licences, and what to rank by.

use super::backbones::BACKBONES;
use super::lexicon::{Name, Sense};
use super::{Notes, Reading, Sentence};
use crate::{Contract, Family, Objective};

/// One list of names with what is said of them.
struct Mention {
    names: Vec<Name>,
    wanted: bool,
    only: bool,
    /// Said of data rather than of weights; `None` if of neither.
    of_data: Option<bool>,
    place: (usize, String),
}

/// Reads every name of the request into the contract.
pub(super) fn read(s: &mut Sentence<'_>, notes: &mut Notes, contract: &mut Contract) {
    let mut mentions = Vec::new();
    let mut at = 0;
    while at < s.len() {
        match s.sense(at).filter(|_| !s.used[at]) {
            Some(Sense::Best(merit)) => {
                let (start, phrase) = s.take(at, at + 1);
                contract.objectives.push(Objective { merit, within: 0.0 });
                notes.understand(start, phrase, format!("designs are ranked by {merit}"), "objectives");
            }
            Some(Sense::Name(name)) => {
                if let (Name::Family(_), Some((from, to))) = (name, encoder(s, at)) {
                    let place = s.take(from, to);
                    notes.ignore(
                        place,
                        "families are of decoders; encoders are chosen by the allowed backbones",
                    );
                    at = to;
                    continue;
                }
                let mention = mention(s, at);
                at = mention.1;
                mentions.push(mention.0);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    let kinds: [fn(&Name) -> bool; 4] = [
        |n| matches!(n, Name::Family(_)),
        |n| matches!(n, Name::Part(_)),
        |n| matches!(n, Name::Scratch),
        |n| matches!(n, Name::Licence(_)),
    ];
    let [families, parts, scratch, licences] = kinds.map(|kind| {
        let of_kind = |m: &Mention| m.names.first().is_some_and(kind);
        mentions.iter().filter(|m| of_kind(m)).collect::<Vec<_>>()
    });
    resolve_families(&families, notes, contract);
    resolve_parts(&parts, notes, contract);
    resolve_scratch(&scratch, notes, contract);
    resolve_licences(&licences, notes, contract);
}

/// A "vision transformer" or "transformer encoder".
fn encoder(s: &Sentence<'_>, at: usize) -> Option<(usize, usize)> {
    let before = at.checked_sub(1).filter(|i| s.sense(*i) == Some(Sense::Encoder) && !s.used[*i]);
    let after = s.sense(at + 1) == Some(Sense::Encoder);
    (before.is_some() || after).then(|| (before.unwrap_or(at), at + 1 + usize::from(after)))
}

/// The names joined from `at` on, what is said of them, and where the list ends.
fn mention(s: &mut Sentence<'_>, at: usize) -> (Mention, usize) {
    let same = |a: Name, b: Name| std::mem::discriminant(&a) == std::mem::discriminant(&b);
    let mut names: Vec<Name> = Vec::new();
    let (mut i, mut end) = (at, at);
    while let Some(Sense::Name(name)) = s.sense(i) {
        if names.first().is_some_and(|first| !same(*first, name)) || (i > at && encoder(s, i).is_some()) {
            break;
        }
        names.push(name);
        end = i + 1;
        end += usize::from(matches!(s.word(end), "decoder" | "decoders" | "解" | "blocks" | "block"));
        end += usize::from(matches!(s.word(end), "码") && s.word(end - 1) == "解");
        end += usize::from(matches!(s.word(end), "器"));
        i = end;
        while matches!(s.sense(i), Some(Sense::List)) || s.word(i) == "nor" {
            i += 1;
        }
        if i == end {
            break;
        }
    }
    let (from, wanted, only) = polarity(s, at);
    let mut of_data = kind_before(s, from.max(1) - 1).or(kind_before(s, at.max(1) - 1));
    if matches!(names[0], Name::Licence(_)) {
        while matches!(s.sense(end), Some(Sense::OfWeights | Sense::Join))
            || matches!(s.word(end), "weights" | "data")
        {
            of_data = of_data.or(match s.word(end) {
                "weights" => Some(false),
                "data" => Some(true),
                _ => None,
            });
            end += 1;
        }
    }
    let from =
        if of_data.is_some() && from > 0 && kind_before(s, from - 1).is_some() { from - 1 } else { from };
    let place = s.take(from, end);
    (Mention { names, wanted, only, of_data, place }, end)
}

/// Whether the phrase that ends at `at` says of what licences are.
fn kind_before(s: &Sentence<'_>, mut at: usize) -> Option<bool> {
    loop {
        match s.sense(at) {
            Some(Sense::OfData) => return Some(true),
            Some(Sense::OfWeights) => return Some(false),
            Some(Sense::Join | Sense::Only | Sense::Must) if at > 0 => at -= 1,
            _ => return None,
        }
    }
}

/// Where the phrase before a name starts, whether the name is wanted, and whether it alone is.
fn polarity(s: &Sentence<'_>, at: usize) -> (usize, bool, bool) {
    let mut start = at;
    let mut only = false;
    while start > 0 && !s.used[start - 1] {
        match s.sense(start - 1) {
            Some(Sense::Only) => only = true,
            Some(Sense::Must) => {}
            Some(Sense::Join) if matches!(s.word(start - 1), "a" | "an" | "the" | "的" | "一个") => {}
            _ if matches!(s.word(start - 1), "any" | "plain") => {}
            _ => break,
        }
        start -= 1;
    }
    let denied = start.checked_sub(1).filter(|i| !s.used[*i] && s.sense(*i) == Some(Sense::Not));
    match denied {
        // "not only LSTM" asks for LSTM, and not for it alone.
        Some(i) if only => (i, true, false),
        Some(i) => (i, false, false),
        None => (start, true, only),
    }
}

fn resolve_families(mentions: &[&Mention], notes: &mut Notes, contract: &mut Contract) {
    let family = |name: &Name| match name {
        Name::Family(family) => Some(*family),
        _ => None,
    };
    let of = |m: &Mention| m.names.iter().filter_map(family).collect::<Vec<Family>>();
    let said = |f: Family, wanted: bool| mentions.iter().any(|m| m.wanted == wanted && of(m).contains(&f));
    let any_wanted = mentions.iter().any(|m| m.wanted);
    let kept = |f: Family| !said(f, false) && (said(f, true) || !any_wanted);
    let left: Vec<Family> = Family::ALL.into_iter().filter(|f| kept(*f)).collect();
    let both = Family::ALL.into_iter().find(|f| said(*f, true) && said(*f, false));
    let beside_only = mentions.iter().filter(|m| m.only).find_map(|alone| {
        let others = mentions.iter().filter(|m| m.wanted).flat_map(|m| of(m));
        others.into_iter().find(|f| !of(alone).contains(f))
    });
    let fault = if let Some(family) = both {
        format!("the request both asks for {family} decoders and excludes them")
    } else if let Some(family) = beside_only {
        format!("the request asks for one family only, and for {family} too")
    } else if left.is_empty() {
        "the request excludes every decoder family".to_owned()
    } else {
        contract.components.families = left;
        for mention in mentions {
            let names = of(mention).iter().map(Family::to_string).collect::<Vec<_>>().join(" or ");
            let meaning = if mention.wanted {
                format!("{names} decoders only")
            } else {
                format!("no {names} decoders")
            };
            notes.understand(mention.place.0, mention.place.1.clone(), meaning, "components.families");
        }
        return;
    };
    for mention in mentions {
        notes.refuse(mention.place.clone(), fault.clone());
    }
}

fn resolve_parts(mentions: &[&Mention], notes: &mut Notes, contract: &mut Contract) {
    let words = |m: &Mention| {
        m.names
            .iter()
            .filter_map(|n| if let Name::Part(word) = n { Some(*word) } else { None })
            .collect::<Vec<_>>()
    };
    for mention in mentions {
        for word in words(mention) {
            let denied = mentions.iter().any(|m| m.wanted != mention.wanted && words(m).contains(&word));
            if denied {
                notes.refuse(
                    mention.place.clone(),
                    format!("the request both asks for {word} and excludes it"),
                );
                continue;
            }
            let parts = &mut contract.components;
            let (start, phrase) = mention.place.clone();
            let (meaning, clause) = match (mention.wanted, BACKBONES.contains(&word)) {
                (true, true) => {
                    let names = parts.backbones.get_or_insert_default();
                    names.push(word.to_owned());
                    parts.scratch = false;
                    (format!("the encoder is {}", names.join(" or ")), "components.backbones")
                }
                (true, false) => {
                    parts.required.push(word.to_owned());
                    (format!("every design has {word}"), "components.required")
                }
                (false, _) => {
                    parts.forbidden.push(word.to_owned());
                    (format!("no design has {word}"), "components.forbidden")
                }
            };
            notes.understand(start, phrase, meaning, clause);
        }
    }
}

fn resolve_scratch(mentions: &[&Mention], notes: &mut Notes, contract: &mut Contract) {
    let contradiction = mentions.iter().any(|m| m.wanted) && mentions.iter().any(|m| !m.wanted);
    for mention in mentions {
        if contradiction || (mention.wanted && contract.components.backbones.is_some()) {
            notes
                .refuse(mention.place.clone(), "the request asks for encoders from scratch and against them");
            continue;
        }
        let (start, phrase) = mention.place.clone();
        if mention.wanted {
            contract.components.backbones = Some(Vec::new());
            notes.understand(start, phrase, "encoders from scratch only".to_owned(), "components.backbones");
        } else {
            contract.components.scratch = false;
            notes.understand(start, phrase, "no encoders from scratch".to_owned(), "components.scratch");
        }
    }
}

fn resolve_licences(mentions: &[&Mention], notes: &mut Notes, contract: &mut Contract) {
    for mention in mentions {
        if !mention.wanted {
            notes.ignore(mention.place.clone(), "name the licences that are allowed, not those that are not");
            continue;
        }
        let of_data = mention.of_data.unwrap_or(false);
        let list = if of_data { &mut contract.licences.data } else { &mut contract.licences.weights };
        for name in &mention.names {
            if let Name::Licence(licence) = name
                && !list.iter().any(|l| l == licence)
            {
                list.push((*licence).to_owned());
            }
        }
        let (noun, clause) =
            if of_data { ("data", "licences.data") } else { ("weights", "licences.weights") };
        let (start, phrase) = mention.place.clone();
        let meaning = format!("licences of {noun}: {}", list.join(", "));
        if mention.of_data.is_some() {
            notes.understand(start, phrase, meaning, clause);
        } else {
            let meaning = format!("{meaning} (not said of what: read as of weights)");
            notes.doubt(Reading { phrase, meaning, start, clause: clause.to_owned() });
        }
    }
}
