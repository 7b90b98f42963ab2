//! The port of architects.

use crate::surrogate::Surrogate;
use capwright_contract::Contract;
use capwright_llm::LlmError;
use capwright_study::{Proposal, Study, Verdict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What an architect may know when it writes.
#[derive(Debug, Clone, Copy)]
pub struct Brief<'a> {
    /// What is asked for.
    pub contract: &'a Contract,
    /// What was tried so far; results come with a fixed lag in trials, so that the number of workers changes nothing.
    pub study: &'a Study,
    /// Number of the proposal, from 1.
    pub proposal: u64,
    /// 0 for the first draft, then the number of the repair.
    pub attempt: u32,
    /// What the study teaches of designs that are not trained yet.
    pub surrogate: Option<&'a Surrogate>,
}

/// What random numbers of one attempt are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draws {
    /// The design itself; a language model draws its words from the same seed.
    Design = 0,
    /// Who is asked.
    Turn = 1,
    /// Whether a design of the study is changed, and which.
    Base = 2,
    /// What a prompt shows for inspiration.
    Ideas = 3,
}

impl Brief<'_> {
    /// A seed for this attempt of this proposal of this study.
    pub fn seed(&self) -> u64 {
        let mix = |seed: u64, n: u64| (seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).rotate_left(29);
        mix(mix(self.contract.training.seed, self.proposal), u64::from(self.attempt) + 1)
    }

    /// Random numbers of this attempt. Each use has its own: were they one stream, who is asked would decide what is done.
    pub(crate) fn rng(&self, draws: Draws) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed());
        rng.set_stream(draws as u64);
        rng
    }
}

/// What an architect wrote, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who wrote it.
    pub author: String,
    /// The text.
    pub text: String,
    /// Trials whose designs it was made from.
    pub parents: Vec<u64>,
    /// sha256 of the prompt in hex, where there was one.
    pub prompt_sha256: Option<String>,
    /// Tokens read.
    pub prompt_tokens: usize,
    /// Tokens written, thinking included.
    pub completion_tokens: usize,
    /// Wall seconds.
    pub seconds: f64,
}

impl Draft {
    /// A text that no language model wrote.
    pub fn without_model(author: String, text: String, seconds: f64) -> Self {
        Self {
            author,
            text,
            parents: Vec::new(),
            prompt_sha256: None,
            prompt_tokens: 0,
            completion_tokens: 0,
            seconds,
        }
    }

    /// What the ledger records of it.
    pub fn judged(self, proposal: u64, attempt: u32, verdict: Verdict) -> Proposal {
        Proposal {
            proposal,
            attempt,
            author: self.author,
            text: self.text,
            parents: self.parents,
            prompt_sha256: self.prompt_sha256,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            seconds: self.seconds,
            predicted: None,
            verdict,
        }
    }
}

/// Why an architect wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectError {
    /// The language model failed.
    #[error("the language model failed: {0}")]
    Llm(#[from] LlmError),
    /// No design under the contract was found.
    #[error(
        "none of {draws} random designs fits the contract; raise its budgets or allow more backbones and families"
    )]
    NothingFits {
        /// How many were drawn.
        draws: usize,
    },
    /// A recording has no more proposals.
    #[error("the recording holds no attempt {attempt} of proposal {proposal}")]
    RecordingOver {
        /// The proposal asked for.
        proposal: u64,
        /// The attempt asked for.
        attempt: u32,
    },
}

/// Proposes designs as text.
pub trait Architect {
    /// Name as the ledger shows it.
    fn name(&self) -> String;

    /// How a language model's answers are bound to the grammar, where that is not given: for the ledger.
    fn bound(&self) -> Option<String> {
        None
    }

    /// Designs that it has to begin a study with, for others to build on.
    fn opening(&self, contract: &Contract) -> u64 {
        let _ = contract;
        0
    }

    /// Who would answer this brief: another name than its own where one architect asks others.
    fn author(&self, brief: &Brief) -> String {
        let _ = brief;
        self.name()
    }

    /// Tokens read and written, since this was last asked, for drafts that came to nothing.
    fn wasted(&mut self) -> (usize, usize) {
        (0, 0)
    }

    /// Writes a first draft.
    ///
    /// # Errors
    /// [`ArchitectError`] where nothing could be written.
    fn propose(&mut self, brief: &Brief) -> Result<Draft, ArchitectError>;

    /// Writes a draft again, told what is wrong with it.
    ///
    /// # Errors
    /// [`ArchitectError`] where nothing could be written.
    fn repair(&mut self, brief: &Brief, draft: &str, problems: &[String]) -> Result<Draft, ArchitectError>;
}
