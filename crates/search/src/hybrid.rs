//! A bandit over architects: known designs first, then each is asked the more often the better the designs that it delivered.

use crate::architect::{Architect, ArchitectError, Brief, Draft, Draws};
use capwright_study::{Leaderboard, Study, TrialStatus};
use rand_distr::{Beta, Distribution};
use std::collections::BTreeMap;

/// Thompson sampling over architects (Agrawal and Goyal, "Analysis of Thompson Sampling for the Multi-armed Bandit Problem",
/// COLT 2012). A proposal earns the share of ranked designs that its own leaves behind; nothing where no design came of it, or
/// one that failed or collapsed. All that is known is in the study, so that a resumed search goes on as it would have.
pub struct Hybrid {
    architects: Vec<Box<dyn Architect>>,
}

/// What an author's proposals have earned.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Credit {
    /// The sum of the shares.
    earned: f64,
    /// The sum of what they leave to one.
    missed: f64,
}

impl Hybrid {
    /// A bandit over these architects, of which there must be at least one.
    pub fn new(architects: Vec<Box<dyn Architect>>) -> Self {
        assert!(!architects.is_empty(), "a bandit has arms");
        Self { architects }
    }

    /// Whose turn it is: that of the one who knows what to begin with, then that of the highest draw from what is believed of each.
    fn turn(&self, brief: &Brief) -> usize {
        let mut openings = self.architects.iter().map(|architect| architect.opening(brief.contract));
        if let Some(arm) = openings.position(|designs| brief.proposal <= designs) {
            return arm;
        }
        let credits = credits(brief.study, brief.proposal);
        // Repairs stay with the author of the first draft.
        let first = Brief { attempt: 0, ..*brief };
        let mut rng = first.rng(Draws::Turn);
        let draws = self.architects.iter().map(|architect| {
            let credit = credits.get(&architect.name()).copied().unwrap_or_default();
            Beta::new(1.0 + credit.earned, 1.0 + credit.missed).map_or(0.5, |belief| belief.sample(&mut rng))
        });
        draws.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(arm, _)| arm)
    }
}

/// What each author has earned with the proposals before that one of which the end is known. Of the proposal itself nothing is: its repairs
/// are written by what its first draft was.
fn credits(study: &Study, proposal: u64) -> BTreeMap<String, Credit> {
    let board = Leaderboard::for_choices(study);
    let ranked = board.rows.len() as f64;
    let ranks: BTreeMap<u64, f64> = board.rows.iter().map(|row| (row.trial, row.rank as f64)).collect();
    let trials: BTreeMap<u64, u64> = study.trials.iter().map(|(n, trial)| (trial.proposal, *n)).collect();
    let mut credits: BTreeMap<String, Credit> = BTreeMap::new();
    for (number, proposal) in study.proposals.range(..proposal) {
        let share = match trials.get(number) {
            Some(trial) => match (&study.trials[trial].status, ranks.get(trial)) {
                (TrialStatus::Admitted | TrialStatus::Running, _) => continue,
                (_, Some(rank)) => (ranked - rank + 0.5) / ranked,
                (_, None) => 0.0,
            },
            None => 0.0,
        };
        let credit = credits.entry(proposal.author.clone()).or_default();
        credit.earned += share;
        credit.missed += 1.0 - share;
    }
    credits
}

impl Architect for Hybrid {
    fn name(&self) -> String {
        let names: Vec<String> = self.architects.iter().map(|architect| architect.name()).collect();
        format!("hybrid of {}", names.join(", "))
    }

    fn bound(&self) -> Option<String> {
        self.architects.iter().find_map(|architect| architect.bound())
    }

    fn wasted(&mut self) -> (usize, usize) {
        let each = self.architects.iter_mut().map(|architect| architect.wasted());
        each.fold((0, 0), |(read, written), (r, w)| (read + r, written + w))
    }

    fn author(&self, brief: &Brief) -> String {
        self.architects[self.turn(brief)].author(brief)
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let turn = self.turn(brief);
        self.architects[turn].propose(brief)
    }

    fn repair(&mut self, brief: &Brief, draft: &str, problems: &[String]) -> Result<Draft, ArchitectError> {
        let turn = self.turn(brief);
        self.architects[turn].repair(brief, draft, problems)
    }
}
