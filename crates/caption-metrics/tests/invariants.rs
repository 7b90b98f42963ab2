//! What must hold for any captions.

use capwright_caption_metrics::{Cider, DocumentFrequencies, ScoreOptions, Scores, score};
use proptest::prelude::*;

type Words = Vec<&'static str>;
type Corpus = (Vec<Words>, Vec<Vec<Words>>);

fn caption() -> impl Strategy<Value = Words> {
    let word =
        prop::sample::select(vec!["a", "the", "dog", "dogs", "run", "runs", "running", "red", "ball", "on"]);
    prop::collection::vec(word, 0..9)
}

fn corpus() -> impl Strategy<Value = Corpus> {
    let image = (caption(), prop::collection::vec(caption(), 1..4));
    prop::collection::vec(image, 2..8).prop_map(|images| images.into_iter().unzip())
}

fn scored(hyps: &[Words], refs: &[Vec<Words>]) -> Scores {
    score(hyps, refs, &ScoreOptions { resamples: 20, ..ScoreOptions::default() }).unwrap()
}

/// (name, left, right) of every metric.
fn pairs(left: &Scores, right: &Scores) -> Vec<(&'static str, f64, f64)> {
    let entries = left.corpus.entries().into_iter().zip(right.corpus.entries());
    entries.map(|((name, left), (_, right))| (name, *left, *right)).collect()
}

proptest! {
    #[test]
    fn scores_lie_in_their_range((hyps, refs) in corpus()) {
        let scores = scored(&hyps, &refs);
        let images = scores.images.iter().map(|image| image.figures(scores.corpus.meteor_name));
        for figures in images.chain([scores.corpus]) {
            for (name, value) in figures.entries() {
                let most = if name.starts_with("cider") { 10.0 } else { 1.0 };
                prop_assert!((0.0..=most + 1e-9).contains(value), "{} {}", name, value);
            }
        }
        for (name, interval) in scores.intervals.unwrap().entries() {
            prop_assert!(interval.low <= interval.high, "{}", name);
        }
    }

    #[test]
    fn repeating_a_reference_is_best((_, refs) in corpus()) {
        let right: Vec<Words> = refs.iter().map(|r| r[0].clone()).collect();
        let single: Vec<Vec<Words>> = right.iter().map(|r| vec![r.clone()]).collect();
        let scores = scored(&right, &single);
        for (image, caption) in scores.images.iter().zip(&right) {
            prop_assert!((image.rouge_l - 1.0).abs() < 1e-12);
            prop_assert!(caption.is_empty() || (image.meteor.score() - 1.0).abs() < 1e-12);
            // With both marks a caption of two words has all four lengths of n-grams.
            prop_assert!(caption.len() < 2 || (image.lemur_bleu - 1.0).abs() < 1e-12);
            prop_assert_eq!(image.bleu.matches, image.bleu.guesses);
            prop_assert!((image.cider.cider - image.cider.cider_d).abs() < 1e-9);
        }
    }

    #[test]
    fn order_does_not_matter((hyps, refs) in corpus()) {
        let scores = scored(&hyps, &refs);
        let turned: Vec<Vec<Words>> = refs.iter().map(|r| r.iter().rev().cloned().collect()).collect();
        for (name, left, right) in pairs(&scores, &scored(&hyps, &turned)) {
            // Of references that score alike METEOR's sums take the first, whose counts may differ.
            prop_assert!((left - right).abs() < 1e-9 || name.starts_with("meteor"), "{} {} {}", name, left, right);
        }
        let (hyps, refs): Corpus = hyps.into_iter().zip(refs).rev().unzip();
        for (name, left, right) in pairs(&scores, &scored(&hyps, &refs)) {
            prop_assert!((left - right).abs() < 1e-9, "{} {} {}", name, left, right);
        }
    }

    #[test]
    fn stored_frequencies_score_alike(refs in prop::collection::vec(prop::collection::vec(prop::collection::vec(0u32..6, 0..8), 1..3), 2..6), hyp in prop::collection::vec(0u32..8, 0..8)) {
        let json = serde_json::to_string(&DocumentFrequencies::new(&refs).unwrap()).unwrap();
        let read = Cider::with_frequencies(serde_json::from_str(&json).unwrap(), &refs).unwrap();
        let made = Cider::new(&refs).unwrap();
        for image in 0..refs.len() {
            prop_assert_eq!(made.score(image, &hyp), read.score(image, &hyp));
        }
    }
}
