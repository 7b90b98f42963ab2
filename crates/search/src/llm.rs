//! The language model as architect.

use crate::architect::{Architect, ArchitectError, Brief, Draft, Draws};
use crate::delta::Delta;
use crate::judge::Judge;
use crate::prompt::{self, Prompt, Snippet};
use crate::space::Space;
use crate::surrogate::Surrogate;
use capwright_llm::{Completion, Request, TextModel};
use capwright_study::Leaderboard;
use rand::Rng;
use serde_json::Value;
use std::time::Duration;

/// How the model is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LlmOptions {
    /// Sampling temperature.
    pub temperature: f32,
    /// Nucleus of the sampling.
    pub top_p: f32,
    /// Tokens of one answer, at most.
    pub max_tokens: usize,
    /// Time for one answer, at most.
    pub deadline: Duration,
    /// Drafts of which the best is proposed, where the model writes several at little more than the cost of one.
    pub drafts: usize,
    /// Whether the answer is constrained by the grammar; off only to measure what the grammar brings.
    pub grammar: bool,
}

impl Default for LlmOptions {
    fn default() -> Self {
        Self {
            temperature: 0.9,
            top_p: 0.95,
            max_tokens: 1024,
            deadline: Duration::from_secs(120),
            drafts: 2,
            grammar: true,
        }
    }
}

/// By how much of itself the temperature grows with each repair.
const REPAIR_HEAT: f32 = 0.4;

/// How often a proposal changes one of the best designs rather than being a whole one.
const DELTAS: f64 = 0.5;

/// Designs that may be changed.
const BEST: usize = 3;

/// Changes of a proposal, at most.
const EDITS: usize = 3;

/// Changes that a repair is shown and may choose from.
const MENDING: usize = 24;

/// Tokens written for some answers. Thinking is among those of an answer; some servers count it alone.
fn written(answers: &[Completion]) -> usize {
    answers.iter().map(|answer| answer.completion_tokens.max(answer.thinking_tokens)).sum()
}

/// Asks a text model for designs: for a whole one under the grammar of the space, for changes of one that did well, or for the
/// change that mends a refused one. Changes are offered only where the judge would admit the design that each gives.
pub struct LlmArchitect {
    model: Box<dyn TextModel>,
    space: Space,
    judge: Judge,
    grammar: Value,
    snippets: Vec<Vec<Snippet>>,
    options: LlmOptions,
}

impl LlmArchitect {
    /// An architect that shows some of `snippets`, a list for each kind, as inspiration.
    pub fn new(
        model: Box<dyn TextModel>,
        space: Space,
        judge: Judge,
        snippets: Vec<Vec<Snippet>>,
        options: LlmOptions,
    ) -> Self {
        let grammar = space.grammar(&judge);
        Self { model, space, judge, grammar, snippets, options }
    }

    /// The best of some drafts, each made of an answer.
    fn ask(
        &mut self,
        brief: &Brief,
        prompt: Prompt,
        schema: Value,
        design: impl Fn(&str) -> Option<String>,
    ) -> Result<Draft, ArchitectError> {
        let prompt_sha256 = Some(prompt.sha256());
        let request = Request {
            schema: self.options.grammar.then_some(schema),
            max_tokens: self.options.max_tokens,
            // A small model copies its refused draft: each repair is sampled hotter.
            temperature: self.options.temperature * (1.0 + REPAIR_HEAT * brief.attempt as f32),
            top_p: self.options.top_p,
            seed: brief.seed(),
            deadline: self.options.deadline,
            ..Request::new(prompt.system, prompt.user)
        };
        let answers = self.model.generate_some(&request, self.options.drafts)?;
        let seconds = answers.iter().map(|answer| answer.seconds).fold(0.0, f64::max);
        Ok(Draft {
            author: self.name(),
            parents: Vec::new(),
            prompt_sha256,
            prompt_tokens: answers.first().map_or(0, |answer| answer.prompt_tokens),
            completion_tokens: written(&answers),
            seconds,
            text: self.best(brief, answers.into_iter().map(|a| design(&a.text).unwrap_or(a.text))),
        })
    }

    /// Of some drafts the one that promises most; of refused ones that with the fewest problems.
    fn best(&self, brief: &Brief, drafts: impl Iterator<Item = String>) -> String {
        let surrogate = brief.surrogate.filter(|_| !brief.contract.search.blind);
        let worth = |text: &str| {
            let judgement = self.judge.judge(text, brief.study);
            let Some(admitted) = &judgement.admitted else {
                return (-(judgement.problems().len() as f64), 0.0);
            };
            let design = admitted.checked();
            let promise = surrogate
                .map(|surrogate| Surrogate::promise(&surrogate.predict(design.blueprint(), &design.cost())));
            (0.0, promise.unwrap_or_default())
        };
        let better = |best: ((f64, f64), String), other: ((f64, f64), String)| {
            if other.0 > best.0 { other } else { best }
        };
        let weighed = drafts.map(|text| (worth(&text), text));
        weighed.reduce(better).map(|(_, text)| text).unwrap_or_default()
    }

    /// A draft made of the changes that the model chooses; its answer as it is where that is none of them.
    fn ask_for_changes(
        &mut self,
        brief: &Brief,
        prompt: Prompt,
        delta: &Delta,
    ) -> Result<Draft, ArchitectError> {
        self.ask(brief, prompt, delta.schema(), |answer| delta.apply(answer))
    }

    fn ask_for_whole(&mut self, brief: &Brief, prompt: Prompt) -> Result<Draft, ArchitectError> {
        self.ask(brief, prompt, self.grammar.clone(), |_| None)
    }

    /// One of the best designs and its changes; `None` where a whole design is due.
    fn varied(&self, brief: &Brief) -> Option<(u64, Delta)> {
        let mut rng = brief.rng(Draws::Base);
        if brief.contract.search.blind || !rng.random_bool(DELTAS) {
            return None;
        }
        let board = Leaderboard::for_choices(brief.study);
        let row = board.rows.get(rng.random_range(0..board.rows.len().clamp(1, BEST)))?;
        let design = serde_json::to_value(&brief.study.trials.get(&row.trial)?.blueprint).ok()?;
        let delta = Delta::varying(design, self.space.schema(), &self.judge, brief.study, EDITS)?;
        Some((row.trial, delta))
    }
}

impl Architect for LlmArchitect {
    fn name(&self) -> String {
        format!("llm:{}", self.model.name())
    }

    fn bound(&self) -> Option<String> {
        self.model.bound()
    }

    fn wasted(&mut self) -> (usize, usize) {
        self.model.wasted()
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        if let Some((trial, delta)) = self.varied(brief) {
            let prompt = prompt::changes(brief, &self.snippets, trial, &delta);
            let draft = self.ask_for_changes(brief, prompt, &delta)?;
            return Ok(Draft { parents: vec![trial], ..draft });
        }
        let prompt = prompt::design(brief, &self.snippets);
        self.ask_for_whole(brief, prompt)
    }

    fn repair(&mut self, brief: &Brief, draft: &str, problems: &[String]) -> Result<Draft, ArchitectError> {
        match Delta::mending(draft, &self.judge, brief.study, MENDING) {
            Some(delta) => {
                let prompt = prompt::mending(brief, problems, &delta);
                let mended = self.ask_for_changes(brief, prompt, &delta)?;
                // It is made from what the draft was made from.
                let refused = brief.study.proposals.get(&brief.proposal);
                let parents = refused.map(|refused| refused.parents.clone()).unwrap_or_default();
                Ok(Draft { parents, ..mended })
            }
            None => {
                let prompt = prompt::again(brief, &self.snippets, draft, problems);
                self.ask_for_whole(brief, prompt)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_llm::Finish;

    #[test]
    fn thinking_is_paid_once() {
        let answer = |completion_tokens, thinking_tokens| Completion {
            text: "{}".into(),
            prompt_tokens: 700,
            completion_tokens,
            thinking_tokens,
            seconds: 1.0,
            finish: Finish::Stop,
        };
        assert_eq!(written(&[answer(1_000, 900)]), 1_000);
        assert_eq!(written(&[answer(1_000, 900), answer(0, 60), answer(20, 0)]), 1_080);
    }
}
