//! A quantized chat model in this process, with grammar-constrained decoding.
//!
//! For small models, so that a first run needs no server. It reads GGUF files of the architectures `llama`, `qwen2`, `qwen3` and
//! `gemma3` (SmolLM, SmolLM2, Llama 3, Qwen 2.5, Qwen 3, Gemma 3), and holds all weights in eight bits. Large models are better
//! served by a server such as llama.cpp, through [`crate::OpenAi`].

mod attention;
mod chat;
mod gguf;
mod grammar;
mod layer;
mod pieces;
mod positions;
mod quant;
mod sampler;
mod sizes;
#[cfg(test)]
mod tests;
mod transformer;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use llguidance::Matcher;
use toktrie::{SimpleVob, TokenId};

use crate::{Completion, Finish, LlmError, Request, TextModel};
use chat::Template;
use gguf::{Fault, Gguf, Value};
use grammar::Grammars;
use sampler::Sampler;
use transformer::Transformer;
use vocabulary::Vocabulary;

/// Whether the model's own template lets it think before it answers, unless told not to.
fn may_think(gguf: &Gguf) -> bool {
    matches!(gguf.value("tokenizer.chat_template"), Some(Value::Text(text)) if text.contains("enable_thinking"))
}

/// Tokens are few where they are less than one of so many.
const FEW: usize = 8;

/// How to run an embedded model.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads to compute with; 0 means one for each core.
    pub threads: usize,
    /// Most tokens of prompt and answer together; models made for fewer take fewer.
    pub max_context: usize,
}

impl Default for Options {
    /// All cores, 4,096 tokens.
    fn default() -> Self {
        Self { threads: 0, max_context: 4096 }
    }
}

/// A model loaded from a GGUF file.
///
/// The same request gives the same text on the same machine, whatever was asked before. Requests that begin
/// with the same tokens as the one before (a common system message) do not pay for them again.
pub struct Embedded {
    name: String,
    path: PathBuf,
    vocabulary: Vocabulary,
    template: Template,
    grammars: Grammars,
    transformer: Transformer,
    /// The tokens in the model's cache.
    fed: Vec<TokenId>,
    pool: rayon::ThreadPool,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Loads a model.
    ///
    /// # Errors
    /// [`LlmError::BadModel`] when the file is no GGUF file, is damaged, or holds a model of another kind.
    pub fn load(path: &Path, options: &Options) -> Result<Self, LlmError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(options.threads)
            .thread_name(|i| format!("llm-{i}"))
            .build()
            .map_err(|e| LlmError::Engine { doing: "starting threads", why: e.to_string() })?;
        Self::read(path, options.max_context, pool)
            .map_err(|why| LlmError::BadModel { path: path.to_owned(), why })
    }

    fn read(path: &Path, max_context: usize, pool: rayon::ThreadPool) -> Result<Self, Fault> {
        let mut gguf = Gguf::open(path)?;
        let rows = match gguf.shape("token_embd.weight").as_deref() {
            Some([rows, _]) => *rows,
            _ => return Err("it has no token embedding".into()),
        };
        // The architecture is told first: it is the likeliest mistake and the clearest message.
        Transformer::check(&gguf)?;
        let vocabulary = Vocabulary::read(&gguf)?;
        if vocabulary.len() > rows {
            return Err(format!("it has {} tokens but embeddings for {rows}", vocabulary.len()));
        }
        let template = Template::detect(&vocabulary, may_think(&gguf))?;
        let grammars = Grammars::new(&vocabulary.env())?;
        let transformer = Transformer::load(&mut gguf, rows, max_context)?;
        let file = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("embedded:{file}");
        Ok(Self {
            name,
            path: path.into(),
            vocabulary,
            template,
            grammars,
            transformer,
            fed: Vec::new(),
            pool,
        })
    }

    /// Most tokens of prompt and answer together.
    pub fn context_limit(&self) -> usize {
        self.transformer.max_positions()
    }

    /// How many tokens a text has, outside of any chat template.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.vocabulary.encode(text).len()
    }

    /// Keeps what the cache shares with `prompt` and returns the tokens still to feed, at least one.
    fn reuse<'a>(&mut self, prompt: &'a [TokenId]) -> &'a [TokenId] {
        let same = self.fed.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let keep = same.min(self.transformer.fed()).min(prompt.len().saturating_sub(1));
        self.transformer.keep(keep);
        self.fed.truncate(keep);
        &prompt[keep..]
    }

    /// Feeds the pending tokens and leaves none; the scores of the token that follows, where it is allowed.
    fn feed(
        &mut self,
        pending: &mut Vec<TokenId>,
        allowed: Option<&SimpleVob>,
        until: Instant,
    ) -> Result<Vec<f32>, Stopped> {
        // A grammar often leaves a handful of tokens: then only their rows of the output matrix are read.
        let few = |mask: &&SimpleVob| mask.num_set() < self.vocabulary.len() / FEW;
        let rows: Option<Vec<TokenId>> = allowed.filter(few).map(|mask| mask.iter().collect());
        let done = self.pool.install(|| self.transformer.feed(pending, rows.as_deref(), until));
        let fed = self.transformer.fed() - self.fed.len();
        self.fed.extend(pending.drain(..fed));
        match done {
            Err(transformer::OutOfTime) => Err(Stopped::OutOfTime),
            Ok(None) => Err(Stopped::Engine("nothing to continue from".into())),
            Ok(Some(mut scores)) => {
                if let Some(rows) = rows {
                    let found = rows.into_iter().zip(std::mem::take(&mut scores));
                    scores = vec![f32::NEG_INFINITY; self.vocabulary.len()];
                    found.for_each(|(token, score)| scores[token as usize] = score);
                }
                // Some models pad their embeddings beyond the tokens that exist.
                scores.truncate(self.vocabulary.len());
                Ok(scores)
            }
        }
    }

    /// Writes until the model or the grammar stops, or `limit` tokens stand.
    fn write(
        &mut self,
        prompt: &[TokenId],
        mut matcher: Option<Matcher>,
        mut sampler: Sampler,
        limit: usize,
        until: Instant,
    ) -> Result<(Vec<TokenId>, Finish), Stopped> {
        let mut written = Vec::new();
        // What was decided but not yet fed: a sampled token goes in together with those it forces.
        let mut pending = self.reuse(prompt).to_vec();
        loop {
            let mut mask = None;
            if let Some(matcher) = &mut matcher {
                let forced = matcher.compute_ff_tokens();
                matcher.consume_tokens(&forced).map_err(Stopped::engine)?;
                written.extend_from_slice(&forced);
                pending.extend_from_slice(&forced);
                if matcher.is_stopped() && written.len() <= limit {
                    return Ok((written, Finish::Stop));
                }
                if written.len() < limit {
                    mask = Some(matcher.compute_mask().map_err(Stopped::engine)?);
                }
            }
            if written.len() >= limit {
                written.truncate(limit);
                return Ok((written, Finish::Length));
            }
            let scores = self.feed(&mut pending, mask.as_ref(), until)?;
            let token = sampler
                .pick(&scores, mask.as_ref())
                .ok_or_else(|| Stopped::Engine("the grammar allows no token here".into()))?;
            if self.vocabulary.is_stop(token) {
                return Ok((written, Finish::Stop));
            }
            if let Some(matcher) = &mut matcher {
                matcher.consume_token(token).map_err(Stopped::engine)?;
            }
            written.push(token);
            pending.push(token);
        }
    }
}

/// Why writing ended without a text.
enum Stopped {
    OutOfTime,
    Engine(String),
}

impl Stopped {
    fn engine(error: impl std::fmt::Display) -> Self {
        Self::Engine(error.to_string())
    }
}

impl TextModel for Embedded {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// # Errors
    /// [`LlmError::ContextFull`] when the prompt leaves no room; an answer that reaches the end of the context
    /// ends there with [`Finish::Length`]. [`LlmError::BadSchema`], [`LlmError::Timeout`].
    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError> {
        request.check()?;
        let start = Instant::now();
        let until = start.checked_add(request.deadline).unwrap_or(start + Duration::from_secs(86_400));
        let matcher = request.schema.as_ref().map(|schema| self.grammars.matcher(schema)).transpose()?;
        let prompt = self.template.prompt(&self.vocabulary, &request.system, &request.user);
        let room = self.context_limit().saturating_sub(prompt.len());
        if room == 0 {
            let limit = self.context_limit();
            return Err(LlmError::ContextFull { prompt_tokens: prompt.len(), limit });
        }
        let sampler = Sampler::new(request.temperature, request.top_p, request.seed);
        let limit = request.max_tokens.min(room);
        let (written, finish) =
            self.write(&prompt, matcher, sampler, limit, until).map_err(|stopped| match stopped {
                Stopped::OutOfTime => {
                    let at = format!("{} was still writing", self.name);
                    LlmError::Timeout { after: request.deadline, at }
                }
                Stopped::Engine(why) => LlmError::Engine { doing: "writing", why },
            })?;
        Ok(Completion {
            text: self.vocabulary.decode(&written),
            prompt_tokens: prompt.len(),
            completion_tokens: written.len(),
            thinking_tokens: 0,
            seconds: start.elapsed().as_secs_f64(),
            finish,
        })
    }
}
