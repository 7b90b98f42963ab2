//! A lowered design: graphs and resolved decoder, with every parameter named and counted.

use crate::bridge::BridgeSpec;
use crate::decoder::DecoderSpec;
use crate::graph::{Graph, Param};
use crate::language::Cut;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a design is lowered for: facts of the data and of the decoding contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Words of the vocabulary, the four specials included.
    pub vocab: usize,
    /// Longest caption in words, END not counted.
    pub max_words: usize,
}

impl Target {
    /// Decoding steps: every word and END.
    pub fn positions(&self) -> usize {
        self.max_words + 1
    }
}

/// How names of a trained backbone start in the trunk; upstream's name follows. Its batch norms keep their statistics.
pub const TUNED: &str = "encoder.backbone.";

/// A frozen pretrained backbone, or the frozen part of one, as a design uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Name in the zoo.
    pub name: String,
    /// Where it is cut.
    pub cut: Cut,
    /// How many cuts stand side by side: that one, and the next finer ones pooled to its grid.
    #[serde(default = "one")]
    pub cuts: usize,
    /// Image to feature map, up to the cut, and pooled to the grid of the part before it where it has another.
    /// Shared by all designs that use it.
    #[serde(with = "shared")]
    pub graph: Arc<Graph>,
}

fn one() -> usize {
    1
}

/// A shared graph is written as the graph.
mod shared {
    use super::{Arc, Graph};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(graph: &Arc<Graph>, to: S) -> Result<S::Ok, S::Error> {
        graph.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Graph>, D::Error> {
        Graph::deserialize(from).map(Arc::new)
    }
}

/// A design with every extent fixed: what back ends read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Design {
    /// Side of the square input image.
    pub image_size: usize,
    /// The frozen parts, none to two, of one height and width; their features are computed once and stand side by side.
    pub frozen: Vec<Frozen>,
    /// The backbone whose weights the nodes of the trunk named [`TUNED`] start from, if any.
    #[serde(default)]
    pub tuned: Option<String>,
    /// The trained part of the encoder; reads the frozen features, or the image `[3, size, size]`.
    /// Names start with `encoder.`; it may be the input alone.
    pub trunk: Graph,
    /// From feature map to memory.
    pub bridge: BridgeSpec,
    /// From memory and words to the next word.
    pub decoder: DecoderSpec,
    /// Vocabulary and length.
    pub target: Target,
}

/// What a design costs, from its shapes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Learned values, frozen ones included, buffers not.
    pub params_total: u64,
    /// Learned values that training changes.
    pub params_trainable: u64,
    /// Multiply-accumulates to encode one image.
    pub macs_image: u64,
    /// Those of them in parts that training changes: an image costs about three times as many in each epoch.
    /// 0 in ledgers that were written before it was counted.
    #[serde(default)]
    pub macs_trained: u64,
    /// Multiply-accumulates for one word of one hypothesis.
    pub macs_token: u64,
    /// Bytes of all weights and buffers at 32 bits.
    pub weight_bytes: u64,
}

impl Cost {
    /// Multiply-accumulates for a caption of that many words, with so many hypotheses for each.
    pub fn macs_caption(&self, words: usize, beam: usize) -> u64 {
        self.macs_image + (words * beam) as u64 * self.macs_token
    }
}

impl Design {
    /// Names of the backbones that the design holds weights of.
    pub fn backbones(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.frozen.iter().map(|part| part.name.as_str()).collect();
        names.extend(
            self.tuned.as_deref().filter(|name| !names.contains(name)).into_iter().collect::<Vec<_>>(),
        );
        names
    }

    /// Parameters that training changes, by name and shape: trunk, bridge, decoder.
    pub fn trainable(&self) -> Vec<Param> {
        let mut all = self.trunk.parameters();
        all.extend(self.bridge.parameters());
        all.extend(self.decoder.parameters(self.bridge.dim, self.target.vocab, self.target.positions()));
        all
    }

    /// The cost of the design, exact for parameters and multiply-accumulates.
    pub fn cost(&self) -> Cost {
        let trunk = self.trunk.totals();
        let (vocab, positions) = (self.target.vocab, self.target.positions());
        let trainable = trunk.parameters
            + self.bridge.learned()
            + self.decoder.learned(self.bridge.dim, vocab, positions);
        let (mut frozen, mut buffers) = (0, trunk.buffers);
        let trained = trunk.macs + self.bridge.macs() + self.decoder.macs_per_image(&self.bridge);
        let mut macs = trained;
        for part in &self.frozen {
            let totals = part.graph.totals();
            frozen += totals.parameters;
            buffers += totals.buffers;
            macs += totals.macs;
        }
        Cost {
            params_total: trainable + frozen,
            params_trainable: trainable,
            macs_image: macs,
            macs_trained: trained,
            macs_token: self.decoder.macs_per_token(&self.bridge, vocab, positions),
            weight_bytes: 4 * (trainable + frozen + buffers),
        }
    }
}
