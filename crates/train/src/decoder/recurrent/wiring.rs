//! How the parts of a recurrent decoder hang together.

use capwright_blueprint::language::{Attention, Between, Cell, ImageMode, RnnNorm};
use capwright_blueprint::{RecurrentSpec, TopDownSpec};
use std::ops::Range;

/// How the image enters beside attention.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// As first states.
    States,
    /// As the word before BEGIN.
    FirstWord,
    /// As a word beside each word.
    EveryWord,
    /// As the mean token beside each word.
    Pooled,
}

/// When a step looks at the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    Never,
    /// Before the cells, with the top state of the step before; the first cell and the vocabulary layer read what is found.
    Before,
    /// After the first cell, with its state; the second one reads what is found.
    Between,
    /// After the cells, with the top state; the vocabulary layer reads what is found.
    After,
}

/// A recurrent decoder of either family.
#[derive(Clone, Copy)]
pub(crate) struct Wiring {
    pub cell: Cell,
    pub norm: RnnNorm,
    pub between: Between,
    /// Width of word embeddings.
    pub embed: usize,
    /// Width of a state.
    pub hidden: usize,
    pub layers: usize,
    /// Width of a memory token.
    pub dim: usize,
    pub image: Image,
    pub attention: Attention,
    pub looks: Looks,
    pub dropout_pct: u8,
}

impl Wiring {
    /// Stacked cells over memory tokens of width `dim`.
    pub fn stacked(spec: &RecurrentSpec, dim: usize) -> Self {
        Self {
            cell: spec.cell,
            norm: spec.rnn_norm,
            between: spec.between,
            embed: spec.embed,
            hidden: spec.hidden,
            layers: spec.layers,
            dim,
            image: match spec.image {
                ImageMode::InitialState => Image::States,
                ImageMode::FirstToken => Image::FirstWord,
                ImageMode::EveryStep => Image::EveryWord,
            },
            attention: spec.attention,
            looks: match spec.attention {
                Attention::None => Looks::Never,
                Attention::Adaptive => Looks::After,
                Attention::Dot | Attention::Additive | Attention::MultiHead => Looks::Before,
            },
            dropout_pct: spec.dropout_pct,
        }
    }

    /// Two LSTMs with attention between.
    pub fn top_down(spec: &TopDownSpec, dim: usize) -> Self {
        Self {
            cell: Cell::Lstm,
            norm: RnnNorm::None,
            between: Between::Plain,
            embed: spec.embed,
            hidden: spec.hidden,
            layers: 2,
            dim,
            image: Image::Pooled,
            attention: Attention::Additive,
            looks: Looks::Between,
            dropout_pct: spec.dropout_pct,
        }
    }

    /// Rows of the gate matrices.
    pub fn gates(&self) -> usize {
        let gates = if self.cell == Cell::Lstm { 4 } else { 3 };
        gates * self.hidden
    }

    pub fn normed(&self) -> bool {
        self.norm == RnnNorm::Layer
    }

    /// The last layer.
    pub fn top(&self) -> usize {
        self.layers - 1
    }

    /// The layer whose state asks.
    pub fn asking(&self) -> usize {
        if self.looks == Looks::Between { 0 } else { self.top() }
    }

    /// Whether a sentinel's gate reads the words themselves: it stands above the first layer alone.
    pub fn asks_for_words(&self) -> bool {
        self.looks == Looks::After && self.layers == 1
    }

    /// Whether the state's part of the gates is kept apart from the input's.
    pub fn parts_apart(&self) -> bool {
        self.cell == Cell::Gru || self.normed()
    }

    /// Width of what the vocabulary layer reads of the memory.
    pub fn context(&self) -> usize {
        if matches!(self.looks, Looks::Before | Looks::After) { self.dim } else { 0 }
    }

    /// Width of what the vocabulary layer reads.
    pub fn out(&self) -> usize {
        self.hidden + self.context()
    }

    /// Columns of the first layer's input that are known before a step: word and image.
    pub fn known(&self) -> Range<usize> {
        match self.image {
            Image::States | Image::FirstWord => 0..self.embed,
            Image::EveryWord => 0..2 * self.embed,
            Image::Pooled => self.hidden..self.hidden + self.dim + self.embed,
        }
    }

    /// Columns of the first layer's input that come from the step before: what attention found, or the top state.
    pub fn moving(&self) -> Range<usize> {
        match self.looks {
            Looks::Never | Looks::After => self.known().end..self.known().end,
            Looks::Before => self.known().end..self.known().end + self.dim,
            Looks::Between => 0..self.hidden,
        }
    }

    /// The first column of the word.
    pub fn word(&self) -> usize {
        if self.image == Image::Pooled { self.hidden + self.dim } else { 0 }
    }

    /// The columns of the image beside each word.
    pub fn shown(&self) -> Range<usize> {
        match self.image {
            Image::States | Image::FirstWord => 0..0,
            Image::EveryWord => self.embed..2 * self.embed,
            Image::Pooled => self.hidden..self.hidden + self.dim,
        }
    }

    /// Width of what a layer reads.
    pub fn input(&self, layer: usize) -> usize {
        if layer == 0 { self.known().len() + self.moving().len() } else { self.below() + self.hidden }
    }

    /// The column of what the layer below hands on, in the input of layers above the first; what attention found comes first.
    pub fn below(&self) -> usize {
        if self.looks == Looks::Between { self.dim } else { 0 }
    }
}
