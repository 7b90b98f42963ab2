//! What can go wrong with a text model, in words that say what to do next.

use std::path::PathBuf;
use std::time::Duration;

/// Why there is no answer. No message ever holds an API key.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The request cannot be served by any model.
    #[error("bad request to the model: {why}")]
    BadRequest {
        /// What is wrong with it.
        why: String,
    },
    /// The schema cannot be turned into a grammar.
    #[error("the JSON schema cannot be turned into a grammar: {why}")]
    BadSchema {
        /// What the grammar compiler said.
        why: String,
    },
    /// The file is no model that can be run here.
    #[error("{path} cannot be used as a model: {why}. Give a GGUF file of a Llama-family chat model")]
    BadModel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt_tokens} tokens and the model takes {limit} in all, answer included: \
         shorten the prompt (fewer snippets) or use a model with a longer context"
    )]
    ContextFull {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// The deadline passed.
    #[error("no answer within {:.1} s ({at})", .after.as_secs_f64())]
    Timeout {
        /// The deadline that was given.
        after: Duration,
        /// What it was doing by then.
        at: String,
    },
    /// The base URL or the key is unusable.
    #[error("the endpoint `{url}` cannot be used: {why}")]
    BadEndpoint {
        /// The URL as given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach {url}: {why}. Is the server running, and is the URL right?")]
    Connect {
        /// The URL asked.
        url: String,
        /// What the network said.
        why: String,
    },
    /// The server answered with an error status.
    #[error("{url} answered HTTP {status}: {snippet}")]
    Http {
        /// The URL asked.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of what it said.
        snippet: String,
    },
    /// The server answered with something that is no completion.
    #[error("the server's answer cannot be used: {why}. It begins: {snippet}")]
    BadAnswer {
        /// What is wrong.
        why: String,
        /// The beginning of what it said.
        snippet: String,
    },
    /// The model declined to answer.
    #[error("the model refused: {snippet}")]
    Refused {
        /// The beginning of what it said.
        snippet: String,
    },
    /// The inference engine failed.
    #[error("the model failed while {doing}: {why}")]
    Engine {
        /// What it was doing.
        doing: &'static str,
        /// What the engine said.
        why: String,
    },
}
