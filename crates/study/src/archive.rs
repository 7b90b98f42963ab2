//! The best design of each kind: designs that differ in what they are, not only in how well they do (Mouret and Clune,
//! "Illuminating search spaces by mapping elites", 2015).

use crate::{Leaderboard, Study, Trial};
use capwright_blueprint::Blueprint;
use capwright_blueprint::language::Source;
use capwright_contract::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A kind of designs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    /// Where features come from: the backbone's family without its size, `scratch`, or two joined by `&`.
    pub encoder: String,
    /// The family of the decoder.
    pub decoder: Family,
    /// Parameters in total.
    pub size: Size,
}

/// Parameters in total, by powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Size(u32);

impl Size {
    fn of(parameters: u64) -> Self {
        Self(parameters.max(1).div_ceil(1_000_000).next_power_of_two().trailing_zeros())
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "up to {} M", 1u64 << self.0)
    }
}

impl Kind {
    /// The kind of a trial's design.
    pub fn of(trial: &Trial) -> Self {
        Self {
            encoder: encoder(&trial.blueprint),
            decoder: Family::of(&trial.blueprint),
            size: Size::of(trial.cost.params_total),
        }
    }
}

fn encoder(blueprint: &Blueprint) -> String {
    let names = blueprint.encoder.source.backbones();
    if let Source::Scratch { .. } = blueprint.encoder.source {
        return "scratch".into();
    }
    // `efficientnet_lite0` and `efficientnet_lite2` are of one family.
    let family = |name: &&str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let mut families: Vec<String> = names.iter().map(family).collect();
    families.dedup();
    families.join(" & ")
}

impl Study {
    /// The best ranked trial of each kind.
    pub fn archive(&self, board: &Leaderboard) -> BTreeMap<Kind, u64> {
        let mut best = BTreeMap::new();
        for row in &board.rows {
            if let Some(trial) = self.trials.get(&row.trial) {
                best.entry(Kind::of(trial)).or_insert(row.trial);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::samples;

    #[test]
    fn sizes_are_powers_of_two_of_a_million() {
        let sizes = [1, 1_000_000, 1_000_001, 3_000_000, 5_500_000].map(|n| Size::of(n).to_string());
        assert_eq!(sizes, ["up to 1 M", "up to 1 M", "up to 2 M", "up to 4 M", "up to 8 M"]);
    }

    #[test]
    fn the_best_of_each_kind_is_kept() {
        let study = Study::fold(samples()).expect("a study");
        let board = Leaderboard::of(&study);
        let archive = study.archive(&board);
        assert_eq!(archive.values().copied().collect::<Vec<_>>(), [1]);
        let kind = archive.keys().next().expect("one");
        assert_eq!((kind.encoder.as_str(), kind.size.to_string()), ("resnet", "up to 4 M".to_owned()));
    }
}
