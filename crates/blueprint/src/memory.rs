//! How much memory a design needs: weights by precision, activations at inference and in training.
//!
//! Exact: bytes of weights at 32 and 16 bits, and the sizes of all node outputs, which follow from static shapes. At 8
//! bits the numbers are exact for the usual scheme that [`WeightBytes::i8`] names. Estimates: what is alive at the same
//! time assumes that nodes run in order, that an output exists beside its inputs, and that a value is given back after
//! its last reader. The host engine does better where it works in place and fuses; both engines need work space
//! (gathered columns, packed matrices) that is not counted. In training the decoder's kept values are those of our
//! backward passes for recurrences, and a count of the saved tensors of each layer for Transformers.

use crate::decoder::{DecoderSpec, RecurrentSpec, TransformerSpec};
use crate::decoder_more::TopDownSpec;
use crate::design::Design;
use crate::graph::{Graph, Param};
use crate::language::{Attention, Between, Cell, FeedForwardKind, RnnNorm};
use serde::{Deserialize, Serialize};

/// References of an image that training is counted with: what Flickr8k and COCO have.
pub const REFERENCES: usize = 5;

/// Rows whose logits exist at once in training.
const LOGIT_ROWS: usize = 256;

/// Bytes of a value.
const F32: u64 = 4;

/// Bytes of all weights and buffers, the frozen part's too, in three precisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightBytes {
    /// 32 bits each.
    pub f32: u64,
    /// 16 bits each.
    pub f16: u64,
    /// Matrices and kernels at 8 bits with one 32-bit scale for each output channel; vectors stay at 32 bits.
    pub i8: u64,
}

/// Memory that a design needs, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Weights and buffers.
    pub weights: WeightBytes,
    /// Activations alive at the same time while one image is captioned, at most; weights not counted.
    pub inference_peak: u64,
    /// A training step: kept activations, gradients, trained values and both moments of the optimizer.
    pub training_peak: u64,
}

/// Values alive at the same time while `graph` runs node by node on one image, at most.
pub fn peak_values(graph: &Graph) -> u64 {
    let nodes = graph.nodes();
    let mut last_use: Vec<usize> = (0..nodes.len()).collect();
    for (i, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|j| last_use[*j] = i);
    }
    last_use[graph.output()] = nodes.len();
    let (mut alive, mut peak) = (0u64, 0u64);
    for (i, node) in nodes.iter().enumerate() {
        alive += node.shape.len() as u64;
        peak = peak.max(alive);
        // An input that is read twice is given back once; an output that nobody reads at once.
        let mut done: Vec<usize> = node.inputs.iter().copied().filter(|j| last_use[*j] == i).collect();
        done.sort_unstable();
        done.dedup();
        done.extend((last_use[i] == i).then_some(i));
        alive -= done.iter().map(|j| nodes[*j].shape.len() as u64).sum::<u64>();
    }
    peak
}

/// Bytes of weights and buffers by precision.
pub fn weight_bytes(design: &Design) -> WeightBytes {
    let mut all = design.trainable();
    all.extend(design.trunk.buffers());
    for frozen in &design.frozen {
        all.extend(frozen.graph.parameters());
        all.extend(frozen.graph.buffers());
    }
    let values: u64 = all.iter().map(|p| p.len() as u64).sum();
    let quantised = |p: &Param| match p.shape.as_slice() {
        [outputs, _, ..] => p.len() as u64 + F32 * *outputs as u64,
        _ => F32 * p.len() as u64,
    };
    WeightBytes { f32: F32 * values, f16: 2 * values, i8: all.iter().map(quantised).sum() }
}

/// What a design needs to caption one image with `beam` hypotheses, and to train on batches of `images` images with
/// [`REFERENCES`] captions of the longest length each. Training is counted with AdamW, which keeps most of all optimisers;
/// a moving average of the weights, which only the recipe knows of, takes one copy more.
pub fn memory_use(design: &Design, beam: usize, images: usize) -> MemoryUse {
    MemoryUse {
        weights: weight_bytes(design),
        inference_peak: F32 * inference(design, beam.max(1) as u64),
        training_peak: F32 * training(design, images as u64),
    }
}

/// Values of the memory that the decoder reads.
fn memory_values(design: &Design) -> u64 {
    (design.bridge.tokens() * design.bridge.dim) as u64
}

/// Values that the resampler keeps for one image: keys, values, weights by head, and the layers on its queries.
fn resampler(design: &Design) -> u64 {
    let bridge = &design.bridge;
    let (n, cells) = (bridge.queries, bridge.cells());
    if n == 0 {
        return 0;
    }
    (2 * cells * bridge.dim + 2 * bridge.heads() * n * cells + n * (12 * bridge.dim + 2 * bridge.wide()))
        as u64
}

/// Values alive at once in the frozen parts, which run one after the other: the features of the first are kept meanwhile.
fn frozen_peak(design: &Design) -> u64 {
    let (mut kept, mut peak) = (0, 0);
    for part in &design.frozen {
        peak = peak.max(kept + peak_values(&part.graph));
        kept += part.graph.output_shape().len() as u64;
    }
    peak
}

fn inference(design: &Design, beam: u64) -> u64 {
    let memory = memory_values(design);
    let frozen = frozen_peak(design);
    let cells = (design.bridge.cells() * design.bridge.dim) as u64;
    let bridge = design.trunk.output_shape().len() as u64 + (2 * cells).max(cells + resampler(design));
    let (tokens, positions) = (design.bridge.tokens() as u64, design.target.positions() as u64);
    let state = match &design.decoder {
        DecoderSpec::Recurrent(s) => {
            let keys = match s.attention {
                Attention::None | Attention::Dot => 0,
                Attention::Additive | Attention::Adaptive => memory,
                Attention::MultiHead => 2 * memory,
            };
            let cells = if s.cell == Cell::Lstm { 2 } else { 1 };
            keys + beam * (cells * s.layers * s.hidden) as u64
        }
        DecoderSpec::TopDown(s) => memory + beam * 4 * s.hidden as u64,
        DecoderSpec::Convolution(s) => {
            let (keys, words) = (2 * s.attending() as u64 * tokens, beam * (s.layers * s.kernel) as u64);
            (keys + words) * s.dim as u64
        }
        DecoderSpec::Transformer(s) => 2 * (s.layers * s.dim) as u64 * (tokens + beam * positions),
    };
    let decoder = memory + state + beam * design.target.vocab as u64;
    frozen.max(peak_values(&design.trunk)).max(bridge).max(decoder)
}

fn training(design: &Design, images: u64) -> u64 {
    let trained: u64 = design.trainable().iter().map(|p| p.len() as u64).sum();
    let outputs: u64 = design.trunk.nodes().iter().map(|n| n.shape.len() as u64).sum();
    // Every output is kept for backward; gradients of activations live as long as outputs do at inference.
    let trunk = images * (outputs + peak_values(&design.trunk));
    // Projection, centred and scaled memory, and the gradient.
    let bridge = images * (4 * (design.bridge.cells() * design.bridge.dim) as u64 + resampler(design));
    let rows = images * REFERENCES as u64;
    let positions = design.target.positions() as u64;
    let decoder = match &design.decoder {
        DecoderSpec::Recurrent(s) => rows * positions * recurrent(design, s),
        DecoderSpec::TopDown(s) => rows * positions * top_down(design, s),
        DecoderSpec::Convolution(s) => {
            let attention = s.attending() * (3 * s.dim + 2 * design.bridge.tokens());
            let layers = s.layers * (s.kernel + 8) * s.dim + attention;
            let keys = 2 * (s.attending() * s.dim * design.bridge.tokens()) as u64 * images;
            rows * positions * (layers + 2 * s.dim) as u64 + keys
        }
        DecoderSpec::Transformer(s) => {
            let keys = 2 * (s.layers * s.dim * design.bridge.tokens()) as u64 * images;
            rows * positions * transformer(design, s) + keys
        }
    };
    let logits = (rows * positions).min(LOGIT_ROWS as u64) * design.target.vocab as u64;
    // Values, gradients and the two moments of AdamW.
    4 * trained + trunk + bridge + decoder + logits
}

/// Values that a position of a recurrence keeps, and the gradients beside them.
fn recurrent(design: &Design, spec: &RecurrentSpec) -> u64 {
    let (dim, hidden, gates) = (design.bridge.dim, spec.hidden, spec.gates() * spec.hidden);
    // LSTM: gates, old state, old and new cell. GRU: gates, the state's part of them, old state. Norms keep what they have normed.
    let cell = match (spec.cell, spec.rnn_norm) {
        (Cell::Lstm, RnnNorm::None) => gates + 3 * hidden,
        (Cell::Lstm, RnnNorm::Layer) => 4 * gates + 4 * hidden,
        (Cell::Gru, RnnNorm::None) => 2 * gates + hidden,
        (Cell::Gru, RnnNorm::Layer) => 4 * gates + hidden,
    };
    let inputs = spec.input(dim) + (spec.layers - 1) * hidden;
    let highways = if spec.between == Between::Highway { 2 * (spec.layers - 1) * hidden } else { 0 };
    let tokens = design.bridge.tokens();
    // Probabilities, queries and their gradients; several heads keep what they found, sentinels what they are made of.
    let attention = match spec.attention {
        Attention::None => 0,
        Attention::Dot | Attention::Additive => tokens + 2 * dim,
        Attention::MultiHead => RecurrentSpec::heads(dim) * tokens + 4 * dim,
        Attention::Adaptive => tokens + 1 + 6 * dim + 4 * hidden,
    };
    let out = hidden + spec.context(dim);
    (inputs + spec.layers * cell + highways + attention + out + inputs + out) as u64
}

/// The same of the top-down decoder: two LSTMs, and the state of the first that asks.
fn top_down(design: &Design, spec: &TopDownSpec) -> u64 {
    let (dim, hidden) = (design.bridge.dim, spec.hidden);
    let inputs: usize = spec.inputs(dim).iter().sum();
    (2 * inputs + 15 * hidden + design.bridge.tokens() + 2 * dim + 2 * hidden) as u64
}

/// Values that a position of a Transformer keeps, and the gradients beside them.
fn transformer(design: &Design, spec: &TransformerSpec) -> u64 {
    let (dim, positions, tokens) = (spec.dim, design.target.positions(), design.bridge.tokens());
    let wide = if spec.ff_kind == FeedForwardKind::SwiGlu { 4 } else { 2 };
    // Norms (centred and scaled), queries, keys, values, attended values, projections, sums.
    let layer = 18 * dim + wide * spec.ff + 2 * spec.heads * (positions + tokens);
    (spec.layers * layer + 4 * dim) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::BridgeSpec;
    use crate::design::Target;
    use crate::graph::{Conv, Op, Shape};
    use crate::language::{Embeddings, ImageMode, Memory};

    fn design(trunk: Graph) -> Design {
        let input = trunk.output_shape();
        let decoder = DecoderSpec::Recurrent(RecurrentSpec {
            cell: Cell::Gru,
            embed: 2,
            hidden: 3,
            layers: 1,
            image: ImageMode::InitialState,
            attention: Attention::None,
            dropout_pct: 0,
            embeddings: Embeddings::Separate,
            rnn_norm: RnnNorm::None,
            between: Between::Plain,
        });
        let bridge = BridgeSpec::plain(Memory::Global, input, 2);
        Design {
            image_size: 4,
            frozen: Vec::new(),
            tuned: None,
            trunk,
            bridge,
            decoder,
            target: Target { vocab: 5, max_words: 1 },
        }
    }

    /// A chain holds an input and an output at a time: 32 + 48, then 48 + 80.
    #[test]
    fn a_chain_gives_back_what_it_has_read() {
        let mut graph = Graph::new(Shape::new(2, 4, 4));
        graph.add("a", Op::Conv(Conv::same(2, 3, 1)), &[0]).unwrap();
        assert_eq!(peak_values(&graph), 80);
        graph.add("b", Op::Conv(Conv::same(3, 5, 1)), &[1]).unwrap();
        assert_eq!(peak_values(&graph), 128);
    }

    /// The input waits for the sum: 32 of it, 32 of the branch and 32 of the sum; read twice, it is given back once.
    #[test]
    fn a_residual_keeps_its_input() {
        let mut graph = Graph::new(Shape::new(2, 4, 4));
        let a = graph.add("a", Op::Conv(Conv::same(2, 2, 3)), &[0]).unwrap();
        let sum = graph.add("s", Op::Add, &[0, a]).unwrap();
        assert_eq!(peak_values(&graph), 96);
        let twice = graph.add("t", Op::Add, &[sum, sum]).unwrap();
        graph.add("p", Op::GlobalAvgPool, &[twice]).unwrap();
        assert_eq!(peak_values(&graph), 96);
    }

    /// Bridge 2 × 2 + 2 and norm 4; embeddings 5 × 2; states 3 × 2 + 3; cell 9 × 2 + 9 × 3 + 18; words 5 × 3 + 5.
    #[test]
    fn weights_by_precision() {
        let values = 10 + 10 + 9 + 63 + 20;
        let bytes = weight_bytes(&design(Graph::new(Shape::new(2, 4, 4))));
        assert_eq!((bytes.f32, bytes.f16), (4 * values, 2 * values));
        // Matrices: 4 + 10 + 6 + 18 + 27 + 15 with 2 + 5 + 3 + 9 + 9 + 5 scales; vectors: 6 + 3 + 18 + 5.
        assert_eq!(bytes.i8, 80 + 4 * 33 + 4 * 32);
    }

    #[test]
    fn weights_agree_with_the_cost() {
        let mut trunk = Graph::new(Shape::new(2, 4, 4));
        trunk.add("n", Op::BatchNorm { channels: 2, eps_micro: 10, fixed: false }, &[0]).unwrap();
        let design = design(trunk);
        assert_eq!(weight_bytes(&design).f32, design.cost().weight_bytes);
    }

    /// Inference: the map of 32 with memory twice, 2 each; the decoder with 2 + 3 · 2 states and 2 · 5 words is smaller.
    /// Training with 3 images: 112 trained values four times; the trunk's map kept and its gradient; 4 · 2 of memory; 15
    /// captions of 2 positions, each 2 · 2 inputs, 18 + 3 of the cell and 2 · 3 before the words; 30 rows of 5 logits.
    #[test]
    fn inference_and_training_by_hand() {
        let design = design(Graph::new(Shape::new(2, 4, 4)));
        let memory = memory_use(&design, 2, 3);
        assert_eq!(memory.inference_peak, 4 * 36);
        let decoder = 15 * 2 * (2 * 2 + 18 + 3 + 2 * 3);
        assert_eq!(memory.training_peak, 4 * (4 * 112 + 3 * 64 + 3 * 8 + decoder + 30 * 5));
        let (beam, batch) = (memory_use(&design, 9, 3), memory_use(&design, 2, 6));
        assert!(beam.inference_peak > memory.inference_peak && beam.training_peak == memory.training_peak);
        assert!(batch.training_peak > memory.training_peak && batch.inference_peak == memory.inference_peak);
    }
}
