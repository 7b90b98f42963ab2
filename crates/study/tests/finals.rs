//! How often the finals call the wrong design the best, simulated with recorded runs of real designs.
//!
//! `data/finals.json` holds the CIDEr-D of each validation image (drawn scenes, 120 images) in ten runs of four epochs from
//! different seeds of five designs, two of them nearly alike: `capwright search --contract data/finals.toml --architect random
//! --epochs 4 --max-macs 4000000 --family lstm --family gru ""`, its ledger read by `data/finals.py`. What all runs and images say together is taken for the truth; the finals see three runs and as many images
//! as there are, both drawn again and again.

use capwright_study::compare;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FINALISTS: usize = 3;
const RUNS: usize = 3;
const DRAWS: usize = 4_000;

/// Values of images, by run, by design.
fn recorded() -> Vec<Vec<Vec<f32>>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/finals.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the recorded runs")).expect("numbers")
}

fn mean(values: impl Iterator<Item = f32>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, n), x| (sum + f64::from(x), n + 1));
    sum / count as f64
}

/// Shares of simulated finals that chose the wrong design, and that chose at all.
fn simulate(designs: &[Vec<Vec<f32>>], decide: impl Fn(&[Vec<Vec<f32>>]) -> Option<usize>) -> (f64, f64) {
    let truth: Vec<f64> = designs.iter().map(|runs| mean(runs.iter().flatten().copied())).collect();
    let images = designs[0][0].len();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut wrong, mut chosen) = (0, 0);
    let mut order: Vec<usize> = (0..designs.len()).collect();
    for _ in 0..DRAWS {
        order.shuffle(&mut rng);
        let finalists = &order[..FINALISTS];
        let drawn: Vec<usize> = (0..images).map(|_| rng.random_range(0..images)).collect();
        let seen: Vec<Vec<Vec<f32>>> = finalists
            .iter()
            .map(|design| {
                let runs = (0..RUNS).map(|_| &designs[*design][rng.random_range(0..designs[*design].len())]);
                runs.map(|run| drawn.iter().map(|image| run[*image]).collect()).collect()
            })
            .collect();
        if let Some(best) = decide(&seen) {
            chosen += 1;
            wrong += usize::from(finalists.iter().any(|other| truth[*other] > truth[finalists[best]]));
        }
    }
    (wrong as f64 / DRAWS as f64, chosen as f64 / DRAWS as f64)
}

fn by_finals(seen: &[Vec<Vec<f32>>]) -> Option<usize> {
    let all: Vec<Vec<&[f32]>> = seen.iter().map(|runs| runs.iter().map(Vec::as_slice).collect()).collect();
    let standings = compare(&all);
    let decided = standings.iter().all(|standing| standing.p.is_none_or(|p| p < 0.05));
    decided.then(|| standings[0].finalist as usize)
}

fn by_first_run(seen: &[Vec<Vec<f32>>]) -> Option<usize> {
    let score = |design: usize| mean(seen[design][0].iter().copied());
    (0..seen.len()).max_by(|a, b| score(*a).total_cmp(&score(*b)))
}

#[test]
fn the_wrong_design_is_called_the_best_in_at_most_five_of_a_hundred_finals() {
    let designs = recorded();
    let (wrong, decided) = simulate(&designs, by_finals);
    let (naive, _) = simulate(&designs, by_first_run);
    println!("finals: {wrong:.3} wrong, {decided:.3} decided; the best of single runs: {naive:.3} wrong");
    assert!(wrong <= 0.05, "{wrong}");
    assert!(decided >= 0.1, "a test that never decides is never wrong: {decided}");
    assert!(naive > 0.05, "the recorded designs are too easy to tell apart: {naive}");
}
