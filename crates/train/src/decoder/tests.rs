//! Decoders against PyTorch: `tests/fixtures/train/make.py` makes the numbers.

use super::*;
use crate::optim::Optimizer;
use crate::testing;
use burn::tensor::Device;
use capwright_blueprint::Param;
use capwright_blueprint::language::OptimizerKind;
use serde_json::Value;

const FIXTURE: &str = include_str!("../../../../tests/fixtures/train/decoders.json");
const VOCAB: usize = 11;

/// The fixture's formula for parameter `k`.
pub(crate) fn formula(k: usize, n: usize) -> Vec<f32> {
    (0..n).map(|i| ((1.0 + 0.7 * i as f64 + k as f64).sin() * 0.3) as f32).collect()
}

pub(crate) fn params(wanted: &[Param]) -> Params {
    params_on(wanted, &Device::flex())
}

fn params_on(wanted: &[Param], device: &Device) -> Params {
    let one = |(k, p): (usize, &Param)| {
        let norm = p.name.contains(".norm") && p.name.ends_with("weight");
        formula(k, p.len()).iter().map(|x| if norm { x + 1.0 } else { *x }).collect()
    };
    Params::from_values(wanted, wanted.iter().enumerate().map(one).collect(), &device.clone().autodiff())
}

fn memory() -> TensorData {
    let values: Vec<f32> = formula(100, 2 * 4 * 6).iter().map(|x| 3.0 * x).collect();
    TensorData::new(values, [2, 4, 6])
}

fn captions() -> CaptionBatch {
    CaptionBatch::new(&[
        vec![vec![4, 5, 6], vec![7, 8, 9, 10, 4]],
        vec![vec![5, 5], vec![6], vec![9, 8, 7, 6]],
    ])
}

/// A way to train a decoder, and how far its numbers may be from others', relatively.
#[derive(Clone)]
struct Engine {
    train: fn(&DecoderSpec, &Params, TensorData, &CaptionBatch, f32, &mut Dropout) -> Outcome,
    device: Device,
    tolerance: f64,
}

/// The processor's own passes.
fn own() -> Engine {
    Engine { train, device: Device::flex(), tolerance: 1e-4 }
}

/// Tensors on the processor and on each other device of the build that the machine has. They sum in other orders, and a
/// device's functions are less exact.
fn tensors() -> Vec<Engine> {
    let others = crate::device::others();
    let others = others.into_iter().map(|device| Engine { train, device, tolerance: 3e-3 });
    [Engine { train: autodiff::train, device: Device::flex(), tolerance: 3e-4 }]
        .into_iter()
        .chain(others)
        .collect()
}

#[test]
fn loss_and_gradients_are_those_of_pytorch() {
    let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
    assert_eq!(cases.len(), 24);
    for engine in [own()].into_iter().chain(tensors()) {
        cases.iter().for_each(|case| as_in_pytorch(case, &engine));
    }
}

fn as_in_pytorch(case: &Value, Engine { train, device, tolerance }: &Engine) {
    let spec: DecoderSpec = serde_json::from_value(case["spec"].clone()).unwrap();
    let params = params_on(&spec.parameters(6, VOCAB, 6), device);
    let smoothing = case["smoothing"].as_f64().unwrap() as f32;
    let outcome = train(&spec, &params, memory(), &captions(), smoothing, &mut Dropout::off());
    let close = |ours: f64, theirs: &Value, what: &str| {
        let theirs = theirs.as_f64().unwrap();
        let far = (ours - theirs).abs() > tolerance * theirs.abs().max(0.01);
        assert!(!far, "{spec:?} {what} on {device:?}: {ours}, PyTorch {theirs}");
    };
    let norm = |x: &[f32]| crate::math::sum_of_squares(x).sqrt();
    close(outcome.loss / outcome.words as f64, &case["loss"], "loss");
    close(norm(&outcome.memory), &case["memory_norm"], "memory");
    assert_eq!(case["norms"].as_object().unwrap().len(), params.len(), "{spec:?}");
    for (id, (name, _, _)) in params.tensors().enumerate() {
        let gradient = outcome.grads.get(id).unwrap_or_else(|| panic!("{spec:?} {name} has no gradient"));
        close(norm(gradient), &case["norms"][name], name);
        let sum: f64 = gradient.iter().map(|x| f64::from(*x)).sum();
        close(sum, &case["sums"][name], &format!("sum of {name}"));
    }
}

/// A batch as self-critical training has it.
fn samples() -> CaptionBatch {
    let first = vec![(vec![4, 5, 6], 0.5), (vec![7, 8, 9, 10, 4], -1.5)];
    CaptionBatch::sampled(&[first, vec![(vec![5, 5], 2.0), (vec![6], -1.0), (vec![9], 0.25)]], 5)
}

/// With the same dropout masks, and for samples at a temperature.
#[test]
fn tensors_have_the_losses_and_gradients_of_the_processors_own_passes() {
    for engine in tensors() {
        for spec in testing::families() {
            let spec = testing::with_dropout(spec, 30);
            like_the_processor(&spec, (&captions(), 1.0), &engine);
            like_the_processor(&spec, (&samples(), 0.5), &engine);
        }
    }
}

fn like_the_processor(spec: &DecoderSpec, (batch, temperature): (&CaptionBatch, f32), engine: &Engine) {
    let wanted = spec.parameters(testing::DIM, VOCAB, 6);
    let outcome = |engine: &Engine| {
        let mut params = params_on(&wanted, &engine.device);
        params.set_temperature(temperature);
        (engine.train)(spec, &params, memory(), batch, 0.0, &mut Dropout::seeded(1, 1))
    };
    let (ours, theirs) = (outcome(&own()), outcome(engine));
    let close = |ours: f64, theirs: f64, what: &str| {
        let far = (ours - theirs).abs() > engine.tolerance * ours.abs().max(0.1);
        assert!(!far, "{spec:?} {what} on {:?}: {theirs}, not {ours}", engine.device);
    };
    assert_eq!(ours.words, theirs.words);
    close(ours.loss, theirs.loss, "loss");
    let same = |ours: &[f32], theirs: &[f32], what: &str| {
        assert_eq!(ours.len(), theirs.len(), "{spec:?} {what}");
        ours.iter().zip(theirs).for_each(|(o, t)| close(f64::from(*o), f64::from(*t), what));
    };
    same(&ours.memory, &theirs.memory, "memory");
    for (id, param) in wanted.iter().enumerate() {
        same(ours.grads.get(id).unwrap(), theirs.grads.get(id).unwrap(), &param.name);
    }
}

#[test]
fn step_by_step_logits_are_those_of_pytorch() {
    let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
    for case in cases {
        let spec: DecoderSpec = serde_json::from_value(case["spec"].clone()).unwrap();
        let mut params = params(&spec.parameters(6, VOCAB, 6));
        params.set_temperature(0.5);
        let mut session = Session::new(&spec, &params, memory());
        // Rows are swapped, doubled and cut on the way: a session must carry every state with its row.
        session.select(&[1, 0, 0]);
        let mut ours = Vec::new();
        for (t, word) in [1u32, 7, 8, 9, 10, 4].into_iter().enumerate() {
            let logits = if t < 2 { session.step(&[4, word, 5]) } else { session.step(&[word]) };
            let at = if t < 2 { VOCAB } else { 0 };
            ours.extend_from_slice(&logits[at..at + VOCAB]);
            if t == 1 {
                session.select(&[1]);
            }
        }
        let theirs: Vec<f64> = serde_json::from_value(case["logits"].clone()).unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (o, t) in ours.iter().zip(&theirs) {
            assert!((f64::from(0.5 * o) - t).abs() < 1e-4, "{spec:?}: half of {o}, PyTorch {t}");
        }
    }
}

/// To the last bit, also where an extent is so large that other libraries have another product for a single row.
#[test]
fn an_image_alone_has_the_logits_that_it_has_among_others() {
    const IMAGES: usize = 5;
    for spec in testing::families().into_iter().chain([testing::convolution(96)]) {
        let (params, memory) = testing::images(&spec, VOCAB, 6, 5, IMAGES);
        let mut session = Session::new(&spec, &params, memory.clone());
        let together: Vec<Vec<f32>> = (4..8).map(|word| session.step(&[word; IMAGES])).collect();
        for image in 0..IMAGES {
            let mut alone = Session::new(&spec, &params, testing::image(&memory, image));
            for (word, all) in (4..8).zip(&together) {
                assert_eq!(alone.step(&[word]), all[image * VOCAB..][..VOCAB], "{spec:?} image {image}");
            }
        }
    }
}

#[test]
fn every_family_learns_captions_by_heart() {
    let batch = CaptionBatch::new(&[vec![vec![4, 5, 6], vec![4, 5, 6]], vec![vec![7, 8]]]);
    let memory = TensorData::new(formula(3, 48).iter().map(|x| 4.0 * x).collect(), [2, 4, 6]);
    for spec in testing::families() {
        let wanted = spec.parameters(testing::DIM, VOCAB, 6);
        let mut params = Params::init(&wanted, 5, &Device::flex().autodiff());
        let mut optimiser = Optimizer::new(&params, OptimizerKind::Adamw, 0.0, 5.0);
        let mut loss = f64::INFINITY;
        for _ in 0..150 {
            let outcome = train(&spec, &params, memory.clone(), &batch, 0.0, &mut Dropout::off());
            loss = outcome.loss / outcome.words as f64;
            optimiser.step(&mut params, &outcome.grads, 0.02);
        }
        assert!(loss < 0.05, "{spec:?}: {loss}");
    }
}

/// A batch so large that its rows are shared among threads.
#[test]
fn threads_change_no_bit_of_loss_and_gradients() {
    const IMAGES: usize = 500;
    const CELLS: usize = 16;
    let caption = |i: usize| (0..2 + i % 3).map(|t| 4 + (i * 5 + t * 3) as u32 % 7).collect::<Vec<u32>>();
    let references = |image: usize| (0..5).map(|i| caption(image * 7 + i)).collect::<Vec<_>>();
    let batch = CaptionBatch::new(&(0..IMAGES).map(references).collect::<Vec<_>>());
    let memory = TensorData::new(formula(3, IMAGES * CELLS * testing::DIM), [IMAGES, CELLS, testing::DIM]);
    for spec in testing::families() {
        let params = params(&spec.parameters(testing::DIM, VOCAB, 6));
        let outcome = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| train(&spec, &params, memory.clone(), &batch, 0.1, &mut Dropout::off()))
        };
        let (one, three) = (outcome(1), outcome(3));
        assert_eq!((one.loss, one.memory), (three.loss, three.memory), "{spec:?}");
        for (id, (name, ..)) in params.tensors().enumerate() {
            assert_eq!(one.grads.get(id), three.grads.get(id), "{spec:?} {name}");
        }
    }
}

#[test]
fn dropout_changes_the_loss_and_follows_its_seed() {
    let spec = testing::with_dropout(testing::families().remove(1), 50);
    let params = Params::init(&spec.parameters(testing::DIM, VOCAB, 6), 5, &Device::flex().autodiff());
    let loss = |mut dropout: Dropout| train(&spec, &params, memory(), &captions(), 0.0, &mut dropout).loss;
    assert_eq!(loss(Dropout::seeded(1, 1)), loss(Dropout::seeded(1, 1)));
    assert_ne!(loss(Dropout::seeded(1, 1)), loss(Dropout::seeded(1, 2)));
    assert_ne!(loss(Dropout::seeded(1, 1)), loss(Dropout::off()));
}

/// Each caption alone, word by word, says what all rows together say.
#[test]
fn predictions_are_the_likeliest_words_of_every_family() {
    for spec in testing::families() {
        let drawn = Params::init(&spec.parameters(testing::DIM, VOCAB, 6), 5, &Device::flex().autodiff());
        let batch = captions();
        let found = predict(&spec, &drawn, memory(), &batch);
        assert_eq!(found.len(), batch.rows.len());
        for (r, row) in batch.rows.iter().enumerate() {
            let mut session = Session::new(&spec, &drawn, memory());
            session.select(&[row.image]);
            let words = (0..=row.words.len()).map(|t| {
                let logits = session.step(&[batch.input(r, t)]);
                (0..VOCAB as u32)
                    .rev()
                    .max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]))
                    .unwrap()
            });
            assert_eq!(found[r], words.collect::<Vec<_>>(), "{spec:?} row {r}");
        }
    }
}

#[test]
fn what_is_read_changes_the_loss_and_what_is_said_does_not_move() {
    for spec in testing::families() {
        let drawn = Params::init(&spec.parameters(testing::DIM, VOCAB, 6), 5, &Device::flex().autodiff());
        let loss =
            |batch: &CaptionBatch| train(&spec, &drawn, memory(), batch, 0.0, &mut Dropout::off()).loss;
        let batch = captions();
        let own: Vec<Vec<u32>> = batch.rows.iter().map(|row| row.words.clone()).collect();
        let unknown = own.iter().map(|words| vec![3; words.len()]).collect();
        assert_eq!(loss(&batch), loss(&batch.reading(own)));
        assert_ne!(loss(&batch), loss(&batch.reading(unknown)));
    }
}
