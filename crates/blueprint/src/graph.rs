//! The graph: what every back end reads. Op-level nodes with static shapes and stable parameter names.
//!
//! Nodes stand in evaluation order: a node's inputs always have smaller ids. Shapes leave out the batch
//! dimension. Parameter names are the upstream ones (`features.0.0.weight`), so that pretrained weights load
//! by name. A new op is one new variant of [`Op`] plus its arms in [`Op::shape`], `Op::learned` (and `Op::kept`, if it
//! keeps values that are not learned) and [`Op::macs`]; the compiler then lists every back end that misses it.

pub use crate::op::{Activation, Conv, Op, Padding, Shape};
use crate::param::values;
pub use crate::param::{Param, param_name};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// Index of a node in its graph.
pub type NodeId = usize;

/// One step of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Prefix of the parameter names, unique in the graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Earlier nodes that it reads.
    pub inputs: Vec<NodeId>,
    /// Shape of its output.
    pub shape: Shape,
}

/// A static graph over feature maps: one input, one output (the last node).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Counted when first asked for.
    #[serde(skip)]
    counted: Counted,
}

/// Values and work of a whole graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Learned values.
    pub parameters: u64,
    /// Kept values that are not learned.
    pub buffers: u64,
    /// Multiply-accumulates for one image.
    pub macs: u64,
}

/// Totals that follow from the nodes, and so make no two graphs differ.
#[derive(Debug, Clone, Default)]
struct Counted(OnceLock<Totals>);

impl PartialEq for Counted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Counted {}

/// A node whose inputs do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{node}: {reason}")]
pub struct ShapeError {
    /// Name of the node.
    pub node: String,
    /// What does not fit.
    pub reason: String,
}

impl Graph {
    /// A graph that so far is its input.
    pub fn new(input: Shape) -> Self {
        let node = Node { name: "input".into(), op: Op::Input(input), inputs: Vec::new(), shape: input };
        Self { nodes: vec![node], counted: Counted::default() }
    }

    /// Appends a node and returns its id.
    ///
    /// # Errors
    /// [`ShapeError`] where the shapes of `inputs` do not fit `op`; the graph is unchanged.
    pub fn add(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId, ShapeError> {
        let name = name.into();
        let of = |i: &NodeId| self.nodes[*i].shape;
        // Nearly all nodes have one or two inputs: no list for those.
        let fits = match inputs {
            [a] => op.shape(&[of(a)]),
            [a, b] => op.shape(&[of(a), of(b)]),
            many => op.shape(&many.iter().map(of).collect::<Vec<Shape>>()),
        };
        match fits {
            Ok(shape) => {
                self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
                self.counted = Counted::default();
                Ok(self.nodes.len() - 1)
            }
            Err(reason) => Err(ShapeError { node: name, reason }),
        }
    }

    /// All nodes in evaluation order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Id of the last node, the output.
    pub fn output(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// Shape of the input.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Shape of a node's output.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id].shape
    }

    /// Shape of the graph's output.
    pub fn output_shape(&self) -> Shape {
        self.shape(self.output())
    }

    /// Learned values by name and shape.
    pub fn parameters(&self) -> Vec<Param> {
        self.nodes.iter().flat_map(|n| n.op.parameters(&n.name)).collect()
    }

    /// Kept values that are not learned, by name and shape.
    pub fn buffers(&self) -> Vec<Param> {
        self.nodes.iter().flat_map(|n| n.op.buffers(&n.name)).collect()
    }

    /// Learned values, kept values and multiply-accumulates; counted once.
    pub fn totals(&self) -> Totals {
        *self.counted.0.get_or_init(|| Totals {
            parameters: self.nodes.iter().map(|n| values(n.op.learned())).sum(),
            buffers: self.nodes.iter().map(|n| values(n.op.kept())).sum(),
            macs: self.macs(),
        })
    }

    /// Multiply-accumulates for one image.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|n| n.op.macs(n.shape)).sum()
    }

    /// The nodes that `id` depends on, and `id` as the last: what is needed to compute features at a cut.
    pub fn cut(&self, id: NodeId) -> Graph {
        let mut needed = vec![false; self.nodes.len()];
        needed[0] = true;
        needed[id] = true;
        for i in (0..=id).rev() {
            if needed[i] {
                self.nodes[i].inputs.iter().for_each(|j| needed[*j] = true);
            }
        }
        let mut renumbered = vec![0; self.nodes.len()];
        let mut nodes = Vec::new();
        for (i, node) in self.nodes.iter().enumerate().take(id + 1).filter(|(i, _)| needed[*i]) {
            renumbered[i] = nodes.len();
            let inputs = node.inputs.iter().map(|j| renumbered[*j]).collect();
            nodes.push(Node { inputs, ..node.clone() });
        }
        Graph { nodes, counted: Counted::default() }
    }
}

impl Graph {
    /// What follows the node of that name, as a graph that reads its value; `None` where there is no such node, or
    /// where a later one reads something else from before it.
    pub fn behind(&self, name: &str) -> Option<Graph> {
        let at = self.nodes.iter().position(|node| node.name == name)?;
        let mut rest = Graph::new(self.nodes[at].shape);
        for node in &self.nodes[at + 1..] {
            let inputs: Option<Vec<NodeId>> = node.inputs.iter().map(|j| j.checked_sub(at)).collect();
            rest.nodes.push(Node { inputs: inputs?, ..node.clone() });
        }
        Some(rest)
    }

    /// The same graph, whose batch norms keep their statistics in training.
    pub fn with_fixed_norms(&self) -> Graph {
        let mut held = self.clone();
        for node in &mut held.nodes {
            if let Op::BatchNorm { fixed, .. } = &mut node.op {
                *fixed = true;
            }
        }
        held
    }

    /// The same graph with `prefix` before the name of every node but the input.
    pub fn renamed(&self, prefix: &str) -> Graph {
        let mut renamed = self.clone();
        for node in renamed.nodes.iter_mut().skip(1) {
            node.name.insert_str(0, prefix);
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(input: usize, output: usize, kernel: usize, stride: usize) -> Op {
        let padding = Padding::symmetric(kernel / 2);
        Op::Conv(Conv {
            input,
            output,
            kernel,
            width: kernel,
            stride,
            padding,
            dilation: 1,
            groups: 1,
            bias: false,
        })
    }

    #[test]
    fn shapes_parameters_and_macs_of_a_convolution() {
        let mut graph = Graph::new(Shape::new(3, 32, 32));
        let id = graph.add("stem", conv(3, 16, 3, 2), &[0]).unwrap();
        assert_eq!(graph.shape(id), Shape::new(16, 16, 16));
        assert_eq!(graph.parameters(), vec![Param::new("stem.weight", &[16, 3, 3, 3])]);
        assert_eq!(graph.macs(), 16 * 16 * 16 * 27);
    }

    #[test]
    fn same_padding_puts_the_odd_cell_below_and_right() {
        let padding = Padding::same(224, 224, 3, 2);
        assert_eq!(padding, Padding { top: 0, bottom: 1, left: 0, right: 1 });
        assert_eq!(Padding::same(7, 7, 5, 1), Padding::symmetric(2));
    }

    #[test]
    fn wrong_channels_are_an_error_and_leave_the_graph_alone() {
        let mut graph = Graph::new(Shape::new(3, 8, 8));
        let error = graph.add("a", conv(4, 8, 3, 1), &[0]).unwrap_err();
        assert_eq!(error.to_string(), "a: expects 4 channels and gets 3");
        assert_eq!(graph.nodes().len(), 1);
    }

    #[test]
    fn what_is_behind_a_node_must_read_nothing_before_it() {
        let mut graph = Graph::new(Shape::new(3, 8, 8));
        let a = graph.add("a", conv(3, 8, 3, 1), &[0]).unwrap();
        let b = graph.add("b", conv(8, 8, 3, 2), &[a]).unwrap();
        let c = graph.add("c", conv(8, 8, 1, 1), &[b]).unwrap();
        graph.add("d", Op::Add, &[b, c]).unwrap();
        let rest = graph.behind("b").unwrap().renamed("x.");
        let names: Vec<&str> = rest.nodes().iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["input", "x.c", "x.d"]);
        assert_eq!((rest.input_shape(), rest.nodes()[2].inputs.clone()), (Shape::new(8, 4, 4), vec![0, 1]));
        assert!(graph.behind("c").is_none(), "d reads b too");
        assert!(graph.behind("e").is_none());
    }

    #[test]
    fn a_cut_keeps_only_what_it_needs() {
        let mut graph = Graph::new(Shape::new(3, 8, 8));
        let a = graph.add("a", conv(3, 8, 3, 1), &[0]).unwrap();
        graph.add("side", conv(8, 4, 1, 1), &[a]).unwrap();
        let b = graph.add("b", conv(8, 8, 3, 2), &[a]).unwrap();
        let cut = graph.cut(b);
        let names: Vec<&str> = cut.nodes().iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["input", "a", "b"]);
        assert_eq!(cut.output_shape(), Shape::new(8, 4, 4));
    }
}
