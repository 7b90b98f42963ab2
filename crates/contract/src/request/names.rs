//! What is named without a number: decoder families, parts, backbones, licences, and what to rank by.

use super::backbones::BACKBONES;
use super::lexicon::{Dimension, Name, Sense, Topic};
use super::mention::{Mention, encoder, mentions};
use super::{Notes, Reading, Sentence};
use crate::{Clause, Contract, Family, Merit, Objective};

/// Reads every name of the request into the contract.
pub(super) fn read(s: &mut Sentence<'_>, notes: &mut Notes, contract: &mut Contract) {
    let mut all = Vec::new();
    let mut at = 0;
    while at < s.len() {
        match s.sense(at).filter(|_| !s.used[at]) {
            Some(Sense::Best(merit)) => {
                at = best(s, at, merit, notes, contract);
                continue;
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
                let (found, end) = mentions(s, at, notes);
                at = end;
                all.extend(found);
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
        all.iter().filter(|m| of_kind(m)).collect::<Vec<_>>()
    });
    resolve_families(&families, notes, contract);
    resolve_parts(&parts, notes, contract);
    resolve_scratch(&scratch, notes, contract);
    resolve_licences(&licences, notes, contract);
}

/// "smallest", or "smallest latency": what designs are ranked by. Where the phrase ends.
fn best(s: &mut Sentence<'_>, at: usize, merit: Merit, notes: &mut Notes, contract: &mut Contract) -> usize {
    let denied =
        (0..at).rev().find(|i| s.sense(*i) != Some(Sense::Join)).filter(|i| s.sense(*i) == Some(Sense::Not));
    if let Some(from) = denied.filter(|from| !s.used[*from]) {
        let place = s.take(from, at + 1);
        notes.ignore(place, "what is not wanted most does not say what is");
        return at + 1;
    }
    let of = (at + 1..s.len()).find(|i| s.sense(*i) != Some(Sense::Join)).filter(|i| !s.used[*i]);
    let named = of.and_then(|of| Some((of, s.sense(of)?)));
    let (merit, mut end) = match named {
        Some((of, Sense::Topic(topic))) => (merit_of(topic), of + 1),
        Some((of, Sense::Unit(Dimension::Parameters, _))) => (Some(Merit::ParamsTotal), of + 1),
        Some((of, Sense::Unit(Dimension::Macs, _))) => (Some(Merit::MacsImage), of + 1),
        _ => (Some(merit), at + 1),
    };
    end += usize::from(s.word(end) == "possible");
    let (start, phrase) = s.take(at, end);
    match merit {
        Some(merit) => {
            contract.objectives.push(Objective { merit, within: 0.0 });
            notes.understand(start, phrase, format!("designs are ranked by {merit}"), "objectives");
        }
        None => notes.ignore(
            (start, phrase),
            "designs are not ranked by that; objectives in a contract name what they are",
        ),
    }
    end
}

/// What designs are ranked by where something is to be the best.
fn merit_of(topic: Topic) -> Option<Merit> {
    match topic {
        Topic::Training => Some(Merit::TrainingSeconds),
        Topic::Trainable => Some(Merit::ParamsTrainable),
        Topic::Clause(Clause::LatencyP50 | Clause::LatencyP95) => Some(Merit::CaptionMs),
        Topic::Clause(Clause::EnergyJoules) => Some(Merit::CaptionJoules),
        Topic::Clause(Clause::WeightBytes) => Some(Merit::WeightBytes),
        Topic::Clause(Clause::Bleu4) => Some(Merit::Bleu4),
        Topic::Clause(Clause::CiderD) => Some(Merit::CiderD),
        _ => None,
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
            mention.tell(notes, &meaning, "components.families");
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
            mention.tell(notes, &meaning, clause);
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
        if mention.wanted {
            contract.components.backbones = Some(Vec::new());
            mention.tell(notes, "encoders from scratch only", "components.backbones");
        } else {
            contract.components.scratch = false;
            mention.tell(notes, "no encoders from scratch", "components.scratch");
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
        let doubt = mention.of_data.is_none().then_some("not said of what: read as of weights");
        notes.say(Reading { phrase, meaning, start, clause: clause.to_owned() }, doubt);
    }
}
