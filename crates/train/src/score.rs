//! Scores of a set of captions.

use crate::error::TrainError;
use capwright_caption_metrics::{
    CollapseReport, ImageStats, ScoreOptions, Tokenizer, bleu4_by_image, score_captions,
};
use capwright_contract::Score;
use capwright_study::Scores;

/// In words, or in characters where the references have no spaces: corpus BLEU, CIDEr-D (document frequencies of these references) and collapse report of one caption an image against its references.
///
/// # Errors
/// [`TrainError::Spec`] where there is nothing to score.
pub fn score(captions: &[String], references: &[Vec<String>]) -> Result<Scores, TrainError> {
    Ok(measured(captions, references)?.0)
}

/// [`score`], and what each image adds to the chosen score: values whose mean is the score and whose spread is its sampling noise.
///
/// # Errors
/// As [`score`].
pub fn score_by_image(
    captions: &[String],
    references: &[Vec<String>],
    select: Score,
) -> Result<(Scores, Vec<f32>), TrainError> {
    let (scores, images) = measured(captions, references)?;
    let by_image = match select {
        Score::CiderD => images.iter().map(|image| image.cider.cider_d as f32).collect(),
        Score::Bleu4 => bleu4_by_image(&images.iter().map(|image| image.bleu).collect::<Vec<_>>())
            .into_iter()
            .map(|value| value as f32)
            .collect(),
    };
    Ok((scores, by_image))
}

fn measured(
    captions: &[String],
    references: &[Vec<String>],
) -> Result<(Scores, Vec<ImageStats>), TrainError> {
    let tokenizer = Tokenizer::fitting(references.iter().flatten());
    let options = ScoreOptions { tokenizer, resamples: 0, ..ScoreOptions::default() };
    let scores = score_captions(captions, references, &options)
        .map_err(|e| TrainError::Spec(format!("captions cannot be scored: {e}")))?;
    let corpus = scores.corpus;
    let report = CollapseReport::new(captions);
    let measured = Scores {
        bleu: [corpus.bleu1, corpus.bleu2, corpus.bleu3, corpus.bleu4],
        cider_d: corpus.cider_d,
        images: report.images,
        distinct: report.distinct,
        top_share: report.top_share,
        collapsed: report.is_collapsed(),
    };
    Ok((measured, scores.images))
}
