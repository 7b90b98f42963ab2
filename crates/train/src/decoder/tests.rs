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
    let one = |(k, p): (usize, &Param)| {
        let norm = p.name.contains(".norm") && p.name.ends_with("weight");
        formula(k, p.len()).iter().map(|x| if norm { x + 1.0 } else { *x }).collect()
    };
    Params::from_values(wanted, wanted.iter().enumerate().map(one).collect(), &Device::flex().autodiff())
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

fn close(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(0.01), "{what}: {ours}, PyTorch {theirs}");
}

#[test]
fn loss_and_gradients_are_those_of_pytorch() {
    let cases: Vec<Value> = serde_json::from_str(FIXTURE).unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let spec: DecoderSpec = serde_json::from_value(case["spec"].clone()).unwrap();
        let params = params(&spec.parameters(6, VOCAB, 6));
        let smoothing = case["smoothing"].as_f64().unwrap() as f32;
        let outcome = train(&spec, &params, memory(), &captions(), smoothing, &mut Dropout::off());
        let label = format!("{spec:?}");
        close(outcome.loss / outcome.words as f64, case["loss"].as_f64().unwrap(), &label);
        let norm = crate::math::sum_of_squares(&outcome.memory).sqrt();
        close(norm, case["memory_norm"].as_f64().unwrap(), &format!("{label} memory"));
        assert_eq!(case["norms"].as_object().unwrap().len(), params.len(), "{label}");
        for (id, (name, _, _)) in params.tensors().enumerate() {
            let gradient = outcome.grads.get(id).unwrap_or_else(|| panic!("{label} {name} has no gradient"));
            let label = format!("{label} {name}");
            close(
                crate::math::sum_of_squares(gradient).sqrt(),
                case["norms"][name].as_f64().unwrap(),
                &label,
            );
            let sum: f64 = gradient.iter().map(|x| f64::from(*x)).sum();
            close(sum, case["sums"][name].as_f64().unwrap(), &format!("{label} sum"));
        }
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

#[test]
fn dropout_changes_the_loss_and_follows_its_seed() {
    let mut spec = testing::families().remove(1);
    if let DecoderSpec::Recurrent(spec) = &mut spec {
        spec.dropout_pct = 50;
    }
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
