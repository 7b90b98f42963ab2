//! Scores of a set of captions.

use crate::error::TrainError;
use capwright_caption_metrics::{CollapseReport, bleu_of_captions};
use capwright_study::Scores;

/// Corpus BLEU and collapse report of one caption an image against its references.
///
/// # Errors
/// [`TrainError::Spec`] where there is nothing to score.
pub fn score(captions: &[String], references: &[Vec<String>]) -> Result<Scores, TrainError> {
    let bleu = bleu_of_captions(captions, references)
        .map_err(|e| TrainError::Spec(format!("captions cannot be scored: {e}")))?;
    let report = CollapseReport::new(captions);
    Ok(Scores {
        bleu: bleu.scores,
        images: report.images,
        distinct: report.distinct,
        top_share: report.top_share,
        collapsed: report.is_collapsed(),
    })
}
