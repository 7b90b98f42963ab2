//! What a number is said about, by the unit and the topics around it.

use super::lexicon::{Dimension, Limit, Topic};
use super::number::Number;
use crate::Clause;

/// What a number is said about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    Clause(Clause),
    Field(&'static str),
    ImageSize,
    Beam,
    Epochs,
    Trials,
    Confidence,
}

/// Everything around one number.
#[derive(Debug, Default)]
pub(super) struct Phrase {
    pub from: usize,
    pub to: usize,
    pub limit: Option<Limit>,
    pub scale: Option<u64>,
    pub unit: Option<(Dimension, u64)>,
    pub topics: Vec<Topic>,
    pub upto: Option<Number>,
    /// Numbers that the same is said of.
    pub more: Vec<Number>,
    pub stranger: Option<String>,
    pub short_scale: bool,
    /// What the number goes on with, as in "1 h 30 min": it is to be multiplied by the one, and the other added.
    pub steps: Vec<(u64, Number)>,
    /// Something belongs to the number that is not read, as in "1/2".
    pub unread: bool,
    /// Why it may be meant otherwise.
    pub doubt: Option<&'static str>,
}

/// What a phrase is about, its unit as a fraction of the target's own, and what is doubtful.
pub(super) type Read = (Target, u64, u64, Option<String>);

/// Whether a topic can be what a phrase is about, given its unit and earlier topics.
pub(super) fn belongs(topic: Topic, phrase: &Phrase) -> bool {
    let (unit, topics) = (phrase.unit.map(|(d, _)| d), &phrase.topics);
    if topics.contains(&topic) {
        return false;
    }
    let fits = match topic {
        Topic::Trainable => matches!(unit, None | Some(Dimension::Parameters)),
        Topic::PerWord => matches!(unit, None | Some(Dimension::Macs | Dimension::Flops)),
        Topic::PerImage => !matches!(unit, Some(Dimension::Parameters)),
        Topic::Training => matches!(unit, Some(Dimension::Time | Dimension::Bytes)) || unit.is_none(),
        Topic::Clause(clause) => match unit {
            None => true,
            Some(dimension) => dimension_of(clause).contains(&dimension),
        },
        Topic::ImageSize => matches!(unit, None | Some(Dimension::Pixels)),
        Topic::Field("layers") => matches!(unit, None | Some(Dimension::Layers)),
        Topic::Field("heads") => matches!(unit, None | Some(Dimension::Heads)),
        Topic::Confidence => matches!(unit, None | Some(Dimension::Percent)),
        Topic::Field(field) if is_share(field) => matches!(unit, None | Some(Dimension::Percent)),
        Topic::Field(_) | Topic::Beam | Topic::Epochs | Topic::Trials => unit.is_none(),
    };
    let second = !topics.is_empty() && !joins(topic, topics[0]);
    fits && !second
}

/// Whether a hyperparameter is a share, which the language has in percent.
pub(super) fn is_share(field: &str) -> bool {
    field.ends_with("_pct")
}

/// Whether two topics can be said of one number.
fn joins(a: Topic, b: Topic) -> bool {
    let side = |t| matches!(t, Topic::Training | Topic::PerImage | Topic::PerWord);
    let percentile = |t| {
        matches!(
            t,
            Topic::Clause(
                Clause::LatencyP50
                    | Clause::LatencyP95
                    | Clause::MemoryBytes
                    | Clause::MaxWords
                    | Clause::EnergyJoules
            )
        )
    };
    (side(a) && percentile(b)) || (percentile(a) && (side(b) || percentile(b)))
}

pub(super) fn dimension_of(clause: Clause) -> &'static [Dimension] {
    use Dimension::*;
    match clause {
        Clause::WeightBytes | Clause::MemoryBytes | Clause::TrainingMemoryBytes => &[Bytes],
        Clause::LatencyP50 | Clause::LatencyP95 | Clause::TrainingSeconds => &[Time],
        Clause::EnergyJoules => &[Energy],
        Clause::IdenticalShare => &[Percent],
        Clause::Bleu1 | Clause::Bleu2 | Clause::Bleu3 | Clause::Bleu4 => &[Percent],
        Clause::DistinctCaptions => &[Captions],
        Clause::MaxWords | Clause::MaxVocab => &[Words],
        Clause::TokenBudget => &[Tokens],
        Clause::MoneyUsd => &[Dollars],
        _ => &[],
    }
}

/// What the phrase is about, and its unit as a fraction of the target's own.
pub(super) fn target(phrase: &Phrase) -> Result<Read, String> {
    let has = |topic: Topic| phrase.topics.contains(&topic);
    let clause = phrase.topics.iter().rev().find_map(|t| match t {
        Topic::Clause(clause) => Some(*clause),
        _ => None,
    });
    // "latency … in 95 % of cases": the percentile says which latency, wherever it stands.
    let p95 = Clause::LatencyP95;
    let clause = if has(Topic::Clause(p95)) { Some(p95) } else { clause };
    let other = phrase.topics.iter().find_map(|t| match t {
        Topic::Field(field) => Some(Target::Field(field)),
        Topic::ImageSize => Some(Target::ImageSize),
        Topic::Beam => Some(Target::Beam),
        Topic::Epochs => Some(Target::Epochs),
        Topic::Trials => Some(Target::Trials),
        Topic::Confidence => Some(Target::Confidence),
        _ => None,
    });
    let plain = |clause, up| Ok((Target::Clause(clause), up, 1, None));
    let Some((dimension, factor)) = phrase.unit else {
        return without_unit(phrase, clause, other);
    };
    match dimension {
        Dimension::Parameters if has(Topic::Trainable) => plain(Clause::ParamsTrainable, factor),
        Dimension::Parameters => plain(Clause::ParamsTotal, factor),
        Dimension::Macs if has(Topic::PerWord) => plain(Clause::MacsToken, factor),
        Dimension::Macs => plain(Clause::MacsImage, factor),
        Dimension::Flops => {
            let clause = if has(Topic::PerWord) { Clause::MacsToken } else { Clause::MacsImage };
            let said = "a multiply-accumulate counts as two operations".to_owned();
            Ok((Target::Clause(clause), factor, 2, Some(said)))
        }
        Dimension::Bytes
            if clause == Some(Clause::TrainingMemoryBytes)
                || clause == Some(Clause::MemoryBytes) && has(Topic::Training) =>
        {
            plain(Clause::TrainingMemoryBytes, factor)
        }
        Dimension::Bytes if clause.is_none() && has(Topic::Training) => {
            let said = "bytes in training: read as of memory".to_owned();
            Ok((Target::Clause(Clause::TrainingMemoryBytes), factor, 1, Some(said)))
        }
        Dimension::Bytes => plain(clause.unwrap_or(Clause::WeightBytes), factor),
        Dimension::Time if has(Topic::Training) => {
            Ok((Target::Clause(Clause::TrainingSeconds), factor, 1_000_000, None))
        }
        Dimension::Time => match clause {
            Some(clause) => Ok((Target::Clause(clause), factor, 1_000, None)),
            None if factor > 1_000_000 => {
                Err("say what may take that long: \"training\" or \"latency\"".to_owned())
            }
            None => {
                let said = "a time that is not said to be of training: read as the median latency".to_owned();
                Ok((Target::Clause(Clause::LatencyP50), factor, 1_000, Some(said)))
            }
        },
        Dimension::Energy => Ok((Target::Clause(Clause::EnergyJoules), factor, 1_000_000, None)),
        Dimension::Percent => match (clause, other) {
            (Some(clause), _) => Ok((Target::Clause(clause), factor, 100, None)),
            (None, Some(Target::Confidence)) => Ok((Target::Confidence, factor, 100, None)),
            (None, Some(target @ Target::Field(field))) if is_share(field) => Ok((target, factor, 1, None)),
            _ => {
                Err("say what that share is of: identical captions, dropout, confidence or a BLEU".to_owned())
            }
        },
        Dimension::Dollars => plain(Clause::MoneyUsd, factor),
        Dimension::Tokens => plain(Clause::TokenBudget, factor),
        Dimension::Words => plain(clause.unwrap_or(Clause::MaxWords), factor),
        Dimension::Captions => plain(Clause::DistinctCaptions, factor),
        Dimension::Pixels => Ok((Target::ImageSize, factor, 1, None)),
        Dimension::Layers => Ok((Target::Field("layers"), factor, 1, None)),
        Dimension::Heads => Ok((Target::Field("heads"), factor, 1, None)),
    }
}

/// Numbers that need no unit, and why others do.
fn without_unit(phrase: &Phrase, clause: Option<Clause>, other: Option<Target>) -> Result<Read, String> {
    if let Some(stranger) = &phrase.stranger {
        return Err(format!(
            "{stranger:?} is no unit that is read; units: parameters, trainable parameters, MACs, bytes (MB, MiB), ms, s, J"
        ));
    }
    if let Some(target) = other {
        // A share such as dropout 0.3 is kept in percent; it cannot be told from 0.3 %.
        return Ok((target, 1, 1, None));
    }
    match clause {
        Some(
            clause @ (Clause::Bleu1
            | Clause::Bleu2
            | Clause::Bleu3
            | Clause::Bleu4
            | Clause::CiderD
            | Clause::IdenticalShare
            | Clause::DistinctCaptions
            | Clause::MaxWords
            | Clause::MaxVocab
            | Clause::TokenBudget),
        ) => Ok((Target::Clause(clause), 1, 1, None)),
        Some(clause) => {
            Err(format!("{clause} needs a unit, such as {}", crate::clause::example_unit(clause)))
        }
        None if phrase.topics.contains(&Topic::Trainable) => {
            Ok((Target::Clause(Clause::ParamsTrainable), 1, 1, None))
        }
        None if phrase.scale.is_some_and(|scale| scale >= 1_000)
            && !phrase.short_scale
            && phrase.topics.is_empty() =>
        {
            let said = "no unit is named: read as an upper bound on parameters".to_owned();
            Ok((Target::Clause(Clause::ParamsTotal), 1, 1, Some(said)))
        }
        None => Err("a number without a unit; say parameters, MACs or MB".to_owned()),
    }
}
