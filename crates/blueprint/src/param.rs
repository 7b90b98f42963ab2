//! Parameters and buffers of nodes: names and shapes.

use serde::{Deserialize, Serialize};

/// A parameter or buffer by name and shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Upstream name, such as `features.0.0.weight`.
    pub name: String,
    /// Extents in PyTorch's order.
    pub shape: Vec<usize>,
}

impl Param {
    /// A parameter of that name and shape.
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.to_vec() }
    }

    /// Number of values, saturating.
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |n, d| n.saturating_mul(*d))
    }

    /// Whether the parameter holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A parameter or buffer without the name of its node: counted often, named seldom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    leaf: &'static str,
    shape: [usize; 4],
    rank: usize,
}

pub(crate) type Slots = [Option<Slot>; 4];

pub(crate) fn slot(leaf: &'static str, shape: [usize; 4], rank: usize) -> Option<Slot> {
    Some(Slot { leaf, shape, rank })
}

pub(crate) fn vector(leaf: &'static str, length: usize) -> Option<Slot> {
    slot(leaf, [length, 1, 1, 1], 1)
}

/// The name of a parameter or buffer of a node, as upstream writes it: `node.leaf`. A node that ends in `_` is the first part of a
/// word and the leaf the rest; an op with one nameless parameter has the node's own name for it.
pub fn param_name(node: &str, leaf: &str) -> String {
    if leaf.is_empty() {
        node.to_owned()
    } else if node.ends_with('_') {
        format!("{node}{leaf}")
    } else {
        format!("{node}.{leaf}")
    }
}

pub(crate) fn named(name: &str, slots: Slots) -> Vec<Param> {
    let one = |slot: Slot| Param::new(param_name(name, slot.leaf), &slot.shape[..slot.rank]);
    slots.into_iter().flatten().map(one).collect()
}

pub(crate) fn values(slots: Slots) -> u64 {
    let one = |slot: Slot| slot.shape.iter().fold(1u64, |n, d| n.saturating_mul(*d as u64));
    slots.into_iter().flatten().map(one).sum()
}
