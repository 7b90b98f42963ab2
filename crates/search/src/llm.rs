//! The language model as architect.

use crate::architect::{Architect, ArchitectError, Brief, Draft};
use crate::prompt::{Prompt, design_prompt, repair_prompt};
use crate::space::Space;
use capwright_llm::{Request, TextModel};
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
            grammar: true,
        }
    }
}

/// By how much of itself the temperature grows with each repair.
const REPAIR_HEAT: f32 = 0.4;

/// Asks a text model for designs under the grammar of a space.
pub struct LlmArchitect {
    model: Box<dyn TextModel>,
    space: Space,
    snippets: Vec<Vec<String>>,
    options: LlmOptions,
}

impl LlmArchitect {
    /// An architect that shows some of `snippets`, a list for each kind, as inspiration.
    pub fn new(
        model: Box<dyn TextModel>,
        space: Space,
        snippets: Vec<Vec<String>>,
        options: LlmOptions,
    ) -> Self {
        Self { model, space, snippets, options }
    }

    fn ask(&mut self, brief: &Brief, prompt: Prompt) -> Result<Draft, ArchitectError> {
        let prompt_sha256 = Some(prompt.sha256());
        let request = Request {
            schema: self.options.grammar.then(|| self.space.schema().clone()),
            max_tokens: self.options.max_tokens,
            // A small model copies its refused draft: each repair is sampled hotter.
            temperature: self.options.temperature * (1.0 + REPAIR_HEAT * brief.attempt as f32),
            top_p: self.options.top_p,
            seed: brief.seed(),
            deadline: self.options.deadline,
            ..Request::new(prompt.system, prompt.user)
        };
        let answer = self.model.generate(&request)?;
        Ok(Draft {
            author: self.name(),
            text: answer.text,
            parents: Vec::new(),
            prompt_sha256,
            prompt_tokens: answer.prompt_tokens,
            completion_tokens: answer.completion_tokens + answer.thinking_tokens,
            seconds: answer.seconds,
        })
    }
}

impl Architect for LlmArchitect {
    fn name(&self) -> String {
        format!("llm:{}", self.model.name())
    }

    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError> {
        let prompt = design_prompt(brief, &self.snippets);
        self.ask(brief, prompt)
    }

    fn repair(&mut self, brief: &Brief, draft: &str, problems: &[String]) -> Result<Draft, ArchitectError> {
        let prompt = repair_prompt(brief, &self.snippets, draft, problems);
        self.ask(brief, prompt)
    }
}
