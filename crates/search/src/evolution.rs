//! Regularised evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019) over the
//! same grammar: the parent is the best of a few drawn from the youngest designs, or the best of its kind; the child differs in one
//! choice or takes parts of two. Of some children the one is proposed that the surrogate finds most promising.

use crate::architect::{Architect, ArchitectError, Brief, Draft, Draws};
use crate::compose::Parts;
use crate::judge::Judge;
use crate::random::RandomArchitect;
use crate::space::Space;
use crate::surrogate::Surrogate;
use crate::thrift::Thrift;
use capwright_blueprint::{Cost, vary};
use capwright_contract::Contract;
use capwright_study::{Leaderboard, Study, Trial, TrialStatus};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Designs that are old enough to have a score and young enough to be parents.
const POPULATION: usize = 32;

/// Of which that many are drawn; the best of them is the parent. Half of the population is more than the paper draws: it
/// trained twenty thousand designs, and a study of a hundred cannot wait that long.
const TOURNAMENT: usize = 16;

/// Trials that must be over before any is a parent, one of them with a rank; until then designs are made of known parts.
const FOUNDERS: usize = 8;

/// Designs that are made of known parts alone, first of all; others then are as often as not, since on photos few drawn ones come near.
const FIRST: usize = 4;
const WHOLE: f64 = 0.5;

/// Such designs of which one is proposed, where a contract asks for a front of score and cost.
const FOUNDED: usize = 8;

/// How often a parent is the best of some kind or on the front, whichever (Mouret and Clune, "Illuminating search spaces by mapping elites",
/// 2015), so that the designs do not become alike.
const ELITES: f64 = 0.5;

/// How often a design of known parts is proposed although there are parents (Grefenstette, "Genetic algorithms for changing
/// environments", 1992): what is much better than all so far is seldom near it.
const IMMIGRANTS: f64 = 0.25;

/// How often a child has two parents.
const CROSSED: f64 = 0.5;

/// How often a child has one edit more.
const ANOTHER: f64 = 0.5;

/// How often a child is judged by the front of score and cost that it may bring, where a contract asks for both.
const WIDE: f64 = 0.5;

/// Children of one parent in a row that may be refused before the next has one edit more: what lies one edit away may all
/// have been tried.
const PATIENCE: usize = 20;

/// Children for one proposal, at most.
const CHILDREN: usize = 400;

/// Admitted children of which the most promising is proposed, once there is something to judge them by.
const LITTER: usize = 128;

/// Whether the contract asks for more than one thing.
fn front(brief: &Brief) -> bool {
    brief.study.contract().objectives.len() > 1
}

/// How far a cost is from the nearest among the designs of the study, as a factor's logarithm.
fn apart(study: &Study, cost: &Cost) -> f64 {
    let Some(expense) = study.expense(cost) else { return 0.0 };
    let others = study.trials.values().filter_map(|trial| study.expense(&trial.cost));
    others.map(|other| (expense / other).ln().abs()).fold(f64::INFINITY, f64::min)
}

/// Proposes children of the designs that did well. Every one fits the contract and is new to the study.
pub struct Evolution {
    space: Space,
    judge: Judge,
    parts: Parts,
}

impl Evolution {
    /// An architect over a space that begins with designs of known parts; the judge tells which children fit.
    pub fn new(space: Space, judge: Judge, parts: Parts) -> Self {
        let parts = parts.within(&space);
        Self { space, judge, parts }
    }

    /// A design of known parts that is admitted, or one near that to begin with: it itself if it is new. Where a contract asks for a
    /// front, of some such designs the one whose cost is farthest from those of all before.
    fn founder(&self, brief: &Brief, rng: &mut ChaCha8Rng) -> Option<String> {
        let (first, thrift) = (brief.study.trials.len() < FIRST, Thrift::of(brief));
        let founders = (0..RandomArchitect::DRAWS).filter_map(|tried| {
            // Where few known parts fit the contract, all of their designs may be there already.
            let whole = tried < PATIENCE && (first || rng.random_bool(WHOLE));
            let text = self.parts.found(&self.space, tried.div_ceil(PATIENCE), whole, rng);
            let admitted = self.judge.judge(&text, brief.study).admitted?;
            let design = admitted.checked().blueprint();
            // Source and decoder make a founder: the rest is tried when it is known what they are worth.
            let same = |trial: &Trial| {
                trial.blueprint.encoder.source == design.encoder.source
                    && trial.blueprint.decoder == design.decoder
            };
            let new = !whole || !brief.study.trials.values().any(same);
            let worth = new && thrift.is_worth(admitted.checked(), rng);
            worth.then(|| (apart(brief.study, &admitted.checked().cost()), text))
        });
        let some = founders.take(if front(brief) { FOUNDED } else { 1 });
        some.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, text)| text)
    }

    /// Of some children that are admitted the one that is expected to bring most, and its parents.
    fn child(&self, brief: &Brief, rng: &mut ChaCha8Rng) -> Option<(String, Vec<u64>)> {
        let members = population(brief.study).filter(|_| !rng.random_bool(IMMIGRANTS))?;
        let thrift = Thrift::of(brief);
        let wanted = if brief.surrogate.is_some() { LITTER } else { 1 };
        let wide = front(brief) && rng.random_bool(WIDE);
        let (mut best, mut found, mut refused): (Option<(f64, _)>, _, _) = (None, 0, 0);
        for _ in 0..CHILDREN {
            let (text, parents) = self.bear(&members, refused / PATIENCE, rng)?;
            let Some(admitted) = self.judge.judge(&text, brief.study).admitted else {
                refused += 1;
                continue;
            };
            let design = admitted.checked();
            if !thrift.is_worth(design, rng) {
                continue;
            }
            let promise = brief.surrogate.map_or(0.0, |surrogate| {
                let (predicted, cost) =
                    (surrogate.predict(design.blueprint(), &design.cost()), design.cost());
                let expense = brief.study.expense(&cost).filter(|_| wide);
                expense
                    .map_or_else(|| Surrogate::promise(&predicted), |cost| surrogate.growth(&predicted, cost))
            });
            if best.as_ref().is_none_or(|(most, _)| promise > *most) {
                best = Some((promise, (text, parents)));
            }
            (found, refused) = (found + 1, 0);
            if found == wanted {
                break;
            }
        }
        best.map(|(_, child)| child)
    }

    /// A child, fitting or not, and its parents.
    fn bear(&self, members: &[Member], more: usize, rng: &mut ChaCha8Rng) -> Option<(String, Vec<u64>)> {
        let parent = parent(members, rng)?;
        let mut parents = vec![parent.trial];
        let mut design = parent.design.clone();
        if rng.random_bool(CROSSED) {
            let second = self::parent(members, rng)?;
            design = vary::cross(&design, &second.design, self.space.schema(), rng);
            parents.extend((second.trial != parent.trial).then_some(second.trial));
        }
        let first = usize::from(parents.len() == 1);
        let edits = first + usize::from(rng.random_bool(ANOTHER)) + more;
        for _ in 0..edits {
            design = vary::mutate(&design, self.space.schema(), rng)?;
        }
        Some((design.to_string(), parents))
    }
}

/// A design of the population.
struct Member {
    trial: u64,
    /// Place on the leaderboard; what has none comes last.
    rank: usize,
    /// Whether it is the best of its kind, or on the front of the first two objectives.
    elite: bool,
    design: Value,
}

/// The youngest designs that are over; `None` before there are enough.
fn population(study: &Study) -> Option<Vec<Member>> {
    let board = Leaderboard::for_choices(study);
    let ranks: BTreeMap<u64, usize> = board.rows.iter().map(|row| (row.trial, row.rank)).collect();
    let over = || {
        study.trials.iter().rev().filter(|(_, trial)| {
            // A design that could not be trained or says one thing of everything ages like any other, and wins no tournament.
            matches!(trial.status, TrialStatus::Finished(_) | TrialStatus::Failed(_))
        })
    };
    let mut elites: BTreeSet<u64> = study.archive(&board).into_values().collect();
    elites.extend(study.on_front(&board));
    let member = |(number, trial): (&u64, &Trial)| {
        let rank = ranks.get(number).copied().unwrap_or(usize::MAX);
        let design = serde_json::to_value(&trial.blueprint).ok()?;
        Some(Member { trial: *number, rank, elite: elites.contains(number), design })
    };
    let ready = !ranks.is_empty() && over().count() >= FOUNDERS;
    ready.then(|| over().take(POPULATION).filter_map(member).collect())
}

/// A parent: mostly the best of some, now and then the best of any kind.
fn parent<'a>(members: &'a [Member], rng: &mut ChaCha8Rng) -> Option<&'a Member> {
    let elites: Vec<&Member> = members.iter().filter(|member| member.elite).collect();
    if rng.random_bool(ELITES)
        && let Some(elite) = elites.choose(rng)
    {
        return Some(elite);
    }
    tournament(members, rng)
}

fn tournament<'a>(members: &'a [Member], rng: &mut ChaCha8Rng) -> Option<&'a Member> {
    members.choose_multiple(rng, TOURNAMENT).min_by_key(|member| (member.rank, member.trial))
}

impl Architect for Evolution {
    fn name(&self) -> String {
        "evolution".into()
    }

    /// Known designs, of which a short study has no more than a third.
    fn opening(&self, contract: &Contract) -> u64 {
        let known = if self.parts.suffice() { FIRST as u64 } else { 0 };
        known.min(u64::from(contract.search.trials) / 3)
    }

    /// A child; a design of known parts as long as there are no parents, and now and then.
    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let start = Instant::now();
        let mut rng = brief.rng(Draws::Design);
        let child = self.child(brief, &mut rng);
        let (text, parents) = child
            .or_else(|| Some((self.founder(brief, &mut rng)?, Vec::new())))
            .ok_or(ArchitectError::NothingFits { draws: RandomArchitect::DRAWS })?;
        let draft = Draft::without_model(self.name(), text, start.elapsed().as_secs_f64());
        Ok(Draft { parents, ..draft })
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}
