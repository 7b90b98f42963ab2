//! Contracts that no design can keep: the cheapest designs are found, and which demands contradict each other.

use crate::cheap::{Behind, Candidates};
use crate::clause::Clause;
use crate::terms::Range;
use crate::{Components, Contract, Family, spent, violations, words};
use capwright_blueprint::language::{Encoder, ImageSize, Memory};
use capwright_blueprint::{Checked, Cost, Design, Target, Zoo, check};
use serde::Serialize;

/// Something that a contract demands of a design's shape or cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Demand {
    /// A budget.
    Budget(Clause),
    /// The allowed backbones.
    Backbones,
    /// No encoder from scratch.
    Scratch,
    /// The allowed families.
    Families,
    /// The allowed image sizes.
    ImageSizes,
    /// A required part.
    Required(String),
    /// A forbidden part.
    Forbidden(String),
    /// A range of a field.
    Range(String),
}

impl std::fmt::Display for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Budget(clause) => clause.fmt(f),
            Self::Backbones => Clause::Backbones.fmt(f),
            Self::Scratch => Clause::Scratch.fmt(f),
            Self::Families => Clause::Families.fmt(f),
            Self::ImageSizes => Clause::ImageSizes.fmt(f),
            Self::Required(word) => write!(f, "{} {word:?}", Clause::Required),
            Self::Forbidden(word) => write!(f, "{} {word:?}", Clause::Forbidden),
            Self::Range(field) => write!(f, "ranges.{field}"),
        }
    }
}

/// Demands that contradict each other: any one less, and a design is left.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("no design can keep these demands together:\n{}\nany one of these would do:\n{}", bullets(.demands.iter().map(|d| &d.1)), bullets(.ways_out))]
pub struct Impossible {
    /// Each demand, and what it says and by how much it is missed.
    pub demands: Vec<(Demand, String)>,
    /// What would do.
    pub ways_out: Vec<String>,
}

fn bullets<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> String {
    lines.into_iter().map(|line| format!("  - {}", line.as_ref())).collect::<Vec<_>>().join("\n")
}

/// The cheapest designs that keep everything but the budgets: none that keeps it is below all of these in every cost.
pub fn cheapest(contract: &Contract, zoo: &dyn Zoo, target: Target) -> Vec<Checked> {
    let open = Contract { budgets: Default::default(), ..contract.clone() };
    let Some(candidates) = Candidates::of(&open, zoo) else { return Vec::new() };
    let fitting =
        |encoder: &Encoder, behind: &Behind| check(candidates.design(encoder, behind), zoo, target).ok();
    // Whoever reads the mean over cells takes every encoder that another takes; who reads all cells takes not too many.
    let mut readers: Vec<&Behind> = candidates.behind.iter().collect();
    readers.sort_by_key(|(bridge, decoder)| decoder.memory() == Memory::Grid || bridge.queries.0 > 0);
    let reads = |reader: &&Behind| candidates.encoders.iter().any(|e| fitting(e, reader).is_some());
    let Some(reader) = readers.into_iter().find(reads) else { return Vec::new() };
    // Only encoders that no other undercuts are combined with all that may stand behind them.
    let encoders = front(candidates.encoders.iter().filter_map(|encoder| {
        let checked = fitting(encoder, reader)?;
        Some((encoding(checked.design()), encoder))
    }));
    let pairs = encoders.iter().flat_map(|(_, e)| candidates.behind.iter().map(move |b| (*e, b)));
    let keeps = |c: &Checked| violations(c.blueprint(), &c.cost(), &open).is_empty();
    let all = pairs.filter_map(|(e, b)| fitting(e, b)).filter(keeps);
    front(all.map(|c| (costs(&c.cost()).to_vec(), c))).into_iter().map(|(_, checked)| checked).collect()
}

/// What an encoder adds to the costs of a design, and what the costs behind it grow with: channels and cells.
fn encoding(design: &Design) -> Vec<u64> {
    let (trunk, map) = (design.trunk.totals(), design.bridge.input);
    let (mut parameters, mut macs, mut kept) = (trunk.parameters, trunk.macs, trunk.buffers);
    for frozen in design.frozen.iter().map(|part| part.graph.totals()) {
        parameters += frozen.parameters;
        macs += frozen.macs;
        kept += frozen.buffers;
    }
    let (channels, cells) = (map.c as u64, (map.h * map.w) as u64);
    vec![trunk.parameters, trunk.macs, parameters, macs, parameters + kept, channels, cells]
}

fn costs(cost: &Cost) -> [u64; 6] {
    let macs = [cost.macs_image, cost.macs_trained, cost.macs_token];
    [cost.params_total, cost.params_trainable, macs[0], macs[1], macs[2], cost.weight_bytes]
}

/// Those that no other undercuts or equals in every number; of equals the first.
fn front<T>(all: impl Iterator<Item = (Vec<u64>, T)>) -> Vec<(Vec<u64>, T)> {
    let below = |a: &[u64], b: &[u64]| a.iter().zip(b).all(|(a, b)| a <= b);
    let mut kept: Vec<(Vec<u64>, T)> = Vec::new();
    for (key, item) in all {
        if kept.iter().any(|(other, _)| below(other, &key)) {
            continue;
        }
        kept.retain(|(other, _)| !below(&key, other));
        kept.push((key, item));
    }
    kept
}

fn keeps_budgets(contract: &Contract, cost: &Cost) -> bool {
    let mut bounds = contract.budgets.bounds();
    bounds.all(|(clause, bound)| {
        spent(cost, clause).is_none_or(|value| clause.side().keeps(value as f64, bound.as_f64()))
    })
}

/// A design that keeps all demands that need no measurement.
fn witness(contract: &Contract, zoo: &dyn Zoo, target: Target) -> Option<Checked> {
    cheapest(contract, zoo, target).into_iter().find(|c| keeps_budgets(contract, &c.cost()))
}

/// The demands that contradict each other, if no design can keep the contract.
pub fn impossible(contract: &Contract, zoo: &dyn Zoo, target: Target) -> Option<Impossible> {
    if witness(contract, zoo, target).is_some() {
        return None;
    }
    let mut reduced = contract.clone();
    let mut kept = Vec::new();
    for demand in demands(contract) {
        let without = reduced.without(&demand);
        if witness(&without, zoo, target).is_some() {
            kept.push(demand);
        } else {
            reduced = without;
        }
    }
    let mut found = Impossible { demands: Vec::new(), ways_out: Vec::new() };
    for demand in kept {
        let (said, way_out) = judge(&reduced, &demand, zoo, target);
        found.demands.push((demand, said));
        found.ways_out.push(way_out);
    }
    Some(found)
}

fn demands(contract: &Contract) -> Vec<Demand> {
    let parts = &contract.components;
    let lists = [
        (parts.backbones.is_some(), Demand::Backbones),
        (!parts.scratch, Demand::Scratch),
        (parts.families.len() < Family::ALL.len(), Demand::Families),
        (!parts.image_sizes.is_empty(), Demand::ImageSizes),
    ];
    let mut all: Vec<Demand> = lists.into_iter().filter(|(set, _)| *set).map(|(_, demand)| demand).collect();
    all.extend(parts.forbidden.iter().cloned().map(Demand::Forbidden));
    all.extend(parts.required.iter().cloned().map(Demand::Required));
    all.extend(contract.ranges.keys().cloned().map(Demand::Range));
    all.extend(contract.budgets.bounds().map(|(clause, _)| Demand::Budget(clause)));
    all
}

impl Contract {
    /// The contract without one demand.
    fn without(&self, demand: &Demand) -> Self {
        let mut less = self.clone();
        let open = Components::default();
        let parts = &mut less.components;
        match demand {
            Demand::Backbones => parts.backbones = open.backbones,
            Demand::Scratch => parts.scratch = open.scratch,
            Demand::Families => parts.families = open.families,
            Demand::ImageSizes => parts.image_sizes = open.image_sizes,
            Demand::Required(word) => parts.required.retain(|w| w != word),
            Demand::Forbidden(word) => parts.forbidden.retain(|w| w != word),
            Demand::Range(field) => {
                less.ranges.remove(field);
            }
            Demand::Budget(clause) => {
                if let Some(crate::terms::Slot::Whole(field)) = less.budgets.slot(*clause) {
                    *field = None;
                }
            }
        }
        less
    }
}

/// What a demand says with the others kept, and how it would have to be changed.
fn judge(contract: &Contract, demand: &Demand, zoo: &dyn Zoo, target: Target) -> (String, String) {
    let without = contract.without(demand);
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let witness = || witness(&without, zoo, target);
    match demand {
        Demand::Budget(clause) => {
            let bound =
                contract.budgets.bounds().find(|(c, _)| c == clause).map_or(0.0, |(_, b)| b.as_f64()) as u64;
            let all = cheapest(&without, zoo, target);
            let fitting = all.iter().filter(|c| keeps_budgets(&without, &c.cost()));
            let least = fitting.filter_map(|c| spent(&c.cost(), *clause)).min().unwrap_or(bound);
            let said = format!(
                "{clause} = {bound}: the cheapest design that keeps the others has {least} {}, {} too many",
                clause.noun(),
                least.saturating_sub(bound)
            );
            (said, format!("raise {clause} to {least}"))
        }
        Demand::Range(field) => {
            let range = contract.ranges.get(field).copied().unwrap_or_default();
            let way = looser(contract, field, range, zoo, target);
            (format!("ranges.{field}: {range}"), format!("change ranges.{field} to {way}"))
        }
        Demand::Backbones => {
            let names = contract.components.backbones.clone().unwrap_or_default();
            let other = witness().map(|c| match &c.blueprint().encoder.source {
                capwright_blueprint::language::Source::Pretrained { backbone, .. } => {
                    format!("allow {backbone}")
                }
                capwright_blueprint::language::Source::Scratch { .. } => {
                    "allow encoders from scratch".to_owned()
                }
            });
            (format!("{demand}: {}", list(&names)), other.unwrap_or_default())
        }
        Demand::Scratch => (format!("{demand} = false"), "allow encoders from scratch".to_owned()),
        Demand::Families => {
            let names: Vec<String> = contract.components.families.iter().map(Family::to_string).collect();
            let other = witness().map_or_else(String::new, |c| Family::of(c.blueprint()).to_string());
            (format!("{demand}: {}", list(&names)), format!("allow {other} decoders"))
        }
        Demand::ImageSizes => {
            let names: Vec<String> = contract.components.image_sizes.iter().map(u32::to_string).collect();
            let fits = |size: &&u32| {
                let mut one = without.clone();
                one.components.image_sizes = vec![**size];
                self::witness(&one, zoo, target).is_some()
            };
            let other = ImageSize::CHOICES.iter().rev().find(fits).map_or_else(String::new, u32::to_string);
            (format!("{demand}: {}", list(&names)), format!("allow images of {other} pixels"))
        }
        Demand::Required(word) => (demand.to_string(), format!("do not require {word:?}")),
        Demand::Forbidden(word) => (demand.to_string(), format!("do not forbid {word:?}")),
    }
}

/// The range with its end moved as little as possible so that a design is left.
fn looser(contract: &Contract, field: &str, range: Range, zoo: &dyn Zoo, target: Target) -> Range {
    let menu = words::menu(field).unwrap_or_default();
    let mut tried: Vec<Range> = menu
        .iter()
        .map(|v| Range { min: range.min.map(|min| min.min(*v)), max: range.max.map(|max| max.max(*v)) })
        .filter(|r| *r != range)
        .collect();
    let moved = |r: &Range| {
        let by = |a: Option<f64>, b: Option<f64>| a.zip(b).map_or(0.0, |(a, b)| (a - b).abs());
        by(r.min, range.min) + by(r.max, range.max)
    };
    tried.sort_by(|a, b| moved(a).total_cmp(&moved(b)));
    let fits = |r: &Range| {
        let mut one = contract.clone();
        one.ranges.insert(field.to_owned(), *r);
        witness(&one, zoo, target).is_some()
    };
    tried.into_iter().find(fits).unwrap_or_default()
}
