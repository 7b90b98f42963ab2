//! Features of frozen backbones are computed once for each backbone, cut, image size and kind of variants, and take minutes where a design
//! takes one: a study with hours to spend keeps to those that it has, mostly.

use crate::architect::Brief;
use capwright_blueprint::language::{Source, Tune};
use capwright_blueprint::{Blueprint, Checked};
use rand::Rng;
use std::collections::BTreeSet;

/// Multiply-accumulates of an image's encoder, all its variants together, that take as long as an epoch over their features: those of
/// EfficientNet-Lite0 at 224 pixels with flips and crops take some sixteen times as long.
const EPOCH: f64 = 1e8;

/// Designs that may all bring features of their own.
const FIRST: usize = 2;

/// Of its hours a study may well spend one part in so many on one set of features.
const PART: f64 = 16.0;

/// The sets of features that a design reads.
fn sets(design: &Blueprint) -> BTreeSet<String> {
    let Source::Pretrained { backbone, cut, cuts, tune, beside } = &design.encoder.source else {
        return BTreeSet::new();
    };
    if matches!(tune, Tune::All | Tune::AllWithStatistics) {
        return BTreeSet::new();
    }
    // Of a backbone whose last stage is trained, what lies before it is kept.
    let whole = *tune == Tune::Frozen;
    let first = format!("{backbone} {cut} {} {whole}", cuts.0);
    let second = beside.iter().map(|beside| format!("{} {} 1 true", beside.backbone, beside.cut));
    let (size, variants) = (design.encoder.input.0, &design.recipe.augment);
    std::iter::once(first).chain(second).map(|part| format!("{part} {size} {variants:?}")).collect()
}

/// What a study has, where its contract gives it hours.
pub(crate) struct Thrift {
    /// Sets of features; none where all designs are worth their time.
    known: Option<BTreeSet<String>>,
    /// Epochs that one worker trains in the hours of the contract, once it is known what they take.
    epochs: Option<f64>,
}

/// How often features are worth it that take as long as so many epochs.
fn chance(features: f64, budget: Option<f64>) -> f64 {
    let worth = budget.map_or(1.0, |epochs| (epochs / PART).max(1.0));
    (worth / features.max(1.0)).min(1.0)
}

impl Thrift {
    pub(crate) fn of(brief: &Brief) -> Self {
        let (search, trials) = (&brief.contract.search, &brief.study.trials);
        let free = (search.hours.is_none() && search.cpu_hours.is_none()) || trials.len() < FIRST;
        let known = || trials.values().flat_map(|trial| sets(&trial.blueprint)).collect();
        let hours = search.hours.unwrap_or(f64::INFINITY).min(search.cpu_hours.unwrap_or(f64::INFINITY));
        let each = Some(brief.study.seconds_per_epoch()).filter(|seconds| *seconds > 0.0);
        Self { known: (!free).then(known), epochs: each.map(|seconds| hours * 3_600.0 / seconds) }
    }

    /// Whether a design is worth its time: it reads what is there, or is one of some that its features are worth.
    pub(crate) fn is_worth(&self, design: &Checked, rng: &mut impl Rng) -> bool {
        let Some(known) = &self.known else { return true };
        let blueprint = design.blueprint();
        let variants = blueprint.recipe.augment.variants();
        let features = design.cost().macs_image as f64 * variants as f64 / EPOCH;
        sets(blueprint).is_subset(known) || rng.random_bool(chance(features, self.epochs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_time_the_more_is_tried() {
        assert_eq!(chance(16.0, None), 1.0 / 16.0);
        assert_eq!(chance(16.0, Some(10.0)), 1.0 / 16.0);
        assert_eq!(chance(16.0, Some(128.0)), 0.5);
        assert_eq!((chance(16.0, Some(1e6)), chance(0.5, None)), (1.0, 1.0));
    }
}
