//! Scores of a set of captions.

use crate::error::TrainError;
use capwright_caption_metrics::{CollapseReport, ScoreOptions, Tokenizer, score_captions};
use capwright_study::Scores;

/// In words, or in characters where the references have no spaces: corpus BLEU, CIDEr-D (document frequencies of these references) and collapse report of one caption an image against its references.
///
/// # Errors
/// [`TrainError::Spec`] where there is nothing to score.
pub fn score(captions: &[String], references: &[Vec<String>]) -> Result<Scores, TrainError> {
    let tokenizer = Tokenizer::fitting(references.iter().flatten());
    let options = ScoreOptions { tokenizer, resamples: 0, ..ScoreOptions::default() };
    let scores = score_captions(captions, references, &options)
        .map_err(|e| TrainError::Spec(format!("captions cannot be scored: {e}")))?;
    let corpus = scores.corpus;
    let report = CollapseReport::new(captions);
    Ok(Scores {
        bleu: [corpus.bleu1, corpus.bleu2, corpus.bleu3, corpus.bleu4],
        cider_d: corpus.cider_d,
        images: report.images,
        distinct: report.distinct,
        top_share: report.top_share,
        collapsed: report.is_collapsed(),
    })
}
