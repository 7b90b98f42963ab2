//! From text to a checked design: every problem at once, or a proof that all shapes fit.

use crate::bridge::{BridgeSpec, PYRAMID_SIDE};
use crate::decoder::{DecoderSpec, RecurrentSpec, TransformerSpec};
use crate::decoder_more::{ConvolutionSpec, TopDownSpec};
use crate::design::{Cost, Design, Target};
use crate::diagnostic::{Code, Diagnostic};
use crate::fix::Fix;
use crate::graph::{Graph, Shape};
use crate::language::{
    Attention, Between, Blueprint, Cell, Cut, Decoder, Embeddings, Encoder, LearningRate, Memory,
    OptimizerKind, Places, Scales, Source, Width,
};
use crate::lower::Lowering;
use crate::pretrained::{Pretrained, Written, pretrained, side_by_side};
use crate::{canonical, fix, schema};
use std::sync::Arc;

/// Memory tokens of one image, at most (28 × 28).
pub const MAX_TOKENS: usize = 784;

/// What the checker asks of a zoo of pretrained backbones.
pub trait Zoo {
    /// Names of all backbones.
    fn names(&self) -> Vec<String>;
    /// Those that designs are made of where nobody says which.
    fn usual(&self) -> Vec<String> {
        self.names()
    }
    /// Where a backbone can be cut; `None` where there is no such backbone.
    fn cuts(&self, name: &str) -> Option<Vec<Cut>>;
    /// The graph from an image of `size` × `size` pixels up to the cut; `None` where it cannot be built.
    fn features(&self, name: &str, cut: Cut, size: usize) -> Option<Arc<Graph>>;
    /// That graph with finer cuts (from fine to coarse) pooled to its grid and put behind its channels, the finest last. A
    /// zoo that is asked often keeps what it has built.
    fn scales(&self, name: &str, cut: Cut, finer: &[Cut], size: usize) -> Option<Arc<Graph>> {
        side_by_side(self, name, cut, finer, size).map(Arc::new)
    }
}

/// A design that fits together. Only [`check`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    blueprint: Blueprint,
    design: Design,
    cost: Cost,
    hash: String,
}

impl Checked {
    /// The design as written.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// The design with every extent fixed.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// What it costs.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Canonical hash (sha256, hex): equal for designs that build and train the same network.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Checks that a design fits together and lowers it.
///
/// # Errors
/// Every problem at once, each with its place and a hint.
pub fn check(blueprint: Blueprint, zoo: &dyn Zoo, target: Target) -> Result<Checked, Vec<Diagnostic>> {
    let diagnostics = on_menu(&blueprint);
    compose(blueprint, diagnostics, zoo, target)
}

/// As [`check`], for a blueprint that was read: its numbers are on their menus.
pub(crate) fn check_read(
    blueprint: Blueprint,
    zoo: &dyn Zoo,
    target: Target,
) -> Result<Checked, Vec<Diagnostic>> {
    compose(blueprint, Vec::new(), zoo, target)
}

fn compose(
    blueprint: Blueprint,
    mut diagnostics: Vec<Diagnostic>,
    zoo: &dyn Zoo,
    target: Target,
) -> Result<Checked, Vec<Diagnostic>> {
    let encoder = lower_encoder(&blueprint.encoder, zoo, &mut diagnostics);
    let decoder = lower_decoder(&blueprint.decoder, &mut diagnostics);
    let features = encoder.as_ref().map(|encoder| encoder.start.output_shape());
    let bridge = features.and_then(|shape| lower_bridge(&blueprint, shape, &mut diagnostics));
    tied_widths(&blueprint, &mut diagnostics);
    single_token(&blueprint, &mut diagnostics);
    fitting_recipe(&blueprint, &mut diagnostics);
    let (Some(encoder), Some(bridge), Some(decoder), true) =
        (encoder, bridge, decoder, diagnostics.is_empty())
    else {
        return Err(diagnostics);
    };
    let image_size = blueprint.encoder.input.0 as usize;
    let Pretrained { frozen, tuned, start: trunk } = encoder;
    let design = Design { image_size, frozen, tuned, trunk, bridge, decoder, target };
    let (cost, hash) = (design.cost(), canonical::hash(&blueprint));
    Ok(Checked { blueprint, design, cost, hash })
}

/// A blueprint made in code may carry numbers that no menu has: the schema sees its written form too.
fn on_menu(blueprint: &Blueprint) -> Vec<Diagnostic> {
    match serde_json::to_value(blueprint) {
        Ok(value) => schema::validate(&value, schema::language()),
        Err(error) => vec![Diagnostic::new(Code::WrongType, "", error.to_string(), "use finite numbers")],
    }
}

/// The frozen parts, and the whole trained part as `start`.
fn lower_encoder(encoder: &Encoder, zoo: &dyn Zoo, diagnostics: &mut Vec<Diagnostic>) -> Option<Pretrained> {
    let size = encoder.input.0 as usize;
    let (mut source, mut lowering, mut end) = match &encoder.source {
        Source::Pretrained { backbone, cut, cuts, tune, beside } => {
            let written = Written { backbone, cut: *cut, cuts: *cuts, tune: *tune, beside: beside.as_ref() };
            let source = pretrained(written, size, zoo, diagnostics)?;
            let lowering = Lowering::over(source.start.clone());
            let end = Ok(lowering.graph.output());
            (source, lowering, end)
        }
        Source::Scratch { stem, stages } => {
            let start = Graph::new(Shape::new(3, size, size));
            let mut lowering = Lowering::over(start.clone());
            let end = lowering.scratch("/encoder/source", stem.0 as usize, stages);
            (Pretrained { frozen: Vec::new(), tuned: None, start }, lowering, end)
        }
    };
    for (i, block) in encoder.blocks.iter().enumerate() {
        let (at, name) = (format!("/encoder/blocks/{i}"), format!("encoder.blocks.{i}"));
        end = end.and_then(|x| lowering.block(&at, &name, x, block));
    }
    diagnostics.append(&mut lowering.diagnostics);
    end.ok()?;
    source.start = lowering.graph;
    Some(source)
}

fn lower_bridge(
    blueprint: &Blueprint,
    input: Shape,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<BridgeSpec> {
    let (memory, bridge) = (blueprint.decoder.memory(), &blueprint.bridge);
    let spec = BridgeSpec {
        memory: if gathers(blueprint) { Memory::Grid } else { memory },
        input,
        dim: bridge.dim.0 as usize,
        dropout_pct: bridge.dropout_pct.0,
        positions: bridge.positions,
        scales: bridge.scales,
        queries: bridge.queries.0 as usize,
    };
    if spec.cells() > MAX_TOKENS {
        let message = format!("a grid of {} tokens; the limit is {MAX_TOKENS}", spec.cells());
        let hint = "use a later cut, a smaller image, or pool";
        diagnostics.push(Diagnostic::new(Code::TooManyTokens, "/encoder", message, hint));
        return None;
    }
    if bridge.scales == Scales::Pyramid && input.h.min(input.w) < PYRAMID_SIDE {
        let message = format!("a pyramid of {input} has no quarters");
        let hint = "use scales global, an earlier cut or a larger image";
        diagnostics.push(Diagnostic::new(Code::MapTooSmall, "/bridge/scales", message, hint));
        return None;
    }
    Some(spec)
}

/// Whether a resampler makes the memory of all cells: an LSTM or GRU without attention then reads the mean of its tokens.
fn gathers(blueprint: &Blueprint) -> bool {
    blueprint.bridge.queries.0 > 0 && matches!(blueprint.decoder, Decoder::Recurrent { .. })
}

/// Places, scales and queries are for a memory of several tokens; beside a single mean token they would do nothing.
fn single_token(blueprint: &Blueprint, diagnostics: &mut Vec<Diagnostic>) {
    let bridge = &blueprint.bridge;
    if blueprint.decoder.memory() == Memory::Grid || gathers(blueprint) {
        return;
    }
    let written = [
        ("positions", bridge.positions != Places::default()),
        ("scales", bridge.scales != Scales::default()),
        ("queries", bridge.queries.0 != 0),
    ];
    for (field, _) in written.iter().filter(|(_, written)| *written) {
        let at = format!("/bridge/{field}");
        let message = format!("{field} beside a memory that is one mean token");
        let hint = format!("leave {field} out, or let the decoder read the grid");
        let fix = Some(Fix::Remove { path: at.clone() });
        diagnostics.push(Diagnostic::new(Code::SingleToken, at, message, hint).mended_by(fix));
    }
}

/// Tied embeddings are read by the vocabulary layer: both must have one width.
fn tied_widths(blueprint: &Blueprint, diagnostics: &mut Vec<Diagnostic>) {
    let (embed, read, parts) = match &blueprint.decoder {
        Decoder::Recurrent { embed, hidden, attention, embeddings: Embeddings::Tied, .. } => {
            match attention {
                Attention::None => (embed.0, hidden.0, "the state"),
                _ => (embed.0, hidden.0 + blueprint.bridge.dim.0, "state and context"),
            }
        }
        Decoder::TopDown { embed, hidden, embeddings: Embeddings::Tied, .. } => {
            (embed.0, hidden.0, "the state")
        }
        _ => return,
    };
    if embed != read {
        let message = format!("tied embeddings are {embed} wide and {parts} {read}");
        let hint = match Width::CHOICES.contains(&read) {
            true => format!("use embed {read}, or leave embeddings separate"),
            false => "leave embeddings separate".to_string(),
        };
        diagnostics.push(Diagnostic::new(Code::TiedWidth, "/decoder/embed", message, hint));
    }
}

/// The sentinel of adaptive attention is gated out of an LSTM's cell.
fn sentinel(cell: Cell, attention: Attention, diagnostics: &mut Vec<Diagnostic>) {
    if cell == Cell::Gru && attention == Attention::Adaptive {
        let message = "adaptive attention looks into an LSTM's cell, and a GRU has none";
        let hint = "use cell lstm, or attention additive";
        diagnostics.push(Diagnostic::new(Code::Sentinel, "/decoder/attention", message, hint));
    }
}

/// What the recipe asks of the optimiser must be there.
fn fitting_recipe(blueprint: &Blueprint, diagnostics: &mut Vec<Diagnostic>) {
    let recipe = &blueprint.recipe;
    let most = LearningRate::ADAPTIVE_MOST;
    if recipe.lr.0 > most && recipe.optimizer != OptimizerKind::Sgd {
        let at = "/recipe/lr";
        let message = format!("a learning rate of {} is for sgd only", recipe.lr.0);
        let hint = format!("use {most} or less, or the optimizer \"sgd\"");
        let fix = Fix::replace(at, most.into());
        diagnostics.push(Diagnostic::new(Code::LearningRate, at, message, hint).mended_by(Some(fix)));
    }
}

fn lower_decoder(decoder: &Decoder, diagnostics: &mut Vec<Diagnostic>) -> Option<DecoderSpec> {
    match decoder {
        Decoder::Recurrent {
            cell,
            embed,
            hidden,
            layers,
            image,
            attention,
            dropout_pct,
            embeddings,
            rnn_norm,
            between,
        } => {
            sentinel(*cell, *attention, diagnostics);
            Some(DecoderSpec::Recurrent(RecurrentSpec {
                embeddings: *embeddings,
                rnn_norm: *rnn_norm,
                // A single layer has nothing below it.
                between: if layers.0 == 1 { Between::Plain } else { *between },
                cell: *cell,
                embed: embed.0 as usize,
                hidden: hidden.0 as usize,
                layers: layers.0 as usize,
                image: *image,
                attention: *attention,
                dropout_pct: dropout_pct.0,
            }))
        }
        Decoder::TopDown { embed, hidden, dropout_pct, embeddings } => {
            Some(DecoderSpec::TopDown(TopDownSpec {
                embed: embed.0 as usize,
                hidden: hidden.0 as usize,
                dropout_pct: dropout_pct.0,
                embeddings: *embeddings,
            }))
        }
        Decoder::Convolution { memory, dim, layers, kernel, dropout_pct, embeddings } => {
            Some(DecoderSpec::Convolution(ConvolutionSpec {
                memory: *memory,
                dim: dim.0 as usize,
                layers: layers.0 as usize,
                kernel: kernel.0 as usize,
                dropout_pct: dropout_pct.0,
                embeddings: *embeddings,
            }))
        }
        Decoder::Transformer {
            memory: _,
            dim,
            layers,
            heads,
            ff,
            dropout_pct,
            norm,
            ff_kind,
            positions,
            embeddings,
            layer_weights,
        } => {
            if heads.0 == 0 || dim.0 % heads.0 != 0 {
                let menu = crate::language::Heads::CHOICES;
                diagnostics.push(fix::misfit_heads("/decoder/heads", heads.0, dim.0, "dim", menu));
                return None;
            }
            let dim = dim.0 as usize;
            Some(DecoderSpec::Transformer(TransformerSpec {
                dim,
                layers: layers.0 as usize,
                heads: heads.0 as usize,
                ff: dim * ff.0 as usize,
                dropout_pct: dropout_pct.0,
                norm: *norm,
                ff_kind: *ff_kind,
                positions: *positions,
                embeddings: *embeddings,
                layer_weights: *layer_weights,
            }))
        }
    }
}
