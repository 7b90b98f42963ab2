//! A decoder transformer over a GGUF file, for one sequence on the CPU.
//!
//! The architectures are llama.cpp's `llama`, `qwen2`, `qwen3` and `gemma3` (RMS norm, rotary positions, grouped-query attention,
//! gated feed-forward layers), with the tensor names of that project. candle's own quantized models copy their whole key-value
//! cache at each token and cannot shorten it; here the cache is appended to and cut, so that requests with a common beginning
//! share the work for it.

use std::time::Instant;

use super::gguf::{Fault, Gguf};
use super::layer::{Layer, rms_norm};
use super::positions::{frequencies, near_frequencies, turns};
use super::quant::Matrix;
use super::sizes::{Architecture, Sizes, key, sizes};

/// Tokens of a prompt that go through the layers together.
const CHUNK: usize = 64;

/// The weights, and the cache of the tokens fed so far.
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
    fed: usize,
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
        Ok(Self { sizes, embedding, layers, norm, output, frequencies, max_positions, fed: 0 })
    }

    /// Whether the metadata describes a model that can be loaded.
    pub(crate) fn check(gguf: &Gguf) -> Result<(), Fault> {
        sizes(gguf).map(drop)
    }

    /// How many tokens can be fed in all.
    pub(crate) fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// How many tokens are in the cache.
    pub(crate) fn fed(&self) -> usize {
        self.fed
    }

    /// Forgets all tokens after the first `n`.
    pub(crate) fn keep(&mut self, n: usize) {
        let n = n.min(self.fed);
        self.layers.iter_mut().for_each(|layer| layer.keep(&self.sizes, n));
        self.fed = n;
    }

    /// Feeds tokens (each below the vocabulary size, no more than there is room for) and returns the
    /// scores of what comes next, one for each of `wanted`, or of the whole vocabulary. `None` for no tokens.
    ///
    /// # Errors
    /// [`OutOfTime`] when `until` passes; the tokens of whole chunks stay in the cache then.
    pub(crate) fn feed(
        &mut self,
        tokens: &[u32],
        wanted: Option<&[u32]>,
        until: Instant,
    ) -> Result<Option<Vec<f32>>, OutOfTime> {
        let mut last = None;
        for chunk in tokens.chunks(CHUNK) {
            if Instant::now() >= until {
                return Err(OutOfTime);
            }
            let x = self.through_layers(chunk);
            last = Some(x[x.len() - self.sizes.width..].to_vec());
        }
        Ok(last.map(|x| {
            let x = rms_norm(&x, &self.norm, self.sizes.epsilon);
            let output = self.output.as_ref().unwrap_or(&self.embedding);
            wanted.map_or_else(|| output.apply(&x), |rows| output.apply_rows(&x, rows))
        }))
    }

    /// Hidden states, one row of `width` per token.
    fn through_layers(&mut self, tokens: &[u32]) -> Vec<f32> {
        let (width, n) = (self.sizes.width, tokens.len());
        let mut x = vec![0.0; n * width];
        for (row, token) in x.chunks_exact_mut(width).zip(tokens) {
            self.embedding.read_row(*token as usize, row);
        }
        if self.sizes.architecture == Architecture::Gemma3 {
            let scale = (width as f32).sqrt();
            x.iter_mut().for_each(|x| *x *= scale);
        }
        let [far, near] = [0, 1].map(|kind: usize| turns(&self.frequencies[kind], self.fed, n));
        for layer in &mut self.layers {
            let turns = if layer.is_near() { &near } else { &far };
            layer.apply(&self.sizes, &mut x, n, turns);
        }
        self.fed += tokens.len();
        x
    }
}
