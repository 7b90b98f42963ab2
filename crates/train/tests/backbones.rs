//! The zoo against PyTorch: formula weights for all backbones, and real weights where the cache has them.
//!
//! The formulas are those of `tests/fixtures/backbones/make.py`; `zoo.py` beside it makes the numbers of the whole zoo.

use burn::tensor::{Device, Tensor, TensorData};
use capwright_backbones::{Backbone, BackboneGraph, Library, USUAL, find, zoo};
use capwright_blueprint::{Activation, Conv, Graph, Op, Padding, Param, Shape, Target};
use capwright_train::trunk::{Mode, Stats, forward};
use capwright_train::vision::weights::Tensor32;
use capwright_train::vision::{FrozenNet, Weights};
use capwright_train::{Grads, Params};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn unit(count: usize, seed: u64) -> Vec<f32> {
    let one = |i: u64| {
        let mut x = (i + seed % 65536 * 40503).wrapping_mul(2_654_435_761) % (1 << 32);
        x ^= x >> 15;
        x = x.wrapping_mul(2_246_822_519) % (1 << 32);
        x ^= x >> 13;
        ((x >> 8) as f64 / f64::from(1 << 23) - 1.0) as f32
    };
    (0..count as u64).map(one).collect()
}

fn image(size: usize, index: usize) -> Vec<f32> {
    let texture = unit(3 * size * size, index as u64 + 1);
    let one = |i: usize| {
        let (c, y, x) = (i / (size * size), (i / size % size) as f64, (i % size) as f64);
        let (fy, fx) = (0.5 + (index + c) as f64, 1.5 + 2.0 * index as f64 - c as f64 / 2.0);
        let smooth = (y * fy * 6.0 / size as f64).sin() + (x * fx * 6.0 / size as f64).cos();
        (smooth * 0.9) as f32 + 0.3 * texture[i]
    };
    (0..3 * size * size).map(one).collect()
}

/// The checksum of zip files, bit by bit.
fn crc32(text: &str) -> u64 {
    let step = |crc: u32| (0..8).fold(crc, |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 });
    u64::from(!text.bytes().fold(!0u32, |crc, byte| {
        let low = step((crc ^ u32::from(byte)) & 0xff);
        low ^ crc >> 8
    }))
}

fn formula(param: &Param) -> Tensor32 {
    let name = param.name.as_str();
    let fan_in: usize = param.shape[1..].iter().product();
    let shape_value = |v: f32| match param.shape.len() {
        1 if name.ends_with("running_var") => 1.0 + 0.5 * v,
        1 if name.ends_with("weight") => 0.75 + 0.25 * v,
        1 => 0.1 * v,
        _ => v * (6.0 / fan_in as f64).sqrt() as f32,
    };
    let values = unit(param.len(), crc32(name)).into_iter().map(shape_value).collect();
    Tensor32 { shape: param.shape.clone(), values }
}

fn formula_weights(graph: &Graph) -> Weights {
    let mut all = graph.parameters();
    all.extend(graph.buffers());
    Weights::from_tensors(all.iter().map(|p| (p.name.clone(), formula(p))))
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/../../tests/fixtures/backbones/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn summary(map: &[f32]) -> Vec<f64> {
    let n = map.len() as f64;
    let mean = map.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let size = map.iter().map(|v| f64::from(v.abs())).sum::<f64>() / n;
    let variance = map.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let picks = (0..5).map(|i| f64::from(map[(i * 7919 + 13) % map.len()]));
    [mean, size, variance.sqrt()].into_iter().chain(picks).collect()
}

/// Equal up to `tolerance` of the map's mean size.
fn assert_close(ours: &[f64], theirs: &[f64], tolerance: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs[1].abs().max(1e-3);
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= tolerance * scale.max(b.abs()), "{what}: {a} instead of {b}");
    }
}

/// The side of the images of `zoo.py`.
fn side(backbone: &Backbone) -> usize {
    match backbone.name {
        "inception_v3" => 96,
        _ if backbone.min_size > 64 => backbone.min_size,
        _ => 64,
    }
}

/// Name and shape of every parameter and buffer, and how many values are learned, are upstream's.
#[test]
fn tensors_are_upstream_s() {
    let path = format!("{}/../../tests/fixtures/backbones/tensors.zip", env!("CARGO_MANIFEST_DIR"));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let held: BTreeMap<String, Value> = serde_json::from_reader(archive.by_index(0).unwrap()).unwrap();
    assert_eq!(held.len(), zoo().len());
    for backbone in zoo() {
        let theirs = &held[backbone.name];
        assert_eq!(theirs["parameters"], backbone.parameters, "{}", backbone.name);
        let graph = backbone.graph(backbone.default_size).unwrap().graph;
        let ours: BTreeMap<String, Vec<usize>> =
            graph.parameters().into_iter().chain(graph.buffers()).map(|p| (p.name, p.shape)).collect();
        let theirs: BTreeMap<String, Vec<usize>> = serde_json::from_value(theirs["tensors"].clone()).unwrap();
        for (name, shape) in &theirs {
            assert_eq!(ours.get(name), Some(shape), "{}: {name}", backbone.name);
        }
        assert_eq!(ours.len(), theirs.len(), "{}", backbone.name);
    }
}

#[test]
fn frozen_features_are_pytorch_s_for_formula_weights() {
    let expected = fixture("zoo.json");
    zoo().par_iter().for_each(|backbone| {
        let (name, side, expected) = (backbone.name, side(backbone), &expected[backbone.name]);
        let BackboneGraph { graph, cuts } = backbone.graph(side).unwrap();
        let last = cuts.values().copied().max().unwrap();
        let classified = expected.get("logits").is_some();
        let weights = formula_weights(&if classified { graph.clone() } else { graph.cut(last) });
        let x = image(side, 0);
        assert_eq!(expected.as_object().unwrap().len(), cuts.len() + usize::from(classified), "{name}");
        for (cut, id) in cuts {
            let net = FrozenNet::load(&graph.cut(id), &weights).unwrap();
            let theirs = numbers(&expected[cut.to_string()]);
            assert_close(&summary(&net.forward_image(&x)), &theirs, 1e-4, &format!("{name} {cut:?}"));
        }
        if classified {
            let net = FrozenNet::load(&graph, &weights).unwrap();
            let theirs = numbers(&expected["logits"]);
            assert_close(&summary(&net.forward_image(&x)), &theirs, 1e-4, &format!("{name} logits"));
        }
    });
}

/// A graph with formula weights, as the trained path has it.
fn trained(graph: &Graph) -> (Params, Stats) {
    let take = |wanted: &[Param]| wanted.iter().map(|p| formula(p).values).collect();
    let params = Params::from_values(&graph.parameters(), take(&graph.parameters()), &Device::flex());
    (params, Stats::from_values(&graph.buffers(), take(&graph.buffers())))
}

/// The smallest of each family.
const FAMILIES: [&str; 16] = [
    "efficientnet_lite0",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "squeezenet1_1",
    "efficientnet_b0",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "convnext_tiny",
    "swin_t",
    "vit_b_32",
    "inception_v3",
    "googlenet",
];

#[test]
fn the_trained_path_computes_the_same_as_the_frozen_one() {
    FAMILIES.par_iter().for_each(|name| {
        let backbone = find(name).unwrap();
        let side = side(backbone);
        let BackboneGraph { graph, .. } = backbone.graph(side).unwrap();
        let (params, mut stats) = trained(&graph);
        let x = [image(side, 0), image(side, 1)].concat();
        let trained = forward(&graph, &params, &mut stats, &x, Mode::Inference).output(&graph);
        let frozen = FrozenNet::load(&graph, &formula_weights(&graph)).unwrap();
        let frozen = [0, 1].map(|i| frozen.forward_image(&image(side, i))).concat();
        assert_eq!(trained.len(), 2 * 1000);
        assert_close(&summary(&trained), &summary(&frozen), 1e-4, name);
    });
}

/// Gradients of all parameters before the last cut, statistics fixed or those of two images: mean size and three values of each, up to
/// 1e-3 of the mean size.
#[test]
fn gradients_of_all_parameters_are_pytorch_s() {
    let expected: BTreeMap<String, BTreeMap<String, Vec<f64>>> =
        serde_json::from_value(fixture("gradients.json")).unwrap();
    assert!(expected.len() >= 6);
    expected.par_iter().for_each(|(name, theirs)| {
        let statistics = name.strip_suffix(" with statistics");
        let backbone = find(statistics.unwrap_or(name)).unwrap();
        let (side, images, mode) = match statistics {
            Some(_) => (128, 2, Mode::Training),
            None => (side(backbone), 1, Mode::Fixed),
        };
        let BackboneGraph { graph, cuts } = backbone.graph(side).unwrap();
        let graph = graph.cut(cuts.values().copied().max().unwrap());
        let (params, mut stats) = trained(&graph);
        let x: Vec<f32> = (0..images).flat_map(|index| image(side, index)).collect();
        let pass = forward(&graph, &params, &mut stats, &x, mode);
        let shape = graph.output_shape();
        let (d, cells) = (unit(images * shape.len(), 5), shape.h * shape.w);
        let token = |i: usize| i % shape.c * cells + i / shape.c;
        let tokens: Vec<f32> =
            d.chunks(shape.len()).flat_map(|d| (0..shape.len()).map(|i| d[token(i)])).collect();
        let mut grads = Grads::new(&params);
        pass.backward(&graph, &params, &tokens, &mut grads);
        let wanted = graph.parameters();
        let mut seen = 0;
        for (k, param) in wanted.iter().enumerate() {
            let Some(theirs) = theirs.get(&param.name) else { continue };
            let ours = grads.get(k).unwrap_or_else(|| panic!("{name}: {} has no gradient", param.name));
            let size = ours.iter().map(|v| f64::from(v.abs())).sum::<f64>() / ours.len() as f64;
            let picks = (0..3).map(|i| f64::from(ours[(i * 7919 + 13) % ours.len()]));
            for (ours, theirs_value) in std::iter::once(size).chain(picks).zip(theirs) {
                let scale = theirs[0].max(theirs_value.abs());
                let apart = (ours - theirs_value).abs();
                assert!(apart <= 1e-3 * scale, "{name} {}: {ours} instead of {theirs_value}", param.name);
            }
            seen += 1;
        }
        assert_eq!(seen, theirs.len(), "{name}");
    });
}

#[test]
fn pretrained_logits_are_pytorch_s() {
    let expected = fixture("pretrained.json");
    let Ok(cache) = capwright_fetch::Cache::open_default() else {
        return println!("skipped: no cache folder");
    };
    for name in ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2"] {
        let backbone = find(name).unwrap();
        let Some(path) = cache.cached(&backbone.weights()) else {
            println!("skipped: the weights of {name} are not in {}", cache.dir().display());
            continue;
        };
        let size = backbone.default_size;
        let graph = backbone.graph(size).unwrap().graph;
        let weights = Weights::of(backbone, &path, backbone.weights().sha256.as_str()).unwrap();
        weights.matches(&graph).unwrap();
        let net = FrozenNet::load(&graph, &weights).unwrap();
        for (index, theirs) in expected[name].as_array().unwrap().iter().enumerate() {
            let logits = net.forward_image(&image(size, index));
            let ours: Vec<f64> = logits.iter().step_by(40).map(|v| f64::from(*v)).collect();
            for (a, b) in ours.iter().zip(numbers(&theirs["every_40th"])) {
                assert!((a - b).abs() < 1e-3, "{name} {index}: {a} instead of {b}");
            }
            for (class, b) in numbers(&theirs["classes"]).iter().zip(numbers(&theirs["top"])) {
                let a = f64::from(logits[*class as usize]);
                assert!((a - b).abs() < 1e-3, "{name} {index} class {class}: {a} instead of {b}");
            }
        }
    }
}

/// The joined graph of several cuts: coarse channels are those of the cut alone, finer ones are pooled by PyTorch's rule, which
/// burn's own pooling shares.
#[test]
fn several_cuts_stand_side_by_side() {
    let device = Device::flex();
    for name in USUAL {
        let text = format!(
            r#"{{"encoder":{{"input":96,"source":{{"kind":"pretrained","backbone":"{name}","cut":"s32","cuts":3}},"blocks":[]}},
"bridge":{{"dim":64,"dropout_pct":0}},"decoder":{{"family":"transformer","memory":"grid","dim":64,"layers":1,"heads":2,"ff":1,
"dropout_pct":0}},"recipe":{{"lr":0.001,"schedule":"cosine","weight_decay":0.0,"label_smoothing":0.0,"clip":1.0,"batch":8}}}}"#
        );
        let target = Target { vocab: 10, max_words: 5 };
        let checked = capwright_blueprint::parse(&text, &Library::default(), target).unwrap();
        let frozen = &checked.design().frozen[0];
        let BackboneGraph { graph, cuts } = find(name).unwrap().graph(96).unwrap();
        let weights = formula_weights(&graph);
        let x = image(96, 0);
        let joined = FrozenNet::load(&frozen.graph, &weights).unwrap().forward_image(&x);
        let mut expected = Vec::new();
        for cut in cuts.values().rev() {
            let part = graph.cut(*cut);
            let (shape, map) =
                (part.output_shape(), FrozenNet::load(&part, &weights).unwrap().forward_image(&x));
            let map = Tensor::<4>::from_data(TensorData::new(map, [1, shape.c, shape.h, shape.w]), &device);
            let pooled = burn::tensor::module::adaptive_avg_pool2d(map, [3, 3]);
            expected.extend(pooled.into_data().try_into_vec::<f32>().unwrap().into_iter().map(f64::from));
        }
        assert_eq!(frozen.graph.output_shape().len(), expected.len());
        let largest = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (ours, theirs) in joined.iter().zip(&expected) {
            assert!(
                (f64::from(*ours) - theirs).abs() <= 1e-5 * largest,
                "{name}: {ours} instead of {theirs}"
            );
        }
    }
}

/// An op with small numbers, sensible or not.
fn any_op(rng: &mut ChaCha8Rng, channels: usize) -> Op {
    let mut n = |least: usize, most: usize| rng.random_range(least..=most);
    let groups = [1, 1, 1, 2, channels][n(0, 4)];
    match n(0, 23) {
        0..=3 => {
            let padding = Padding { top: n(0, 2), bottom: n(0, 2), left: n(0, 2), right: n(0, 2) };
            let output = [channels, n(1, 9), 3 * channels][n(0, 2)];
            let (kernel, width) = ([1, 1, 2, 3, 5][n(0, 4)], [1, 1, 2, 3, 5][n(0, 4)]);
            let square = n(0, 1) == 0;
            let (width, bias) = (if square { kernel } else { width }, n(0, 1) == 0);
            Op::Conv(Conv {
                input: channels,
                output,
                kernel,
                width,
                stride: n(1, 2),
                padding,
                dilation: 1,
                groups,
                bias,
            })
        }
        4 => Op::BatchNorm { channels, eps_micro: 10, fixed: false },
        5 => Op::LayerNorm { channels, eps_micro: 10 },
        6 => Op::LayerScale { channels },
        7 => Op::Attend { heads: n(1, 3) },
        8 => Op::WindowAttend { heads: n(1, 3), window: n(1, 4), shift: n(0, 2) },
        9 => Op::ClassToken { channels },
        10 => Op::Positions { channels, cells: [16, 25, 36, 49, 64, 81][n(0, 5)] },
        11 => Op::Cells { from: n(0, 3), h: n(1, 4), w: n(1, 4) },
        12 => Op::Slice { from: n(0, 2), channels: n(1, 4) },
        13 => Op::Shuffle { groups: n(1, 3) },
        14 => Op::Quarters,
        15 => Op::Flatten,
        16 => Op::AdaptiveAvgPool { side: n(1, 6) },
        17 => Op::Act([Activation::Relu, Activation::Gelu, Activation::HardSwish, Activation::Silu][n(0, 3)]),
        18 => Op::MaxPool { kernel: n(1, 4), stride: n(1, 3), padding: n(0, 2), ceil: n(0, 1) == 0 },
        19 => Op::AvgPool { kernel: n(1, 4), stride: n(1, 3), padding: n(0, 2) },
        20 => [Op::GlobalAvgPool, Op::GlobalMaxPool, Op::ChannelMean, Op::ChannelMax, Op::SumCells][n(0, 4)],
        21 => Op::Linear { input: channels, output: n(1, 9), bias: n(0, 1) == 0 },
        22 => [Op::Add, Op::Mul][n(0, 1)],
        _ => [Op::Concat, Op::Stack][n(0, 1)],
    }
}

/// Graphs come from files too: whatever is sound and fits runs, and both engines agree.
#[test]
fn any_sound_graph_is_computed_alike_by_both_engines() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut kinds = BTreeMap::<String, usize>::new();
    for round in 0..1500 {
        let side = rng.random_range(4..=9);
        let mut graph = Graph::new(Shape::new(3, side, side));
        for step in 0..60 {
            let nodes = graph.nodes().len();
            let mut pick = || rng.random_range(nodes.saturating_sub(3)..nodes);
            let mut inputs = vec![pick(), pick()];
            let op = any_op(&mut rng, graph.shape(inputs[0]).c);
            if !matches!(op, Op::Add | Op::Mul | Op::Concat | Op::Stack) {
                inputs.truncate(1);
            }
            let shapes: Vec<Shape> = inputs.iter().map(|id| graph.shape(*id)).collect();
            let fits = op.sound(&shapes).and_then(|()| op.shape(&shapes));
            if fits.is_ok_and(|shape| (1..5_000).contains(&shape.len())) && nodes < 9 {
                graph.add(format!("n{step}"), op, &inputs).unwrap();
                let kind = format!("{op:?}");
                *kinds.entry(kind.split(['(', ' ', '{']).next().unwrap().to_owned()).or_default() += 1;
            }
        }
        let x: Vec<f32> = unit(3 * side * side, round);
        let frozen = FrozenNet::load(&graph, &formula_weights(&graph)).unwrap().forward_image(&x);
        let (params, mut stats) = trained(&graph);
        let ours = forward(&graph, &params, &mut stats, &x, Mode::Inference).output(&graph);
        assert_eq!(frozen.len(), ours.len());
        let scale = ours.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
        for (a, b) in frozen.iter().zip(&ours) {
            assert!((a - b).abs() <= 1e-4 * scale, "{round}: {a} instead of {b}, {:?}", graph.nodes());
        }
    }
    assert!(kinds.len() >= 27 && kinds.values().all(|count| *count >= 20), "{kinds:?}");
}
