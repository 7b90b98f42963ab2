//! The control group: designs drawn uniformly over the same grammar.

use crate::architect::{Architect, ArchitectError, Brief, Draft, Draws};
use crate::judge::Judge;
use crate::space::Space;
use std::time::Instant;

/// Draws until a design fits the contract: uniform over the designs that do.
pub struct RandomArchitect {
    space: Space,
    judge: Judge,
}

impl RandomArchitect {
    /// Draws, at most, for one proposal.
    pub const DRAWS: usize = 5_000;

    /// An architect over a space; the judge only tells which draws fit.
    pub fn new(space: Space, judge: Judge) -> Self {
        Self { space, judge }
    }
}

impl Architect for RandomArchitect {
    fn name(&self) -> String {
        "random".into()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let start = Instant::now();
        let mut rng = brief.rng(Draws::Design);
        let text = (0..Self::DRAWS)
            .map(|_| self.space.sample(&mut rng))
            .find(|text| self.judge.fits(text))
            .ok_or(ArchitectError::NothingFits { draws: Self::DRAWS })?;
        Ok(Draft::without_model(self.name(), text, start.elapsed().as_secs_f64()))
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}
