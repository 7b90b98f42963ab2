//! A decoder transformer over a GGUF file, on the CPU.
//!
//! The architectures are llama.cpp's `llama`, `qwen2`, `qwen3` and `gemma3` (RMS norm, rotary positions, grouped-query attention,
//! gated feed-forward layers), with the tensor names of that project. candle's own quantized models copy their whole key-value
//! cache at each token and cannot shorten it; here the cache is appended to, cut and copied, so that texts with a common beginning
//! share the work for it, and several texts go over the weights together.

use std::time::Instant;

use super::attention::Cache;
use super::gguf::{Fault, Gguf};
use super::layer::{Layer, rms_norm};
use super::positions::{frequencies, near_frequencies, turns};
use super::quant::Matrix;
use super::sizes::{Architecture, Sizes, key, sizes};

/// Tokens of a prompt that go through the layers together.
const CHUNK: usize = 64;

/// The weights.
pub(crate) struct Transformer {
    sizes: Sizes,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None` when the embedding serves as the output matrix too.
    output: Option<Matrix>,
    /// Rotation per position and pair, in radians per position: of layers that see all, and of those that see the last ones.
    frequencies: [Vec<f32>; 2],
    max_positions: usize,
}

/// Keys and values of the tokens of one text that were fed so far.
#[derive(Default)]
pub(crate) struct Memory {
    /// One for each layer; none before the first token.
    caches: Vec<Cache>,
    fed: usize,
}

impl Memory {
    /// How many tokens were fed.
    pub(crate) fn fed(&self) -> usize {
        self.fed
    }
}

/// What comes next in a text.
pub(crate) struct Fed<'a> {
    /// The text so far.
    pub(crate) memory: &'a mut Memory,
    /// Tokens to feed, each below the vocabulary size; at least one, and no more than there is room for.
    pub(crate) tokens: &'a [u32],
    /// Tokens whose scores are wanted; `None` for all.
    pub(crate) wanted: Option<&'a [u32]>,
}

/// The deadline passed while tokens were fed.
pub(crate) struct OutOfTime;

impl Transformer {
    /// Loads the weights. At most `max_positions` tokens can be fed, or fewer if the model was made for fewer.
    pub(crate) fn load(gguf: &mut Gguf, vocab: usize, max_positions: usize) -> Result<Self, Fault> {
        let sizes = sizes(gguf)?;
        let near = match sizes.architecture {
            Architecture::Gemma3 => near_frequencies(sizes.heads.dim),
            _ => Vec::new(),
        };
        let frequencies = [frequencies(gguf, sizes.heads.dim)?, near];
        let trained_for = gguf.count(&key(gguf, "context_length")?, 1..=1 << 24)?;
        let layers: Result<Vec<Layer>, Fault> =
            (0..sizes.layers).map(|number| Layer::read(gguf, &sizes, number)).collect();
        let (layers, width) = (layers?, sizes.width);
        let embedding = Matrix::new(&gguf.tensor("token_embd.weight", &[vocab, width])?, vocab, width);
        let output = match gguf.shape("output.weight") {
            Some(_) => Some(Matrix::new(&gguf.tensor("output.weight", &[vocab, width])?, vocab, width)),
            None => None,
        };
        let norm = gguf.tensor("output_norm.weight", &[width])?;
        let max_positions = max_positions.min(trained_for);
        Ok(Self { sizes, embedding, layers, norm, output, frequencies, max_positions })
    }

    /// Whether the metadata describes a model that can be loaded.
    pub(crate) fn check(gguf: &Gguf) -> Result<(), Fault> {
        sizes(gguf).map(drop)
    }

    /// How many tokens of a text can be fed in all.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// Forgets all tokens of a text after the first `n`.
    pub(crate) fn keep(&self, memory: &mut Memory, n: usize) {
        memory.fed = n.min(memory.fed);
        memory.caches.iter_mut().for_each(|cache| cache.truncate(self.sizes.heads, memory.fed));
    }

    /// A memory of a text that begins like another; they share what is the same.
    pub(crate) fn fork(&self, memory: &mut Memory) -> Memory {
        let heads = self.sizes.heads;
        Memory { caches: memory.caches.iter_mut().map(|cache| cache.fork(heads)).collect(), fed: memory.fed }
    }

    /// Feeds tokens of a text of whose next ones nothing is asked.
    ///
    /// # Errors
    /// [`OutOfTime`] when `until` passes; the tokens of whole chunks stay in the memory then.
    pub(crate) fn read(&self, memory: &mut Memory, tokens: &[u32], until: Instant) -> Result<(), OutOfTime> {
        for chunk in tokens.chunks(CHUNK) {
            in_time(until)?;
            self.through_layers(&mut [Fed { memory, tokens: chunk, wanted: None }]);
        }
        Ok(())
    }

    /// Feeds the tokens of some texts together, and returns the scores of what comes next in each: the same as if each were fed alone.
    ///
    /// # Errors
    /// [`OutOfTime`] after `until`; nothing is fed then.
    pub(crate) fn feed(&self, texts: &mut [Fed], until: Instant) -> Result<Vec<Vec<f32>>, OutOfTime> {
        in_time(until)?;
        let x = self.through_layers(texts);
        let mut rows = x.chunks_exact(self.sizes.width);
        let last = |text: &Fed| rows.nth(text.tokens.len() - 1).unwrap_or_default();
        let last: Vec<Vec<f32>> =
            texts.iter().map(last).map(|x| rms_norm(x, &self.norm, self.sizes.epsilon)).collect();
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        let whole: Vec<f32> = texts
            .iter()
            .zip(&last)
            .filter(|(text, _)| text.wanted.is_none())
            .flat_map(|(_, x)| x)
            .copied()
            .collect();
        let all = if whole.is_empty() { Vec::new() } else { output.apply(&whole) };
        let mut all = all.chunks_exact(output.rows());
        let scores = |(text, x): (&Fed, &Vec<f32>)| match text.wanted {
            Some(rows) => output.apply_rows(x, rows),
            None => all.next().unwrap_or_default().to_vec(),
        };
        Ok(texts.iter().zip(&last).map(scores).collect())
    }

    /// Hidden states, one row of `width` for each token of the texts.
    fn through_layers(&self, texts: &mut [Fed]) -> Vec<f32> {
        let width = self.sizes.width;
        let tokens: Vec<u32> = texts.iter().flat_map(|text| text.tokens).copied().collect();
        let mut x = vec![0.0; tokens.len() * width];
        for (row, token) in x.chunks_exact_mut(width).zip(tokens) {
            self.embedding.read_row(token as usize, row);
        }
        if self.sizes.architecture == Architecture::Gemma3 {
            let scale = (width as f32).sqrt();
            x.iter_mut().for_each(|x| *x *= scale);
        }
        let turned =
            |text: &Fed, kind: usize| turns(&self.frequencies[kind], text.memory.fed, text.tokens.len());
        let [far, near] =
            [0, 1].map(|kind| texts.iter().flat_map(|text| turned(text, kind)).collect::<Vec<_>>());
        for text in texts.iter_mut() {
            text.memory.caches.resize_with(self.layers.len(), Cache::default);
            text.memory.fed += text.tokens.len();
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let turns = if layer.is_near() { &near } else { &far };
            let mut of_layer: Vec<(&mut Cache, usize)> =
                texts.iter_mut().map(|text| (&mut text.memory.caches[number], text.tokens.len())).collect();
            layer.apply(&self.sizes, &mut x, &mut of_layer, turns);
        }
        x
    }
}

fn in_time(until: Instant) -> Result<(), OutOfTime> {
    if Instant::now() < until { Ok(()) } else { Err(OutOfTime) }
}
