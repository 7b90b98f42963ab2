//! Whether a design that was read from a file can be built and run: `design.json` of a model folder may come from a stranger.
//!
//! What the checker admits is sound by construction: each shape follows from those before it, and numbers that no shape tells are
//! on menus of the language. Here that is asked of every node and number, and of what all nodes take together, before anything is
//! allocated by them.

use capwright_blueprint::language::{
    Attention, Cell, Dilation, Embeddings, FeedForward, Heads, ImageSize, Layers, Memory, Queries, RnnLayers,
    Scales, Width, WordKernel,
};
use capwright_blueprint::memory::peak_values;
use capwright_blueprint::{
    BridgeSpec, Conv, DecoderSpec, Design, Graph, MAX_ALIVE, MAX_KERNEL, MAX_MAP, MAX_TOKENS, Node, Op,
    PYRAMID_SIDE, Param, Shape,
};
use std::collections::HashSet;

/// Frozen parts, at most.
const MAX_PARTS: usize = 2;

/// Nodes of a graph, at most: a backbone of one's own has 10,000, and blocks come to these.
const MAX_NODES: usize = 1 << 14;

/// Words of a caption, at most: as many as a contract may ask for.
const MAX_WORDS: usize = 100;

/// Checks a design.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn check(design: &Design) -> Result<(), String> {
    let Design { image_size: side, bridge: spec, target, .. } = design;
    on_menu("image_size", *side, ImageSize::CHOICES)?;
    hold(design.frozen.len() <= MAX_PARTS, "there are more than two frozen parts")?;
    let image = Shape::new(3, *side, *side);
    let mut read = image;
    for (i, part) in design.frozen.iter().enumerate() {
        let made = output(&part.graph, image, frozen).map_err(|e| format!("{}: {e}", part.name))?;
        apart([part.graph.parameters(), part.graph.buffers()].concat())?;
        hold(i == 0 || (made.h, made.w) == (read.h, read.w), "the frozen parts have different grids")?;
        read = if i == 0 { made } else { Shape { c: read.c + made.c, ..read } };
    }
    let made = output(&design.trunk, read, trained).map_err(|e| format!("trunk: {e}"))?;
    hold(spec.input == made, format!("the bridge reads {}, and the trunk makes {made}", spec.input))?;
    bridge(spec)?;
    decoder(&design.decoder, spec.dim)?;
    hold((1..=MAX_WORDS).contains(&target.max_words), format!("captions have 1 to {MAX_WORDS} words"))?;
    apart([design.trainable(), design.trunk.buffers()].concat())
}

fn hold(holds: bool, problem: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.into()) }
}

fn on_menu(what: &str, n: usize, menu: &[u32]) -> Result<(), String> {
    let known = menu.iter().any(|choice| *choice as usize == n);
    hold(known, format!("{what} is {n}, and the language has {menu:?}"))
}

/// Numbers of an op that no shape tells.
fn counts(all: &[usize], most: usize) -> Result<(), String> {
    hold(all.iter().all(|n| (1..=most).contains(n)), format!("a number does not lie between 1 and {most}"))
}

/// Whether all values have names of their own.
fn apart(all: Vec<Param>) -> Result<(), String> {
    let mut names = HashSet::new();
    let twice = all.into_iter().map(|param| param.name).find(|name| !names.insert(name.clone()));
    twice.map_or(Ok(()), |name| Err(format!("two tensors are called {name}")))
}

/// Whether an op can stand where it reads maps of these shapes, as far as [`Op::shape`] does not tell.
type Sound = fn(&Op, &[Shape]) -> Result<(), String>;

/// What a graph makes of a map, where all of its nodes are what they say, and take no more memory together than they may.
fn output(graph: &Graph, input: Shape, sound: Sound) -> Result<Shape, String> {
    let count = graph.nodes().len();
    hold(count <= MAX_NODES, format!("it has {count} nodes, and may have {MAX_NODES}"))?;
    let first = graph.nodes().first().map(|node| (node.op, node.inputs.len(), node.shape));
    hold(first == Some((Op::Input(input), 0, input)), format!("it does not begin with a map of {input}"))?;
    let mut made = vec![input];
    for node in &graph.nodes()[1..] {
        let shape = step(node, &made, sound).map_err(|e| format!("{}: {e}", node.name))?;
        made.push(shape);
    }
    all_read(graph)?;
    let alive = peak_values(graph);
    hold(alive <= MAX_ALIVE, format!("it has {alive} values alive at once, and may have {MAX_ALIVE}"))?;
    Ok(made[made.len() - 1])
}

/// Whether every value but the last is read: engines give a value back behind its last reader.
fn all_read(graph: &Graph) -> Result<(), String> {
    let nodes = graph.nodes();
    let mut read = vec![false; nodes.len()];
    nodes.iter().flat_map(|node| &node.inputs).for_each(|id| read[*id] = true);
    read[graph.output()] = true;
    let idle = nodes.iter().zip(read).find(|(_, read)| !read);
    idle.map_or(Ok(()), |(node, _)| Err(format!("{}: no node reads it", node.name)))
}

/// What a node makes, where those before it made maps of these shapes.
fn step(node: &Node, made: &[Shape], sound: Sound) -> Result<Shape, String> {
    let inputs: Option<Vec<Shape>> = node.inputs.iter().map(|id| made.get(*id).copied()).collect();
    let inputs = inputs.ok_or("it reads what is not before it")?;
    sound(&node.op, &inputs)?;
    let shape = node.op.shape(&inputs)?;
    hold(shape == node.shape, format!("it makes {shape}, not {}", node.shape))?;
    node.op.affordable(inputs[0], shape)?;
    Ok(shape)
}

/// Steps of a frozen part.
fn frozen(op: &Op, inputs: &[Shape]) -> Result<(), String> {
    op.sound(inputs)?;
    trained(op, inputs)
}

/// Steps of a trunk: those of backbones, and of blocks of designs.
fn trained(op: &Op, inputs: &[Shape]) -> Result<(), String> {
    let reads = match op {
        Op::Add | Op::Mul => inputs.len() == 2,
        Op::Concat | Op::Stack => inputs.len() >= 2,
        _ => inputs.len() == 1,
    };
    hold(reads, "it reads another number of maps")?;
    match *op {
        Op::Input(_) => Err("the input is no step".into()),
        Op::Conv(conv) => convolution(conv),
        Op::Linear { output, .. } => counts(&[output], MAX_MAP),
        Op::MixCells { h, w, .. } => counts(&[h, w], MAX_MAP),
        Op::ChannelConv { kernel } => counts(&[kernel], MAX_KERNEL),
        Op::GroupNorm { channels, groups, .. } => {
            hold(groups > 0 && channels.is_multiple_of(groups), "its groups do not divide the channels")
        }
        Op::Attend { .. }
        | Op::WindowAttend { .. }
        | Op::Cells { .. }
        | Op::Slice { .. }
        | Op::Shuffle { .. }
        | Op::AdaptiveAvgPool { .. }
        | Op::MaxPool { .. }
        | Op::AvgPool { .. } => op.sound(inputs),
        // Their numbers are those of what they read.
        Op::BatchNorm { .. }
        | Op::LayerNorm { .. }
        | Op::LayerScale { .. }
        | Op::ClassToken { .. }
        | Op::Positions { .. }
        | Op::AxisMeans
        | Op::Quarters
        | Op::Flatten
        | Op::Act(_)
        | Op::GlobalAvgPool
        | Op::GlobalMaxPool
        | Op::ChannelMean
        | Op::ChannelMax
        | Op::Stack
        | Op::SumCells
        | Op::Add
        | Op::Mul
        | Op::Concat => Ok(()),
    }
}

fn convolution(conv: Conv) -> Result<(), String> {
    counts(&[conv.input, conv.output, conv.groups], MAX_MAP)?;
    counts(&[conv.kernel, conv.width, conv.stride], MAX_KERNEL)?;
    on_menu("dilation", conv.dilation, Dilation::CHOICES)?;
    let divide = conv.input.is_multiple_of(conv.groups) && conv.output.is_multiple_of(conv.groups);
    hold(divide, "its groups do not divide the channels")?;
    let ((high, wide), p) = (conv.extent(), conv.padding);
    hold(p.top.max(p.bottom) < high && p.left.max(p.right) < wide, "its padding is as wide as its kernel")
}

fn bridge(spec: &BridgeSpec) -> Result<(), String> {
    on_menu("bridge.dim", spec.dim, Width::CHOICES)?;
    on_menu("bridge.queries", spec.queries, Queries::CHOICES)?;
    let plain =
        BridgeSpec { dropout_pct: spec.dropout_pct, ..BridgeSpec::plain(spec.memory, spec.input, spec.dim) };
    hold(spec.memory == Memory::Grid || *spec == plain, "the memory is a single token, and has no places")?;
    hold(spec.cells() <= MAX_TOKENS, format!("the memory has more than {MAX_TOKENS} tokens"))?;
    let quarters = spec.input.h.min(spec.input.w) >= PYRAMID_SIDE;
    hold(spec.scales != Scales::Pyramid || quarters, format!("a pyramid of {} has no quarters", spec.input))
}

fn decoder(spec: &DecoderSpec, memory: usize) -> Result<(), String> {
    let width = |what: &str, n: usize| on_menu(&format!("decoder.{what}"), n, Width::CHOICES);
    let tied = |embeddings: Embeddings, embed: usize, read: usize| {
        hold(embeddings == Embeddings::Separate || embed == read, "tied embeddings have another width")
    };
    match spec {
        DecoderSpec::Recurrent(spec) => {
            width("embed", spec.embed)?;
            width("hidden", spec.hidden)?;
            on_menu("decoder.layers", spec.layers, RnnLayers::CHOICES)?;
            let sentinel = spec.attention == Attention::Adaptive && spec.cell == Cell::Gru;
            hold(!sentinel, "adaptive attention looks into an LSTM's cell, and a GRU has none")?;
            tied(spec.embeddings, spec.embed, spec.hidden + spec.context(memory))
        }
        DecoderSpec::TopDown(spec) => {
            width("embed", spec.embed)?;
            width("hidden", spec.hidden)?;
            tied(spec.embeddings, spec.embed, spec.hidden)
        }
        DecoderSpec::Convolution(spec) => {
            width("dim", spec.dim)?;
            on_menu("decoder.layers", spec.layers, Layers::CHOICES)?;
            on_menu("decoder.kernel", spec.kernel, WordKernel::CHOICES)
        }
        DecoderSpec::Transformer(spec) => {
            width("dim", spec.dim)?;
            on_menu("decoder.layers", spec.layers, Layers::CHOICES)?;
            on_menu("decoder.heads", spec.heads, Heads::CHOICES)?;
            hold(spec.dim.is_multiple_of(spec.heads), "decoder.heads do not divide decoder.dim")?;
            let ff = FeedForward::CHOICES.iter().any(|times| spec.dim * *times as usize == spec.ff);
            hold(ff, format!("decoder.ff is {}, no multiple of decoder.dim that the language has", spec.ff))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use capwright_backbones::Library;
    use capwright_blueprint::schema::{Narrowing, sample};
    use capwright_blueprint::{Activation, Zoo, read};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    /// Blocks with ops that no backbone has.
    fn blocks() -> Design {
        let text = r#"{"encoder": {"input": 32, "source": {"kind": "scratch", "stem": 8,
                "stages": [{"kind": "conv", "out": 16, "repeat": 1}]}, "blocks": [
                {"op": "conv", "out": 16, "kernel": 3, "stride": 1, "dilation": 2, "norm": "group", "act": "gelu"},
                {"op": "self_attention", "heads": 4, "expand": 2}, {"op": "mixer", "expand": 2},
                {"op": "eca", "kernel": 3}]},
            "bridge": {"dim": 64, "dropout_pct": 0},
            "decoder": {"family": "transformer", "memory": "grid", "dim": 64, "layers": 1, "heads": 4, "ff": 2,
                "dropout_pct": 0},
            "recipe": {"lr": 0.001, "schedule": "constant", "weight_decay": 0.0, "label_smoothing": 0.0,
                "clip": 1.0, "batch": 8}}"#;
        testing::parsed(text).design().clone()
    }

    /// What is said of a design with another value in one place of its file.
    fn changed(design: &Design, at: &str, value: Value) -> Result<(), String> {
        let mut file = serde_json::to_value(design).unwrap();
        *file.pointer_mut(at).unwrap() = value;
        serde_json::from_value::<Design>(file).map_err(|e| e.to_string()).and_then(|design| check(&design))
    }

    #[test]
    fn what_cannot_be_built_is_named() {
        let huge = json!(1u64 << 40);
        let headless =
            r#"{"family": "transformer", "dim": 64, "layers": 1, "heads": 0, "ff": 64, "dropout_pct": 0}"#;
        for (at, value, problem) in [
            ("/trunk/nodes", json!([]), "trunk: it does not begin with a map of 3×32×32"),
            ("/trunk/nodes/0/shape/h", huge.clone(), "trunk: it does not begin"),
            ("/trunk/nodes/1/inputs/0", json!(7), "encoder.stem.conv: it reads what is not before it"),
            ("/trunk/nodes/1/inputs", json!([]), "reads another number of maps"),
            ("/trunk/nodes/1/shape/c", json!(9), "it makes 8×16×16, not 9×16×16"),
            ("/trunk/nodes/1/op/Conv/stride", json!(0), "does not lie between 1 and 1024"),
            ("/trunk/nodes/1/op/Conv/output", huge.clone(), "does not lie between"),
            ("/trunk/nodes/4/name", json!("encoder.stem.conv"), "two tensors are called encoder.stem.conv"),
            ("/image_size", huge.clone(), "image_size is 1099511627776, and the language has [32, 48"),
            ("/bridge/input/c", json!(9), "the bridge reads 9×8×8, and the trunk makes 8×8×8"),
            ("/bridge/dim", json!(65), "bridge.dim is 65"),
            ("/bridge/queries", json!(4), "a single token"),
            ("/decoder/layers", huge, "decoder.layers is"),
            ("/decoder", serde_json::from_str(headless).unwrap(), "decoder.heads is 0"),
            ("/target/max_words", json!(u64::MAX), "1 to 100 words"),
        ] {
            let told = changed(&testing::design(), at, value).unwrap_err();
            assert!(told.contains(problem), "{at}: {told}");
        }
        let (frozen, first) = (testing::design_over_tokens(), "/frozen/0/graph/nodes/1");
        let told = changed(&frozen, &format!("{first}/inputs/0"), json!(9)).unwrap_err();
        assert!(told.starts_with("mobilenet_v2: "), "{told}");
        let told = changed(&frozen, &format!("{first}/op"), json!("AxisMeans")).unwrap_err();
        assert!(told.contains("no backbone has it"), "{told}");
    }

    /// So many nodes that read one large map; each is sound by itself.
    fn fan(nodes: usize) -> (Graph, Vec<usize>) {
        let mut graph = Graph::new(Shape::new(3, 32, 32));
        let map = graph.add("wide", Op::Conv(Conv::same(3, 1 << 16, 1)), &[0]).unwrap();
        let act = Op::Act(Activation::Relu);
        let all = (0..nodes).map(|i| graph.add(format!("act{i}"), act, &[map]).unwrap()).collect();
        (graph, all)
    }

    #[test]
    fn what_takes_too_much_memory_together_is_refused() {
        let told = |trunk: Graph| check(&Design { trunk, ..testing::design() }).unwrap_err();
        assert_eq!(told(fan(1_000).0), "trunk: act0: no node reads it");
        let (mut summed, all) = fan(1_000);
        let add = |sum, other: &usize| summed.add(format!("sum{other}"), Op::Add, &[sum, *other]).unwrap();
        all.iter().skip(1).fold(all[0], add);
        // The map and all that is made of it: 256 GiB.
        let most = 1_001u64 << 26;
        let problem = format!("trunk: it has {most} values alive at once, and may have {MAX_ALIVE}");
        assert_eq!(told(summed), problem);
        let longer = |mut graph: Graph, i: usize| {
            let end = graph.output();
            graph.add(format!("act{i}"), Op::Act(Activation::Relu), &[end]).unwrap();
            graph
        };
        let long = (0..MAX_NODES).fold(Graph::new(Shape::new(3, 32, 32)), longer);
        assert_eq!(told(long), format!("trunk: it has {} nodes, and may have {MAX_NODES}", MAX_NODES + 1));
    }

    /// For the largest images of designs.
    #[test]
    fn the_zoo_is_sound_at_every_cut() {
        let (zoo, side) = (Library::default(), 224);
        for name in zoo.names() {
            for cut in zoo.cuts(&name).unwrap() {
                if let Some(graph) = zoo.features(&name, cut, side) {
                    let made = output(&graph, Shape::new(3, side, side), frozen);
                    assert_eq!(made, Ok(graph.output_shape()), "{name} at {cut}");
                }
            }
        }
    }

    /// Pointers to all numbers in a value.
    fn numbers(value: &Value, at: &str) -> Vec<String> {
        match value {
            Value::Number(_) => vec![at.to_owned()],
            Value::Array(all) => {
                all.iter().enumerate().flat_map(|(i, item)| numbers(item, &format!("{at}/{i}"))).collect()
            }
            Value::Object(all) => {
                all.iter().flat_map(|(name, item)| numbers(item, &format!("{at}/{name}"))).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn absurd_numbers_never_panic() {
        for design in [blocks(), testing::design_over_tokens()] {
            assert_eq!(check(&design), Ok(()));
            let mut seen = HashSet::new();
            for at in numbers(&serde_json::to_value(&design).unwrap(), "") {
                // One place of each kind is enough.
                if seen.insert(at.replace(|c: char| c.is_ascii_digit(), "")) {
                    for value in [0, 1, 7, 255, 65_536, 1 << 26, 1 << 40, u64::MAX] {
                        let _ = changed(&design, &at, json!(value));
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_checker_admits_is_sound() {
        let zoo = Library::default();
        let backbones = ["mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "vit_b_32", "swin_t"];
        let space = Narrowing {
            backbones: backbones.map(str::to_owned).to_vec(),
            scratch: true,
            sizes: Vec::new(),
            lstm: true,
            gru: true,
            transformer: true,
            convolution: true,
        }
        .schema();
        let (mut rng, target) = (ChaCha8Rng::seed_from_u64(1), testing::design().target);
        let draw = || read(&sample(&space, &mut rng).to_string()).unwrap();
        let admitted = std::iter::repeat_with(draw)
            .filter_map(|blueprint| capwright_blueprint::check(blueprint, &zoo, target).ok());
        for checked in admitted.take(200) {
            assert_eq!(check(checked.design()), Ok(()), "{:?}", checked.blueprint());
        }
    }
}
