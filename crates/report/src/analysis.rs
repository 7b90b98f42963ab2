//! All figures of a page.

use std::cmp::Ordering;

use capwright_caption_metrics::{
    CollapseReport, Diversity, Figures, MetricError, PairedTest, Scores, score_captions,
};

use crate::gender::Gender;
use crate::{Model, Report, offensive};

/// A report with everything that was computed about it.
pub(crate) struct Analysis<'a> {
    pub report: &'a Report,
    /// Words of each reference of each image.
    pub references: Vec<Vec<Vec<String>>>,
    /// Diversity of the references among themselves, to compare the models with.
    pub reference_diversity: Diversity,
    /// Number of references with a word that may offend.
    pub offensive_references: usize,
    pub models: Vec<Analysed<'a>>,
}

/// A model with its figures.
pub(crate) struct Analysed<'a> {
    pub model: &'a Model,
    /// Words of each caption.
    pub words: Vec<Vec<String>>,
    pub scores: Scores,
    /// Differences to the first model; none for itself.
    pub test: Option<Figures<PairedTest>>,
    pub collapse: CollapseReport,
    pub diversity: Diversity,
    pub gender: Gender,
    /// Places of captions with a word that may offend.
    pub offensive: Vec<usize>,
}

impl<'a> Analysis<'a> {
    pub fn new(report: &'a Report) -> Result<Self, MetricError> {
        let tokenizer = report.options.score.tokenizer;
        let references: Vec<Vec<Vec<String>>> =
            report.images.iter().map(|i| i.references.iter().map(|r| tokenizer.words(r)).collect()).collect();
        let training: Vec<Vec<String>> = report.training.iter().map(|t| tokenizer.words(t)).collect();
        let mut models: Vec<Analysed> = Vec::new();
        for model in &report.models {
            let mut analysed = Analysed::new(model, &references, &training, report)?;
            if let Some(first) = models.first() {
                let (swaps, seed) = (report.options.swaps, report.options.score.seed);
                analysed.test = Some(analysed.scores.compare(&first.scores, swaps, seed)?);
            }
            models.push(analysed);
        }
        let offensive_references =
            references.iter().flatten().filter(|words| offensive::word(words).is_some()).count();
        let reference_diversity = Diversity::new(&flat(&references), &flat(&references), &[]);
        Ok(Analysis { report, reference_diversity, offensive_references, models, references })
    }

    /// Places of the best and of the worst images by CIDEr-D of the first model, at most `most` each and none in both;
    /// the best and the worst come first. Equal ones are in the order of their ids.
    pub fn extremes(&self, most: usize) -> (Vec<usize>, Vec<usize>) {
        let Some(first) = self.models.first() else { return Default::default() };
        let value = |at: usize| first.scores.images[at].cider.cider_d;
        let by_id = |a: usize, b: usize| self.report.images[a].id.cmp(&self.report.images[b].id);
        let mut order: Vec<usize> = (0..self.report.images.len()).collect();
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then_with(|| by_id(a, b)));
        let best: Vec<usize> = order.iter().take(most.min(order.len().div_ceil(2))).copied().collect();
        let mut rest = order.split_off(best.len());
        rest.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then_with(|| by_id(a, b)));
        rest.truncate(most);
        (best, rest)
    }
}

impl<'a> Analysed<'a> {
    fn new(
        model: &'a Model,
        references: &[Vec<Vec<String>>],
        training: &[Vec<String>],
        report: &Report,
    ) -> Result<Self, MetricError> {
        let words: Vec<Vec<String>> =
            model.captions.iter().map(|c| report.options.score.tokenizer.words(c)).collect();
        let flagged = |at: &usize| offensive::word(&words[*at]).is_some();
        let texts: Vec<&[String]> = report.images.iter().map(|image| image.references.as_slice()).collect();
        Ok(Analysed {
            scores: score_captions(&model.captions, &texts, &report.options.score)?,
            test: None,
            collapse: CollapseReport::new(&model.captions),
            diversity: Diversity::new(&slices(&words), &flat(references), &slices(training)),
            gender: Gender::new(&words, references),
            offensive: (0..words.len()).filter(flagged).collect(),
            model,
            words,
        })
    }
}

/// All captions of all images.
fn flat(captions: &[Vec<Vec<String>>]) -> Vec<&[String]> {
    captions.iter().flatten().map(Vec::as_slice).collect()
}

/// The captions as slices, so that they go with [`flat`] ones.
fn slices(captions: &[Vec<String>]) -> Vec<&[String]> {
    captions.iter().map(Vec::as_slice).collect()
}

/// Places of the largest values; several when they are equal to the digits that are shown.
pub(crate) fn best(values: &[f64]) -> Vec<usize> {
    let shown = |v: f64| (v * 1e3).round();
    let Some(most) = values.iter().copied().map(shown).max_by(f64::total_cmp) else { return Vec::new() };
    (0..values.len()).filter(|&i| shown(values[i]).total_cmp(&most) == Ordering::Equal).collect()
}
