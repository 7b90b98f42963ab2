//! ROUGE-L as the COCO caption evaluation computes it.
//!
//! The measure: Lin 2004, "ROUGE: a package for automatic evaluation of summaries", section 3. The variant and its
//! constant: pycocoevalcap 1.2, `rouge/rouge.py`. With `lcs` the length of the longest common subsequence of words, for
//! one image:
//!
//! - precision `P` = max over references of `lcs / words of the hypothesis`;
//! - recall `R` = max over references of `lcs / words of the reference`, perhaps of another reference;
//! - score = `(1 + β²) P R / (R + β² P)` with β = 1.2, and 0 where nothing is shared.
//!
//! The corpus figure is the mean over images. An empty caption counts there as one empty word, so two empty captions
//! match; that is kept here.

use crate::error::{MetricError, check_corpus};

/// How much more recall counts than precision.
const BETA: f64 = 1.2;

/// ROUGE-L of one hypothesis, in 0..=1; 0 where there are no references.
///
/// Words are anything that compares: strings or token ids.
pub fn rouge_l<W: PartialEq, S: AsRef<[W]>>(hyp: &[W], references: &[S]) -> f64 {
    let (mut precision, mut recall) = (0.0f64, 0.0f64);
    let mut row = Vec::new();
    for reference in references {
        let reference = reference.as_ref();
        let both_empty = hyp.is_empty() && reference.is_empty();
        let common = if both_empty { 1 } else { common_subsequence(hyp, reference, &mut row) } as f64;
        precision = precision.max(common / hyp.len().max(1) as f64);
        recall = recall.max(common / reference.len().max(1) as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// The mean of [`rouge_l`] over the images of a corpus.
///
/// # Errors
/// [`MetricError`] when the sides differ in length, are empty, or an image has no reference.
pub fn rouge_l_of_corpus<W, S, R>(hyps: &[S], refs: &[R]) -> Result<f64, MetricError>
where
    W: PartialEq,
    S: AsRef<[W]>,
    R: AsRef<[S]>,
{
    check_corpus(hyps.len(), refs)?;
    let scores = hyps.iter().zip(refs).map(|(hyp, references)| rouge_l(hyp.as_ref(), references.as_ref()));
    Ok(scores.sum::<f64>() / hyps.len() as f64)
}

/// Length of the longest common subsequence; `row` is scratch space.
fn common_subsequence<W: PartialEq>(left: &[W], right: &[W], row: &mut Vec<u32>) -> u32 {
    // row[j]: the length for the words of `left` so far and the first j words of `right`.
    row.clear();
    row.resize(right.len() + 1, 0);
    for word in left {
        let mut diagonal = 0;
        for (j, other) in right.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if word == other { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn the_example_of_lin_s_paper() {
        // "police killed the gunman" against "police kill the gunman" shares three words in order of four on both sides.
        let score = rouge_l(&words("police kill the gunman"), &[words("police killed the gunman")]);
        assert!((score - 0.75).abs() < 1e-12);
        // Order counts: "the gunman kill police" shares "the gunman" only.
        let score = rouge_l(&words("the gunman kill police"), &[words("police killed the gunman")]);
        assert!((score - 0.5).abs() < 1e-12);
    }

    #[test]
    fn precision_and_recall_may_come_from_different_references() {
        // P = 2/2 from the long reference, R = 1/1 from the short one.
        let score = rouge_l(&words("a dog"), &[words("a dog runs fast today"), words("dog")]);
        assert!((score - 1.0).abs() < 1e-12);
    }

    #[test]
    fn empty_captions_are_one_empty_word() {
        let none: Vec<&str> = vec![];
        assert_eq!(rouge_l(&none, &[words("a")]), 0.0);
        assert_eq!(rouge_l(&words("a"), std::slice::from_ref(&none)), 0.0);
        assert_eq!(rouge_l(&none, std::slice::from_ref(&none)), 1.0);
    }

    #[test]
    fn the_corpus_figure_is_the_mean() {
        let refs = vec![vec![words("a b")], vec![words("c d")]];
        assert_eq!(rouge_l_of_corpus(&[words("a b"), words("x y")], &refs), Ok(0.5));
        let refs = vec![vec![words("a b")], vec![]];
        let missing = MetricError::NoReferences { first: 1, count: 1 };
        assert_eq!(rouge_l_of_corpus(&[words("a b"), words("x y")], &refs), Err(missing));
    }
}
