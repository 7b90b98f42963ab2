//! The "BLEU" of the LEMUR dataset, so that its published figures can be compared. It is not the BLEU of the COCO
//! evaluation.
//!
//! Source: `ab/nn/metric/bleu.py` of nn-dataset (github.com/ABrain-One/nn-dataset), which calls NLTK's
//! `sentence_bleu` with uniform weights for n = 1..=4 and `SmoothingFunction().method1`, and takes the mean over
//! images. It runs over token ids from which padding alone was taken, so that start and end marks count as words:
//! every hypothesis that ends gets n-grams right for nothing.
//!
//! For one image, with the clipped matches and n-grams of [`BleuStats`]:
//! `exp(Σ ¼ ln p_n) × brevity penalty`, where `p_n = matches / max(1, n-grams)`, with 0.1 in place of 0 matches
//! (Chen and Cherry 2014, method 1); 0 where no word matches.
//!
//! Upstream leaves it to each model whether its output begins with a start mark. Here both sides get both marks.

use crate::bleu::BleuStats;
use crate::error::{MetricError, check_corpus};

/// NLTK's stand-in for no match.
const EPSILON: f64 = 0.1;

/// A word, or one of the marks that LEMUR leaves in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Token<'a, W> {
    Start,
    Word(&'a W),
    End,
}

/// Smoothed sentence BLEU-4 of one image as LEMUR has it, in 0..=1; start and end marks are put around the words here.
pub fn lemur_bleu<W: Ord, S: AsRef<[W]>>(hyp: &[W], references: &[S]) -> f64 {
    let references: Vec<Vec<Token<W>>> = references.iter().map(|r| marked(r.as_ref())).collect();
    smoothed(&BleuStats::new(&marked(hyp), &references))
}

/// The mean of [`lemur_bleu`] over the images of a corpus.
///
/// # Errors
/// [`MetricError`] when the sides differ in length, are empty, or an image has no reference.
pub fn lemur_bleu_of_corpus<W, S, R>(hyps: &[S], refs: &[R]) -> Result<f64, MetricError>
where
    W: Ord,
    S: AsRef<[W]>,
    R: AsRef<[S]>,
{
    check_corpus(hyps.len(), refs)?;
    let scores = hyps.iter().zip(refs).map(|(hyp, references)| lemur_bleu(hyp.as_ref(), references.as_ref()));
    Ok(scores.sum::<f64>() / hyps.len() as f64)
}

fn marked<W>(words: &[W]) -> Vec<Token<'_, W>> {
    let words = words.iter().map(Token::Word);
    std::iter::once(Token::Start).chain(words).chain([Token::End]).collect()
}

fn smoothed(stats: &BleuStats) -> f64 {
    if stats.matches[0] == 0 {
        return 0.0;
    }
    let precision = |(matches, guesses): (&u64, &u64)| {
        let matches = if *matches == 0 { EPSILON } else { *matches as f64 };
        matches / (*guesses).max(1) as f64
    };
    let logs = stats.matches.iter().zip(&stats.guesses).map(|counts| 0.25 * precision(counts).ln());
    let penalty = if stats.hyp_len > stats.ref_len {
        1.0
    } else {
        (1.0 - stats.ref_len as f64 / stats.hyp_len as f64).exp()
    };
    penalty * logs.sum::<f64>().exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_counted_as_words() {
        // Nothing said and still two of four words, no bigram of one, and a brevity penalty of exp(1 - 4/2).
        let score = lemur_bleu::<&str, Vec<&str>>(&[], &[vec!["a", "dog"]]);
        let expected = (-1.0f64).exp() * (1.0f64 * 0.1 * 0.1 * 0.1).powf(0.25);
        assert!((score - expected).abs() < 1e-12, "{score} {expected}");
        assert!((lemur_bleu(&["a", "dog"], &[["a", "dog"]]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_corpus_figure_is_the_mean() {
        let refs = vec![vec![vec!["a", "dog"]], vec![vec!["a", "dog"]]];
        let hyps = [vec!["a", "dog"], vec!["a"]];
        let mean = (1.0 + lemur_bleu(&["a"], &refs[1])) / 2.0;
        assert_eq!(lemur_bleu_of_corpus(&hyps, &refs), Ok(mean));
        assert_eq!(
            lemur_bleu_of_corpus(&hyps, &refs[..1]),
            Err(MetricError::LengthMismatch { hyps: 2, refs: 1 })
        );
    }
}
