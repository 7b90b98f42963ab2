//! Which trials go on, and which designs train again.

use super::{Driver, Running};
use crate::error::SearchError;
use crate::lag;
use crate::progress::Progress;
use capwright_study::{Event, FinalStep};

impl Driver<'_> {
    /// What goes on: at the end by all that is known, before by what the next trial sees.
    pub(super) fn promotions(&self, state: &Running) -> Vec<(u64, u32)> {
        let (study, workers) = (&state.study, self.executor.capacity());
        if self.asked_enough(state) {
            return state.clock.promotions(study, study, true, workers);
        }
        state.clock.promotions(&lag::visible(study), study, false, workers)
    }

    pub(super) fn finals_due(&self, state: &Running) -> Vec<FinalStep> {
        state.clock.finals_due(&state.study, self.executor.capacity())
    }

    /// Before the next trial is chosen, when all is over that it sees, lets those go on that did well: beside the next trials, which do
    /// not see yet what comes of them. So neither promotions nor proposals depend on which worker was faster.
    pub(super) fn promote(&mut self, state: &mut Running) -> Result<(), SearchError> {
        let ending = self.asked_enough(state);
        // Nobody needs a promoted trial sooner than a new design, and looking for one copies the study.
        let due = if ending { state.study.unfinished().is_empty() } else { self.wants_proposal(state) };
        if !due {
            return Ok(());
        }
        let promotions = self.promotions(state);
        if ending && promotions.is_empty() {
            // When all is tried, what the finals still need.
            let due = self.finals_due(state);
            return self.train_on(state, &due);
        }
        let longer = promotions.into_iter().map(|(trial, epochs)| FinalStep::Longer { trial, epochs });
        self.train_on(state, &longer.collect::<Vec<_>>())
    }

    /// Has trials go on, or train again, all of one choice together: after half of it, another would be made.
    fn train_on(&mut self, state: &mut Running, steps: &[FinalStep]) -> Result<(), SearchError> {
        if steps.is_empty() {
            return Ok(());
        }
        let (mut runs, mut events) = (Vec::new(), Vec::new());
        let mut next = state.study.next_trial();
        for step in steps {
            let (trial, event) = match *step {
                FinalStep::Longer { trial, epochs } => {
                    (self.watch)(Progress::Promoted { trial, epochs });
                    (trial, Event::TrialPromoted { trial, epochs })
                }
                FinalStep::Again { of } => {
                    let trial = next;
                    next += 1;
                    (self.watch)(Progress::Repeated { trial, of });
                    (trial, Event::TrialRepeated { trial, of })
                }
            };
            runs.push(trial);
            events.push(event);
        }
        self.record_all(state, &events)?;
        runs.into_iter().for_each(|trial| state.waiting.insert(0, trial));
        Ok(())
    }
}
