//! What one caption takes on a machine, estimated from a design alone.
//!
//! A design is turned into an amount of work by kind of kernel ([`Work`]); a machine has one cost a unit of each kind
//! ([`DeviceProfile`]), measured once. The estimate is their scalar product, so it is linear with non-negative
//! coefficients: more work never makes a design faster. The work follows the two engines that a captioner runs: the
//! frozen part on the host engine (norms folded into convolutions), the trained part on the tensor engine, the decoder
//! row by row with cached keys and values. Reading and decoding the photo's file are not counted: they depend on the
//! photo. Everything is for one image.

mod decoder;
mod frozen;
mod trunk;

pub use decoder::{decode_work, setup_work};
pub use frozen::frozen_work;
pub use trunk::{bridge_work, trunk_work};

use crate::design::Design;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};

macro_rules! kernels {
    ($($(#[doc = $doc:literal])+ $name:ident: $unit:literal,)+) => {
        /// Kinds of work that have a cost of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kernel { $($(#[doc = $doc])+ $name,)+ }

        impl Kernel {
            /// All kinds, in the order of [`Work`].
            pub const ALL: &'static [Kernel] = &[$(Kernel::$name),+];

            /// What one unit is.
            pub fn unit(self) -> &'static str {
                match self { $(Kernel::$name => $unit),+ }
            }
        }
    };
}

kernels! {
    /// Resizing the decoded photo: what does not depend on the network's input.
    Photo: "photo",
    /// Resizing and normalising the decoded photo, by values of the network's input.
    Pixels: "value",
    /// Host engine: matrix products of pointwise and dense convolutions.
    FrozenGemm: "MAC",
    /// Host engine: values that such products read and write.
    FrozenGemmValues: "value",
    /// Host engine: such values in maps whose channels lie a multiple of 4 KiB apart and displace each other.
    FrozenConflicts: "value",
    /// Host engine: weights of such products with one cell.
    FrozenVector: "weight",
    /// Host engine: weights of such products with more cells.
    FrozenWeights: "weight",
    /// Host engine: weights beyond what the nearest cache keeps from image to image.
    FrozenFar: "weight",
    /// Host engine: columns gathered for kernels wider than a cell or strided ones.
    FrozenGather: "value",
    /// Host engine: depthwise convolutions, with the cells that are computed and dropped.
    FrozenDepthwise: "MAC",
    /// Host engine: values that depthwise convolutions read and write.
    FrozenPlane: "value",
    /// Host engine: bias, ReLU, norms, sums and gates.
    FrozenElement: "value",
    /// Host engine: non-linearities with an exponential.
    FrozenCurve: "value",
    /// Host engine: taps of pooling windows, values of means and maxima.
    FrozenPool: "tap",
    /// Host engine: each step.
    FrozenStep: "step",
    /// Rounding of the frozen features to 16 bits and their way to the tensor engine.
    Features: "value",
    /// Tensor engine: matrix products of 1 × 1 convolutions, linear layers and attention.
    Gemm: "MAC",
    /// Tensor engine: values that such products read and write.
    GemmValues: "value",
    /// Tensor engine: such values in maps whose channels lie a multiple of 4 KiB apart.
    GemmConflicts: "value",
    /// Tensor engine: weights of such products with more than one row.
    GemmWeights: "weight",
    /// Tensor engine: matrix products of wider, strided or grouped convolutions.
    Conv: "MAC",
    /// Tensor engine: columns gathered for them, by group.
    ConvGather: "value",
    /// Tensor engine: inputs reordered and outputs scattered for them.
    ConvValues: "value",
    /// Tensor engine: such values in maps whose channels lie a multiple of a kilobyte apart and displace each other.
    ConvConflicts: "value",
    /// Tensor engine: weights reordered for them.
    ConvWeights: "weight",
    /// Tensor engine: depthwise convolutions and those from few channels to few.
    Depthwise: "MAC",
    /// Tensor engine: those of them with a stride.
    Strided: "MAC",
    /// Tensor engine: rows of taps of such convolutions.
    TapRow: "row",
    /// Tensor engine: weights beyond what the nearest cache keeps from image to image.
    Far: "weight",
    /// Tensor engine: values that pass through maps larger than the nearest cache, once an operation.
    Large: "value",
    /// Tensor engine: batch norm.
    BatchNorm: "value",
    /// Tensor engine: layer norm over channels.
    LayerNorm: "value",
    /// Tensor engine: group norm.
    GroupNorm: "value",
    /// Tensor engine: ReLU and ReLU6.
    Relu: "value",
    /// Tensor engine: SiLU and the logistic function.
    Silu: "value",
    /// Tensor engine: GELU.
    Gelu: "value",
    /// Tensor engine: hard swish.
    HardSwish: "value",
    /// Tensor engine: sums, joins and products of maps of one shape.
    Join: "value",
    /// Tensor engine: products of a map and a smaller gate.
    Gate: "value",
    /// Tensor engine: taps of pooling windows.
    Pool: "tap",
    /// Tensor engine: values pooled to a given size.
    Adaptive: "value",
    /// Tensor engine: means and sums over cells or channels.
    Reduce: "value",
    /// Tensor engine: maxima over cells or channels.
    Maximum: "value",
    /// Tensor engine: scores of self-attention.
    Softmax: "score",
    /// Tensor engine: each operation.
    Operation: "operation",
    /// Bridge: values of memory through layer norm and copies.
    Memory: "value",
    /// Bridge and the start of decoding, once an image.
    Image: "image",
    /// Decoder before the first word: keys, values, first states.
    Setup: "MAC",
    /// Decoder before the first word: values that these products read and write.
    SetupValues: "value",
    /// Decoder, one row: weights of linear layers.
    Vector: "weight",
    /// Decoder, several rows: weights of linear layers, once for all rows.
    Weights: "weight",
    /// Decoder, several rows: multiply-accumulates of linear layers.
    Rows: "MAC",
    /// Decoder, one row: weights of a step beyond what the nearest cache keeps from word to word.
    VectorFar: "weight",
    /// Decoder, several rows: such weights.
    WeightsFar: "weight",
    /// Decoder: weights of a step beyond what the shared cache keeps from word to word.
    StepFarther: "weight",
    /// Decoder: attention to memory or earlier words, both products.
    Attend: "MAC",
    /// Decoder: scores of attention, by head.
    Score: "score",
    /// Decoder: hyperbolic tangents of additive attention.
    Additive: "value",
    /// Decoder: cells of recurrences, by gate.
    Cell: "value",
    /// Decoder: layer norms, sums and GELU.
    Element: "value",
    /// Decoder: SiLU of gated feed-forward layers.
    Curve: "value",
    /// Decoder: values copied when hypotheses are kept.
    Keep: "value",
    /// Decoder: words of the vocabulary whose probability is computed and ranked.
    Rank: "word",
    /// Decoder: each linear layer and norm.
    Call: "call",
    /// Decoder: each word of the beam.
    Step: "step",
}

/// Amounts of work by kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Work([f64; Kernel::ALL.len()]);

impl Default for Work {
    fn default() -> Self {
        Self([0.0; Kernel::ALL.len()])
    }
}

impl Work {
    /// The amount of one kind, in its unit.
    pub fn of(&self, kernel: Kernel) -> f64 {
        self.0[kernel as usize]
    }

    /// Adds an amount of one kind.
    pub fn put(&mut self, kernel: Kernel, amount: usize) {
        self.0[kernel as usize] += amount as f64;
    }

    /// All amounts, in the order of [`Kernel::ALL`].
    pub fn amounts(&self) -> &[f64] {
        &self.0
    }

    /// Seconds on a machine.
    pub fn seconds(&self, profile: &DeviceProfile) -> f64 {
        Kernel::ALL.iter().map(|k| self.of(*k) * profile.costs.get(k).copied().unwrap_or(0.0)).sum()
    }
}

impl AddAssign<&Work> for Work {
    fn add_assign(&mut self, other: &Work) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a += b);
    }
}

impl Add for Work {
    type Output = Work;

    fn add(mut self, other: Work) -> Work {
        self += &other;
        self
    }
}

/// Values of 32 bits in the nearest large cache of a core, as a typical processor has it: 512 KiB.
pub(crate) const NEAR: usize = 128 << 10;

/// Values of 32 bits that a core may expect to keep in the cache that all share: 16 MiB.
pub(crate) const SHARED: usize = 4 << 20;

/// Channels so many values (4 KiB) apart fall on the same places of the first cache.
pub(crate) const PAGE: usize = 1024;

/// What a machine takes for each kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceProfile {
    /// [`DeviceProfile::VERSION`] of the program that measured.
    pub version: u32,
    /// Name of the machine's processor.
    pub machine: String,
    /// Cores that the machine offers.
    pub cores: usize,
    /// Threads that were used.
    pub threads: usize,
    /// Seconds a unit, for each kind.
    pub costs: BTreeMap<Kernel, f64>,
    /// Median relative error on the calibration itself: how well a linear model describes this machine.
    pub fit_error: f64,
}

/// A profile that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the device profile cannot be used: {0}; measure again with `capwright device profile`")]
pub struct ProfileError(String);

impl DeviceProfile {
    /// Changes whenever kinds or their units do.
    pub const VERSION: u32 = 1;

    /// Largest text that is read, in bytes.
    pub const MAX_TEXT: usize = 64 << 10;

    /// Reads a profile; all problems are named at once.
    ///
    /// # Errors
    /// A text that is too long or no profile, another version, kinds without a cost, costs that are no finite
    /// non-negative numbers.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        if text.len() > Self::MAX_TEXT {
            return Err(ProfileError(format!("it has more than {} bytes", Self::MAX_TEXT)));
        }
        let profile: Self = serde_json::from_str(text).map_err(|e| ProfileError(e.to_string()))?;
        let mut problems = Vec::new();
        if profile.version != Self::VERSION {
            problems.push(format!("version {} instead of {}", profile.version, Self::VERSION));
        }
        if profile.threads == 0 || profile.cores == 0 {
            problems.push("no threads or no cores".into());
        }
        for kernel in Kernel::ALL {
            match profile.costs.get(kernel) {
                None => problems.push(format!("no cost for {kernel:?}")),
                Some(c) if !c.is_finite() || *c < 0.0 => {
                    problems.push(format!("a cost of {c} for {kernel:?}"))
                }
                Some(_) => {}
            }
        }
        if problems.is_empty() { Ok(profile) } else { Err(ProfileError(problems.join(", "))) }
    }
}

/// Estimated times for one image, without reading and decoding its file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From the decoded photo to memory, with what the decoder computes before its first word; milliseconds.
    pub encoder_ms: f64,
    /// A word of the caption, for the whole beam; milliseconds.
    pub per_word_ms: f64,
    /// A caption of the given number of words and its END; milliseconds.
    pub total_ms: f64,
}

/// From decoded photo to memory.
pub fn encoder_work(design: &Design) -> Work {
    let mut work = Work::default();
    work.put(Kernel::Photo, 1);
    work.put(Kernel::Pixels, 3 * design.image_size * design.image_size);
    for frozen in &design.frozen {
        work += &frozen_work(&frozen.graph);
        work.put(Kernel::Features, frozen.graph.output_shape().len());
    }
    work + trunk_work(&design.trunk) + bridge_work(&design.bridge)
}

/// The estimate for a caption of `words` words by a beam of `beam` hypotheses (1 is greedy).
pub fn latency(design: &Design, profile: &DeviceProfile, words: usize, beam: usize) -> Latency {
    let setup = setup_work(&design.decoder, &design.bridge);
    let encoder = (encoder_work(design) + setup).seconds(profile);
    let decode =
        decode_work(&design.decoder, &design.bridge, design.target.vocab, words, beam).seconds(profile);
    Latency {
        encoder_ms: 1e3 * encoder,
        per_word_ms: 1e3 * decode / words.max(1) as f64,
        total_ms: 1e3 * (encoder + decode),
    }
}

#[cfg(test)]
mod tests;
