//! Text models that write under a JSON schema: embedded GGUF and OpenAI-compatible endpoints.
//!
//! Everything else sees one trait, [`TextModel`]: a request goes in, a text and its costs come out.
//! - [`Embedded`] runs a quantized Llama from a GGUF file in this process; the schema becomes a grammar,
//!   and tokens that would break it cannot be sampled.
//! - [`OpenAi`] asks a server; the schema is sent along, and whether the server obeys it is not assumed.
//! - [`Scripted`] repeats texts given beforehand, for tests and replays.
//!
//! A completion is text and never more than that: callers parse and check it, whatever wrote it.

mod default_model;
mod embedded;
mod error;
mod openai;
mod scripted;
mod strict;
mod thinking;

use std::time::{Duration, Instant};

pub use default_model::default_model;
pub use embedded::{Embedded, Options};
pub use error::LlmError;
pub use openai::{AnswerFormat, Bound, OpenAi, Timeouts};
pub use scripted::Scripted;
pub use strict::{strict, without_nulls};

/// Deadlines beyond this are taken for it: a clock cannot hold every sum.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Something that writes text.
pub trait TextModel {
    /// A name for the ledger, such as the model's own name and where it runs. Holds no secret.
    fn name(&self) -> String;

    /// How its answers are bound to a schema, in a few words for the ledger; none where that goes without saying.
    fn bound(&self) -> Option<String> {
        None
    }

    /// Tokens read and written, since this was last asked, for requests that came to nothing all the same.
    fn wasted(&mut self) -> (usize, usize) {
        (0, 0)
    }

    /// Writes one answer.
    ///
    /// # Errors
    /// See [`LlmError`]. After an error the model may be asked again.
    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError>;

    /// Writes up to `n` answers, as many as cost little more than one: one alone, where nothing else is said. The first is that of
    /// [`TextModel::generate`], the others are as if the seed were another.
    ///
    /// # Errors
    /// As [`TextModel::generate`].
    fn generate_some(&mut self, request: &Request, _n: usize) -> Result<Vec<Completion>, LlmError> {
        Ok(vec![self.generate(request)?])
    }
}

/// What to write, and within which bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The system message: what stays the same between requests. May be empty.
    pub system: String,
    /// The user message.
    pub user: String,
    /// JSON schema that the answer has to follow, as compact JSON; `None` for free text.
    pub schema: Option<serde_json::Value>,
    /// Most tokens to write. Must be at least 1.
    pub max_tokens: usize,
    /// 0 takes the likeliest token each time; 1 samples from the model's own distribution.
    pub temperature: f32,
    /// Samples only from the likeliest tokens that together hold this probability, in (0, 1].
    pub top_p: f32,
    /// The embedded model writes the same text for the same request and seed. Servers may ignore it.
    pub seed: u64,
    /// For the whole request, retries included.
    pub deadline: Duration,
}

impl Request {
    /// A request with the defaults: 1,024 tokens, temperature 0.8, top-p 0.95, seed 0, two minutes.
    pub fn new(system: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            system: system.into(),
            user: user.into(),
            schema: None,
            max_tokens: 1024,
            temperature: 0.8,
            top_p: 0.95,
            seed: 0,
            deadline: Duration::from_secs(120),
        }
    }

    /// The seed of the answer of that number, from 0.
    fn seed_of(&self, number: usize) -> u64 {
        self.seed.wrapping_add((number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// When the deadline of a request is over that begins then.
    fn until(&self, start: Instant) -> Instant {
        start + self.deadline.min(LONGEST)
    }

    /// Checks the numbers before any work is done.
    fn check(&self) -> Result<(), LlmError> {
        let why = if self.max_tokens == 0 {
            "max_tokens is 0: allow at least 1"
        } else if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            "temperature must be 0 or more"
        } else if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            "top_p must be above 0 and at most 1"
        } else if self.deadline.is_zero() {
            "the deadline is 0: allow some time"
        } else {
            return Ok(());
        };
        Err(LlmError::BadRequest { why: why.into() })
    }
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model, or the grammar, was done.
    Stop,
    /// The token limit or the end of the context cut it off.
    Length,
}

/// An answer and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The answer, without reasoning text.
    pub text: String,
    /// Tokens of the prompt, as the model counts them; estimated where a server does not tell. Those of answers that were blank and
    /// asked for again are among them, here and below.
    pub prompt_tokens: usize,
    /// Tokens written, reasoning included; estimated where a server does not tell.
    pub completion_tokens: usize,
    /// Of those, reasoning that was taken out of the text; estimated where a server does not tell.
    pub thinking_tokens: usize,
    /// Wall-clock seconds, retries included.
    pub seconds: f64,
    /// Why it ended.
    pub finish: Finish,
}
