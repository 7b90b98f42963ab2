//! Backbones beside each other, and backbones that are trained: from their weights to captions.
#![recursion_limit = "256"]

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use capwright_backbones::{Library, find};
use capwright_blueprint::{Checked, Graph, Param, TUNED, Target, parse};
use capwright_caption_data::{Dataset, Split};
use capwright_study::{TrialEvent, WeightsFile};
use capwright_train::decoder::CaptionBatch;
use capwright_train::vision::weights::Tensor32;
use capwright_train::vision::{FrozenNet, Weights};
use capwright_train::{Captioner, Dropout, Input, Network, Params, Teaching, run_trial, store};
use std::path::Path;

const SIZE: usize = 64;

/// A small captioner over that source.
fn blueprint(source: &str, recipe: &str) -> String {
    format!(
        r#"{{"encoder": {{"input": {SIZE}, "source": {{"kind": "pretrained", {source}}}, "blocks": []}},
"bridge": {{"dim": 64, "dropout_pct": 0}},
"decoder": {{"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 64, "layers": 1, "image": "initial_state",
  "attention": "additive", "dropout_pct": 0}},
"recipe": {{"lr": 0.001, "schedule": "constant", "weight_decay": 0.0, "label_smoothing": 0.0, "clip": 1.0, "batch": 8{recipe}}}}}"#
    )
}

fn checked(source: &str) -> Checked {
    parse(&blueprint(source, ""), &Library::default(), Target { vocab: 20, max_words: 6 }).unwrap()
}

/// Drawn values for a whole backbone, with statistics that are not those of a new network.
fn drawn(graph: &Graph) -> Weights {
    let params = Params::init(&graph.parameters(), 3, &Device::flex());
    let values =
        params.tensors().map(|(name, shape, values)| (name.to_owned(), tensor(shape, values.to_vec())));
    let buffer = |p: Param| {
        let start = if p.name.ends_with("running_var") { 0.5 } else { 0.05 };
        let values = (0..p.len()).map(|i| start + 0.001 * (i % 7) as f32).collect();
        (p.name, tensor(&p.shape, values))
    };
    Weights::from_tensors(values.chain(graph.buffers().into_iter().map(buffer)))
}

fn tensor(shape: &[usize], values: Vec<f32>) -> Tensor32 {
    Tensor32 { shape: shape.to_vec(), values }
}

fn backbone(name: &str) -> Weights {
    drawn(&find(name).unwrap().graph(SIZE).unwrap().graph)
}

/// The weights of a backbone as a file.
fn file(name: &str, root: &Path) -> WeightsFile {
    let (weights, path) = (backbone(name), root.join(format!("{name}.safetensors")));
    let names: Vec<&str> = weights.names().collect();
    let tensors = names.iter().map(|name| (*name, weights.get(name).unwrap()));
    store::write(&path, tensors.map(|(name, t)| (name, &t.shape[..], &t.values[..]))).unwrap();
    WeightsFile { sha256: store::sha256(&path).unwrap(), path }
}

fn image() -> Vec<f32> {
    (0..3 * SIZE * SIZE).map(|i| (i as f32 * 0.37).sin()).collect()
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec::<f32>().unwrap()
}

fn map(values: Vec<f32>, shape: capwright_blueprint::Shape, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, [1, shape.c, shape.h, shape.w]), device)
}

/// A network of the design that starts from the backbone, and what it reads for [`image`].
fn started(checked: &Checked, name: &str, device: &Device) -> (Network, Input) {
    let (design, weights) = (checked.design(), backbone(name));
    let mut network = Network::new(design, 5, device);
    network.start_from(&weights).unwrap();
    let input = match design.frozen.first() {
        None => image(),
        Some(part) => FrozenNet::load(&part.graph, &weights).unwrap().forward_image(&image()),
    };
    (network, Input::Map(map(input, design.trunk.input_shape(), device)))
}

#[test]
fn a_backbone_sees_the_same_however_much_of_it_is_trained() {
    for name in ["mobilenet_v2", "resnet18", "efficientnet_lite0"] {
        let graph = find(name).unwrap().graph(SIZE).unwrap();
        let part = graph.graph.cut(graph.cuts[&capwright_blueprint::language::Cut::S32]);
        let features = FrozenNet::load(&part, &backbone(name)).unwrap().forward_image(&image());
        for tune in ["last_stage", "all"] {
            let checked = checked(&format!(r#""backbone": "{name}", "cut": "s32", "tune": "{tune}""#));
            let (network, input) = started(&checked, name, &Device::flex());
            // The bridge's projection of the frozen features is what it makes of the trunk's.
            let frozen = Tensor::from_data(
                TensorData::new(features.clone(), {
                    let s = part.output_shape();
                    [1, s.c, s.h, s.w]
                }),
                &Device::flex(),
            );
            let ours = host(network.inner().memory(input, &mut Dropout::off()));
            let theirs = host(capwright_train::bridge::bridge(
                &checked.design().bridge,
                &network.params,
                frozen,
                &mut Dropout::off(),
            ));
            assert_eq!(ours.len(), theirs.len());
            let scale = theirs.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() <= 2e-4 * scale, "{name} {tune}: {a} instead of {b}");
            }
        }
    }
}

/// The loss along the gradient of the encoder rises as steeply as that gradient is long.
#[test]
fn gradients_of_a_trained_backbone_are_those_of_the_loss() {
    let batch = CaptionBatch::new(&[vec![vec![4, 9, 5, 7]]]);
    let device = Device::flex().autodiff();
    for (name, tune) in [("mobilenet_v2", "all"), ("resnet18", "last_stage"), ("efficientnet_lite0", "all")] {
        let checked = checked(&format!(r#""backbone": "{name}", "cut": "s32", "tune": "{tune}""#));
        let loss = |moved: Option<(&[Vec<f32>], f32)>| {
            let (mut network, input) = started(&checked, name, &device);
            if let Some((direction, far)) = moved {
                let shifted: Vec<Vec<f32>> = network
                    .params
                    .tensors()
                    .zip(direction)
                    .map(|((.., values), d)| values.iter().zip(d).map(|(v, d)| v + far * d).collect())
                    .collect();
                let wanted: Vec<Param> = checked.design().trainable();
                network.params = Params::from_values(&wanted, shifted, &device);
            }
            let step = network.step(input, &batch, &mut Teaching::plain(0.0, Dropout::off()));
            let found = network.params.tensors().enumerate().map(|(id, (name, _, values))| {
                let gradient = step.grads.get(id).expect("every parameter has a gradient").to_vec();
                if name.starts_with(TUNED) { gradient } else { vec![0.0; values.len()] }
            });
            (step.loss / step.words as f64, found.collect::<Vec<Vec<f32>>>())
        };
        let (_, gradient) = loss(None);
        let norm = gradient.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 1e-4, "{name} {tune}: nothing flows back, {norm}");
        let direction: Vec<Vec<f32>> =
            gradient.iter().map(|g| g.iter().map(|v| (f64::from(*v) / norm) as f32).collect()).collect();
        let far = 2e-3;
        let (up, down) = (loss(Some((&direction, far))).0, loss(Some((&direction, -far))).0);
        let slope = (up - down) / (2.0 * f64::from(far));
        assert!((slope - norm).abs() <= 0.03 * norm, "{name} {tune}: {slope} along a gradient of {norm}");
    }
}

#[test]
fn a_trained_backbone_starts_from_its_weights_thaws_and_keeps_its_statistics_unless_told_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let file = file("mobilenet_v2", root.path());
    let pretrained = backbone("mobilenet_v2");
    for tune in ["last_stage", "all", "last_stage_with_statistics"] {
        for (frozen, epochs) in [(1, 1), (1, 2)] {
            let source = format!(r#""backbone": "mobilenet_v2", "cut": "s32", "tune": "{tune}""#);
            let text = blueprint(&source, &format!(r#", "freeze_encoder": {frozen}, "encoder_lr": 0.1"#));
            let out = format!("{tune}-{epochs}");
            let (spec, design) =
                common::spec_of(&text, &Library::default(), vec![file.clone()], root.path(), &out, epochs);
            let result = run_trial(&spec, &design, &mut |_| ()).unwrap();
            let folder = spec.out.join(&result.model);
            let design = Captioner::load(&folder).unwrap().design().clone();
            let network =
                Network::load(&folder.join("weights.safetensors"), &design, &Device::flex()).unwrap();
            let kept = |name: &str, values: &[f32]| {
                name.strip_prefix(TUNED).map(|name| pretrained.get(name).unwrap().values == values)
            };
            let same: Vec<bool> = network.params.tensors().filter_map(|(name, _, v)| kept(name, v)).collect();
            assert!(!same.is_empty());
            if result.best_epoch == 1 {
                assert!(same.iter().all(|same| *same), "{out}: frozen in its first epoch");
            } else {
                assert!(same.iter().filter(|same| !**same).count() > same.len() / 2, "{out}: it learns");
            }
            let statistics: Vec<bool> =
                network.stats.tensors().filter_map(|(name, _, values)| kept(name, values)).collect();
            let follow = tune.ends_with("statistics") && result.best_epoch > 1;
            assert!(!statistics.is_empty() && statistics.iter().all(|same| *same != follow), "{out}");
        }
    }
}

#[test]
fn backbones_beside_each_other_caption_as_they_were_scored_in_either_order() {
    let root = tempfile::tempdir().unwrap();
    let names = ["resnet18", "mobilenet_v2"];
    let files = names.map(|name| file(name, root.path()));
    let source = |a: usize, b: usize| {
        let (first, second) = (names[a], names[b]);
        format!(r#""backbone": "{first}", "cut": "s16", "beside": {{"backbone": "{second}", "cut": "s16"}}"#)
    };
    let mut written = Vec::new();
    for (a, b) in [(0, 1), (1, 0)] {
        let weights = vec![files[a].clone(), files[b].clone()];
        let (text, out) = (blueprint(&source(a, b), ""), format!("{a}{b}"));
        let (spec, design) = common::spec_of(&text, &Library::default(), weights, root.path(), &out, 1);
        assert_eq!(design.frozen.len(), 2);
        assert_eq!(
            design.trunk.input_shape().c,
            design.frozen.iter().map(|p| p.graph.output_shape().c).sum::<usize>()
        );
        let result = run_trial(&spec, &design, &mut |_| ()).unwrap();
        let folder = spec.out.join(&result.model);
        let set = Dataset::load(&spec.data).unwrap();
        let images: Vec<_> = set.records(Split::Val).cloned().collect();
        let found = Captioner::load(&folder).unwrap().evaluate(&images, spec.decoding).unwrap();
        assert_eq!(found.scores, result.scores);
        written.push(std::fs::read(folder.join("weights.safetensors")).unwrap());
    }
    assert!(written[0] == written[1], "one network, however it is written");
    let (mut spec, design) = common::spec_of(
        &blueprint(&source(0, 1), ""),
        &Library::default(),
        vec![files[0].clone()],
        root.path(),
        "one",
        1,
    );
    spec.weights.truncate(1);
    let error = run_trial(&spec, &design, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("mobilenet_v2"), "{error}");
}

#[test]
fn images_of_frozen_backbones_are_varied() {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (file("mobilenet_v2", root.path()), file("resnet18", root.path()));
    let mobile = r#""backbone": "mobilenet_v2", "cut": "s32""#;
    let tuned = format!(r#"{mobile}, "tune": "last_stage""#);
    let beside = format!(r#"{mobile}, "beside": {{"backbone": "resnet18", "cut": "s32"}}"#);
    let flip_crop = r#", "augment": "flip_crop""#;
    // Images of the scenes: 24 for training, 6 for validation.
    for (name, source, recipe, total) in [
        ("plain", mobile, "", 30),
        ("flip", mobile, r#", "augment": "flip""#, 30 + 24),
        ("varied", mobile, flip_crop, 30 + 3 * 24),
        ("again", mobile, flip_crop, 30 + 3 * 24),
        ("tuned", &tuned, flip_crop, 30 + 3 * 24),
        ("beside", &beside, flip_crop, 2 * (30 + 3 * 24)),
    ] {
        let weights = if name == "beside" { vec![one.clone(), two.clone()] } else { vec![one.clone()] };
        let text = blueprint(source, recipe);
        let (spec, design) = common::spec_of(&text, &Library::default(), weights, root.path(), name, 2);
        let mut heard = Vec::new();
        let result = run_trial(&spec, &design, &mut |event| {
            if let TrialEvent::Features { done, total } = event {
                heard.push((done, total));
            }
        })
        .unwrap();
        assert!(heard.is_sorted() && heard.last() == Some(&(total, total)), "{name}: {heard:?}");
        if ["flip", "varied", "again"].contains(&name) {
            assert_eq!(heard[0], (30, total), "{name}: images as they are are there from the first trial");
        }
        let images: Vec<_> = Dataset::load(&spec.data).unwrap().records(Split::Val).cloned().collect();
        let folder = spec.out.join(&result.model);
        let found = Captioner::load(&folder).unwrap().evaluate(&images, spec.decoding).unwrap();
        assert_eq!(found.scores, result.scores, "{name}: validated on images as they are");
    }
    let weights =
        |name: &str| std::fs::read(root.path().join(name).join("model/weights.safetensors")).unwrap();
    assert!(weights("varied") == weights("again"), "the same images in each run");
    assert!(weights("varied") != weights("plain") && weights("varied") != weights("flip"));
}

#[test]
fn a_finer_second_backbone_is_pooled_to_the_grid_of_the_first() {
    let text = r#""backbone": "resnet18", "cut": "s32", "beside": {"backbone": "mobilenet_v2", "cut": "s8"}"#;
    let checked = checked(text);
    let part = &checked.design().frozen[1];
    let plain = find("mobilenet_v2").unwrap().graph(SIZE).unwrap();
    let plain = plain.graph.cut(plain.cuts[&part.cut]);
    let weights = backbone("mobilenet_v2");
    let fine = FrozenNet::load(&plain, &weights).unwrap().forward_image(&image());
    let pooled = FrozenNet::load(&part.graph, &weights).unwrap().forward_image(&image());
    let shape = plain.output_shape();
    let theirs = host(burn::tensor::module::adaptive_avg_pool2d(map(fine, shape, &Device::flex()), [2, 2]));
    assert_eq!((part.graph.output_shape().h, pooled.len()), (2, theirs.len()));
    for (a, b) in pooled.iter().zip(&theirs) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} instead of {b}");
    }
}
