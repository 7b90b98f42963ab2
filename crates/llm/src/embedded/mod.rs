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
mod write;

use std::path::{Path, PathBuf};
use std::time::Instant;

use toktrie::TokenId;

use crate::{Completion, Finish, LlmError, Request, TextModel};
use chat::Template;
use gguf::{Fault, Gguf, Value};
use grammar::Grammars;
use sampler::Sampler;
use transformer::{Memory, OutOfTime, Transformer};
use vocabulary::Vocabulary;
use write::{Stopped, Text, write};

/// Whether the model's own template lets it think before it answers, unless told not to.
fn may_think(gguf: &Gguf) -> bool {
    matches!(gguf.value("tokenizer.chat_template"), Some(Value::Text(text)) if text.contains("enable_thinking"))
}

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
    /// The last prompt, as far as it was read, and its keys and values.
    read: Vec<TokenId>,
    memory: Memory,
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
            read: Vec::new(),
            memory: Memory::default(),
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

    /// Reads the prompt but for its last token; what it shares with the one before is there already.
    fn read_prompt(&mut self, prompt: &[TokenId], until: Instant) -> Result<(), OutOfTime> {
        let same = self.read.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let keep = same.min(self.memory.fed()).min(prompt.len() - 1);
        self.transformer.keep(&mut self.memory, keep);
        self.read.truncate(keep);
        let tokens = &prompt[keep..prompt.len() - 1];
        let done = self.pool.install(|| self.transformer.read(&mut self.memory, tokens, until));
        self.read.extend(&tokens[..self.memory.fed() - keep]);
        done
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
        let mut answers = self.generate_some(request, 1)?;
        answers.pop().ok_or(LlmError::Engine { doing: "writing", why: "nothing was written".into() })
    }

    /// All of them at once: they share the reading of the prompt, and each weight is loaded once for all of them. At the deadline those
    /// that are complete count.
    fn generate_some(&mut self, request: &Request, n: usize) -> Result<Vec<Completion>, LlmError> {
        request.check()?;
        let start = Instant::now();
        let until = request.until(start);
        let matcher = request.schema.as_ref().map(|schema| self.grammars.matcher(schema)).transpose()?;
        let prompt = self.template.prompt(&self.vocabulary, &request.system, &request.user);
        let room = self.context_limit().saturating_sub(prompt.len());
        let Some(last) = prompt.last().copied().filter(|_| room > 0) else {
            let limit = self.context_limit();
            return Err(LlmError::ContextFull { prompt_tokens: prompt.len(), limit });
        };
        let limit = request.max_tokens.min(room);
        let write = |model: &mut Self| {
            model.read_prompt(&prompt, until)?;
            let text = |i: usize| {
                let sampler = Sampler::new(request.temperature, request.top_p, request.seed_of(i));
                let memory = model.transformer.fork(&mut model.memory);
                Text::new(memory, last, matcher.clone(), sampler)
            };
            let mut texts: Vec<Text> = (0..n.max(1)).map(text).collect();
            let (transformer, vocabulary) = (&model.transformer, &model.vocabulary);
            model.pool.install(|| write(&mut texts, transformer, vocabulary, limit, until))?;
            Ok(texts)
        };
        let texts = write(self).map_err(|stopped| match stopped {
            Stopped::OutOfTime => {
                let at = format!("{} was still writing", self.name);
                LlmError::Timeout { after: request.deadline, at }
            }
            Stopped::Engine(why) => LlmError::Engine { doing: "writing", why },
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let answer = |(written, finish): (Vec<TokenId>, Finish)| Completion {
            text: self.vocabulary.decode(&written),
            prompt_tokens: prompt.len(),
            completion_tokens: written.len(),
            thinking_tokens: 0,
            seconds,
            finish,
        };
        Ok(texts.into_iter().filter_map(Text::complete).map(answer).collect())
    }
}
