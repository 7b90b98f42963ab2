//! The predictor on designs whose quality is made up.

mod common;

use capwright_blueprint::language::Decoder;
use capwright_contract::Contract;
use capwright_search::{Space, Surrogate};
use capwright_study::conformance::{epoch, result};
use capwright_study::{Event, Study, Trial, TrialResult, TrialStatus, Verdict};
use common::{draft, judge, opened, quality, under};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A study of so many random designs; the last ones are not trained.
fn study(contract: &Contract, trained: u64, more: u64) -> Study {
    let (space, judge, mut study) = (Space::new(contract), judge(contract), opened(contract));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    while study.next_trial() <= trained + more {
        let judgement = judge.judge(&space.sample(&mut rng), &study);
        let Verdict::Admitted { trial, blueprint, .. } = &judgement.verdict else { continue };
        let (trial, score) = (*trial, 0.3 * quality(blueprint));
        let proposal = draft(study.next_proposal(), judgement.verdict.clone());
        study.apply(&Event::Proposed(Box::new(proposal))).expect("it follows");
        if trial <= trained {
            let scores = epoch(1, score).scores;
            for event in [
                Event::TrialStarted { trial },
                Event::TrialEpoch { trial, epoch: epoch(1, score) },
                Event::TrialFinished { trial, result: Box::new(result(scores)) },
            ] {
                study.apply(&event).expect("it follows");
            }
        }
    }
    study
}

/// Ranks of values, none of which are equal.
fn ranks(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| values.iter().filter(|other| *other < v).count() as f64).collect()
}

fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a, b, n) = (ranks(a), ranks(b), a.len() as f64);
    let squares: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}

#[test]
fn designs_that_were_never_trained_are_put_in_about_the_right_order() {
    let contract = under("[training]\nepochs = 1\n[data]\nvocab = 500");
    let study = study(&contract, 120, 60);
    let surrogate = Surrogate::of(&study).expect("enough to learn from");
    let (mut predicted, mut true_scores, mut within) = (Vec::new(), Vec::new(), 0);
    for trial in (121..=180).map(|number| &study.trials[&number]) {
        let prediction = surrogate.predict(&trial.blueprint, &trial.cost);
        let score = 0.3 * quality(&trial.blueprint);
        assert_eq!(prediction.epochs, 1);
        within += u32::from((score - prediction.score).abs() <= 2.0 * prediction.sd);
        predicted.push(prediction.score);
        true_scores.push(score);
    }
    let found = rank_correlation(&predicted, &true_scores);
    assert!(found > 0.5, "rank correlation {found:.2}");
    assert!(within >= 50, "{within} of 60 within two standard deviations");
    let promise = |score, sd| Surrogate::promise(&capwright_study::Prediction { epochs: 1, score, sd });
    assert!(promise(0.3, 0.01) > promise(0.1, 0.01) && promise(0.1, 0.1) > promise(0.1, 0.01));
}

#[test]
fn what_is_cheap_may_be_worth_more_than_what_scores_most() {
    let objectives = "[[objectives]]\nmerit = \"bleu4\"\n[[objectives]]\nmerit = \"params_total\"\n";
    let contract = under(&format!("{objectives}[training]\nepochs = 1\n[data]\nvocab = 500"));
    let study = study(&contract, 40, 0);
    let surrogate = Surrogate::of(&study).expect("enough to learn from");
    let costs = study.trials.values().map(|trial| study.expense(&trial.cost).expect("parameters"));
    let (least, most) = costs.fold((f64::MAX, 0.0f64), |(low, high), cost| (low.min(cost), high.max(cost)));
    let growth =
        |score, cost| surrogate.growth(&capwright_study::Prediction { epochs: 1, score, sd: 0.0 }, cost);
    let best = study.trials.values().map(|trial| trial.epochs[0].scores.bleu[3]).fold(0.0, f64::max);
    assert!(growth(best + 0.01, most) == 0.0, "the front ends there");
    assert!(growth(best, least) > growth(best + 0.01, 0.9 * most), "as good for less");
    assert!(growth(best / 2.0, 0.9 * most) == 0.0, "what is known is better and costs less");
}

#[test]
fn what_ends_better_is_worth_more_than_its_first_epochs() {
    let mut contract = under("[training]\nepochs = 2\n[data]\nvocab = 500");
    contract.search.halving = Some(1);
    let first = study(&contract, 60, 20);
    let recurrent = |trial: &Trial| matches!(trial.blueprint.decoder, Decoder::Recurrent { .. });
    let mut further = first.clone();
    for trial in further.trials.values_mut().filter(|trial| !trial.epochs.is_empty()) {
        let gain = if recurrent(trial) { 0.09 } else { 0.05 };
        trial.epochs.push(epoch(2, trial.epochs[0].scores.bleu[3] + gain));
        trial.granted = Some(2);
    }
    // By how much recurrent designs are said to score more than others.
    let lead = |study: &Study| {
        let surrogate = Surrogate::of(study).expect("enough to learn from");
        let new = || study.trials.values().filter(|trial| trial.epochs.is_empty());
        let mean = |wanted: bool| {
            let some: Vec<f64> = new()
                .filter(|trial| recurrent(trial) == wanted)
                .map(|trial| surrogate.predict(&trial.blueprint, &trial.cost).score)
                .collect();
            some.iter().sum::<f64>() / some.len() as f64
        };
        mean(true) - mean(false)
    };
    let more = lead(&further) - lead(&first);
    assert!((0.02..0.06).contains(&more), "{more} of 0.04");
}

#[test]
fn a_design_that_goes_on_is_worth_as_much_as_before_until_more_is_known_of_it() {
    let mut contract = under("[training]\nepochs = 9\n[data]\nvocab = 500");
    contract.search.halving = Some(1);
    let mut study = study(&contract, 40, 0);
    for (number, trial) in &mut study.trials {
        // Some trained to their end and gained more; the others wait at the second rung.
        let until = if number % 5 == 0 { 9 } else { 3 };
        let first = trial.epochs[0].scores.bleu[3];
        let later = |number: u32| epoch(number, first + 0.01 * f64::from(number));
        trial.epochs.extend((2..=until).map(later));
        trial.granted = Some(until);
        let ended = result(later(until).scores);
        let ended = TrialResult { epochs: until, paused: until < 9, ..ended };
        trial.status = TrialStatus::Finished(Box::new(ended));
    }
    let score = |study: &Study| {
        let trial = &study.trials[&1];
        Surrogate::of(study).expect("enough to learn from").predict(&trial.blueprint, &trial.cost).score
    };
    let waiting = score(&study);
    study.trials.get_mut(&1).expect("a trial").granted = Some(9);
    assert_eq!(score(&study), waiting);
}

#[test]
fn nothing_is_predicted_from_few_designs_or_from_equal_ones() {
    let contract = under("[training]\nepochs = 1\n[data]\nvocab = 500");
    assert!(Surrogate::of(&study(&contract, 7, 0)).is_none());
    let mut flat = study(&contract, 20, 0);
    for trial in flat.trials.values_mut() {
        trial.epochs[0].scores.bleu = [0.1; 4];
    }
    assert!(Surrogate::of(&flat).is_none());
}
