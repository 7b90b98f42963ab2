//! Features of frozen backbones are computed once for each backbone, cut, image size and kind of variants, and take minutes where a design
//! takes one: a study with hours to spend keeps to those that it has, mostly.

use crate::architect::Brief;
use capwright_blueprint::Blueprint;
use capwright_blueprint::language::{Source, Tune};
use rand::Rng;
use std::collections::BTreeSet;

/// How often a design is tried all the same: features take some sixteen times as long as the first epoch over them.
const NEW: f64 = 1.0 / 16.0;

/// Designs that may all bring features of their own.
const FIRST: usize = 2;

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
}

impl Thrift {
    pub(crate) fn of(brief: &Brief) -> Self {
        let (search, trials) = (&brief.contract.search, &brief.study.trials);
        let free = (search.hours.is_none() && search.cpu_hours.is_none()) || trials.len() < FIRST;
        let known = || trials.values().flat_map(|trial| sets(&trial.blueprint)).collect();
        Self { known: (!free).then(known) }
    }

    /// Whether a design is worth its time: it reads what is there, or is the one of many.
    pub(crate) fn is_worth(&self, design: &Blueprint, rng: &mut impl Rng) -> bool {
        self.known.as_ref().is_none_or(|known| sets(design).is_subset(known) || rng.random_bool(NEW))
    }
}
