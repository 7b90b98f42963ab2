//! All metrics of a set of captions in one go.

use std::slice::from_ref;

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::bleu::BleuStats;
use crate::bootstrap::MAX_DRAWS;
use crate::cider::{Cider, CiderScore};
use crate::error::{MetricError, check_corpus};
use crate::figures::{Figures, METRICS};
use crate::lemur::lemur_bleu;
use crate::meteor::{Meteor, MeteorData, MeteorStats};
use crate::resample::{Interval, PairedTest, bootstrap_sums, paired_test};
use crate::rouge::rouge_l;
use crate::tokenize::Tokenizer;
use crate::words::Interner;

/// Numbers of an image whose sums give all metrics of a corpus.
const ROW: usize = 10 + 4 + 9 + 1;

/// How [`score`] goes about it.
#[derive(Debug, Clone)]
pub struct ScoreOptions {
    /// What makes words of captions; only for [`score_captions`], since [`score`] takes words.
    pub tokenizer: Tokenizer,
    /// METEOR's word lists; what is empty runs without its stage, and the figure's name says so.
    pub meteor: MeteorData,
    /// Draws for the bootstrap intervals; 0 for none.
    pub resamples: usize,
    /// Confidence of the intervals, between 0 and 1.
    pub confidence: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for ScoreOptions {
    /// The words of the COCO evaluation, exact and stem METEOR, and intervals at 95 % from 1,000 draws.
    fn default() -> Self {
        Self {
            tokenizer: Tokenizer::Ptb,
            meteor: MeteorData::default(),
            resamples: 1_000,
            confidence: 0.95,
            seed: 0,
        }
    }
}

/// What one image contributes to every metric.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImageStats {
    /// Counts of BLEU.
    pub bleu: BleuStats,
    /// ROUGE-L, 0..=1.
    pub rouge_l: f64,
    /// CIDEr and CIDEr-D, 0..=10.
    pub cider: CiderScore,
    /// Counts of METEOR.
    pub meteor: MeteorStats,
    /// LEMUR's smoothed sentence BLEU-4, 0..=1.
    pub lemur_bleu: f64,
}

/// All metrics of one caption for each image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// The figures of the corpus.
    pub corpus: Figures<f64>,
    /// Their bootstrap intervals over images, with document frequencies as they are; none without draws.
    pub intervals: Option<Figures<Interval>>,
    /// The images, in the order in which they were given.
    #[serde(skip)]
    pub images: Vec<ImageStats>,
}

/// Scores tokenised hypotheses, one for each image, with all metrics. The result depends on the options' seed and not
/// on the number of threads.
///
/// ```
/// use capwright_caption_metrics::{ScoreOptions, score};
/// let hyps = vec![vec!["a", "dog", "runs"], vec!["two", "cats"]];
/// let refs = vec![vec![vec!["a", "dog", "is", "running"]], vec![vec!["two", "cats"], vec!["cats"]]];
/// let scores = score(&hyps, &refs, &ScoreOptions::default()).unwrap();
/// assert!(scores.corpus.cider_d > 0.0 && scores.images[1].rouge_l == 1.0);
/// let interval = scores.intervals.unwrap().rouge_l;
/// assert!(interval.low <= scores.corpus.rouge_l && scores.corpus.rouge_l <= interval.high);
/// ```
///
/// A word with a space inside, as CoreNLP writes `1 1/2` with U+00A0, is one word for ROUGE-L. For all else its parts are words, as for
/// BLEU and CIDEr upstream.
///
/// # Errors
/// [`MetricError`] when the sides differ in length, are empty, or an image has no reference; for more than
/// [`MAX_DRAWS`] draws.
pub fn score<W, S, R>(hyps: &[S], refs: &[R], options: &ScoreOptions) -> Result<Scores, MetricError>
where
    W: AsRef<str>,
    S: AsRef<[W]>,
    R: AsRef<[S]>,
{
    check_corpus(hyps.len(), refs)?;
    if options.resamples > MAX_DRAWS {
        return Err(MetricError::TooManyDraws { draws: options.resamples });
    }
    let mut words = Interner::default();
    let mut hyps: Vec<Vec<u32>> = hyps.iter().map(|h| words.ids(h.as_ref())).collect();
    let mut refs: Vec<Vec<Vec<u32>>> =
        refs.iter().map(|r| r.as_ref().iter().map(|s| words.ids(s.as_ref())).collect()).collect();
    let rouge: Vec<f64> = hyps.par_iter().zip(&refs).map(|(hyp, refs)| rouge_l(hyp, refs)).collect();
    part(hyps.iter_mut().chain(refs.iter_mut().flatten()), &words.parts());
    let meteor = Meteor::new(&options.meteor, &words);
    // Document frequencies need one pass over everything; the other metrics go image by image meanwhile.
    let (cider, images) = rayon::join(
        || Cider::new(&refs),
        || {
            let images = hyps.par_iter().zip(&refs).zip(rouge);
            images.map(|((hyp, refs), rouge)| local_stats(hyp, refs, rouge, &meteor)).collect::<Vec<_>>()
        },
    );
    let (cider, mut images) = (cider?, images);
    images
        .par_iter_mut()
        .zip(&hyps)
        .enumerate()
        .for_each(|(i, (image, hyp))| image.cider = cider.score(i, hyp));
    Ok(Scores::new(images, meteor.name(), options))
}

/// [`score`] of plain sentences: both sides go through the [`Tokenizer`] of the options first.
///
/// # Errors
/// As [`score`].
pub fn score_captions<S, R>(hyps: &[S], refs: &[R], options: &ScoreOptions) -> Result<Scores, MetricError>
where
    S: AsRef<str> + Sync,
    R: AsRef<[S]> + Sync,
{
    let tokens = |s: &S| options.tokenizer.tokens(s.as_ref());
    let hyps: Vec<Vec<String>> = hyps.par_iter().map(tokens).collect();
    let refs: Vec<Vec<Vec<String>>> =
        refs.par_iter().map(|r| r.as_ref().iter().map(tokens).collect()).collect();
    score(&hyps, &refs, options)
}

/// Puts the parts of words in their place.
fn part<'a>(sentences: impl Iterator<Item = &'a mut Vec<u32>>, parts: &FxHashMap<u32, Vec<u32>>) {
    if parts.is_empty() {
        return;
    }
    for sentence in sentences {
        let parted = sentence.iter().flat_map(|word| parts.get(word).map_or(from_ref(word), Vec::as_slice));
        *sentence = parted.copied().collect();
    }
}

/// Everything but CIDEr.
fn local_stats(hyp: &[u32], refs: &[Vec<u32>], rouge_l: f64, meteor: &Meteor) -> ImageStats {
    ImageStats {
        bleu: BleuStats::new(hyp, refs),
        rouge_l,
        cider: CiderScore::default(),
        meteor: meteor.stats(hyp, refs),
        lemur_bleu: lemur_bleu(hyp, refs),
    }
}

impl ImageStats {
    /// The metrics of this image alone. Its BLEU is the corpus formula on one image: next to 0 where an n-gram length
    /// has no match.
    pub fn figures(&self, meteor_name: &'static str) -> Figures<f64> {
        Figures::new(figures(&self.row()), meteor_name)
    }

    fn row(&self) -> [f64; ROW] {
        let mut row = [0.0; ROW];
        let BleuStats { matches, guesses, hyp_len, ref_len } = self.bleu;
        (0..4).for_each(|n| (row[n], row[4 + n]) = (matches[n] as f64, guesses[n] as f64));
        (row[8], row[9]) = (hyp_len as f64, ref_len as f64);
        row[10..14].copy_from_slice(&[self.rouge_l, self.cider.cider, self.cider.cider_d, self.lemur_bleu]);
        row[14..23].copy_from_slice(&self.meteor.numbers());
        row[23] = 1.0;
        row
    }
}

/// The metrics of a sum of rows.
fn figures(sum: &[f64; ROW]) -> [f64; METRICS] {
    // Counts are whole numbers far below 2^53, so their sums in floating point are exact.
    let whole = |at: usize| sum[at] as u64;
    let bleu = BleuStats {
        matches: std::array::from_fn(whole),
        guesses: std::array::from_fn(|n| whole(4 + n)),
        hyp_len: whole(8),
        ref_len: whole(9),
    };
    let [bleu1, bleu2, bleu3, bleu4] = bleu.scores();
    let mean = |at: usize| sum[at] / sum[23];
    let meteor = MeteorStats::from_numbers(std::array::from_fn(|k| sum[14 + k])).score();
    [bleu1, bleu2, bleu3, bleu4, mean(10), mean(11), mean(12), meteor, mean(13)]
}

impl Scores {
    fn new(images: Vec<ImageStats>, meteor_name: &'static str, options: &ScoreOptions) -> Self {
        let rows: Vec<[f64; ROW]> = images.iter().map(ImageStats::row).collect();
        let mut sum = [0.0; ROW];
        for row in &rows {
            (0..ROW).for_each(|k| sum[k] += row[k]);
        }
        let intervals = bootstrap_sums(&rows, options.resamples, options.confidence, options.seed, figures);
        Scores {
            corpus: Figures::new(figures(&sum), meteor_name),
            intervals: intervals.map(|values| Figures::new(values, meteor_name)),
            images,
        }
    }

    /// Paired permutation test between this model and another on the same images, for every metric; see
    /// [`paired_test`](crate::paired_test). Differences are this model's figures minus the other's.
    ///
    /// # Errors
    /// [`MetricError::Unpaired`] when the models were scored on different numbers of images.
    pub fn compare(
        &self,
        other: &Scores,
        swaps: usize,
        seed: u64,
    ) -> Result<Figures<PairedTest>, MetricError> {
        let rows = |scores: &Scores| scores.images.iter().map(ImageStats::row).collect::<Vec<_>>();
        let tests = paired_test(&rows(self), &rows(other), swaps, seed, figures)?;
        Ok(Figures::new(tests, self.corpus.meteor_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    fn sample() -> (Vec<Vec<&'static str>>, Vec<Vec<Vec<&'static str>>>) {
        let hyps = vec![words("a dog runs on the grass"), words(""), words("two cats"), words("a a red bus")];
        let refs = vec![
            vec![words("a dog is running on grass"), words("the dog runs on the grass")],
            vec![words("a man")],
            vec![words("two cats sleep"), words("a cat and a cat")],
            vec![words("a red bus stops"), words("the bus is red"), words("bus")],
        ];
        (hyps, refs)
    }

    #[test]
    fn figures_are_those_of_the_single_metrics() {
        let (hyps, refs) = sample();
        let scores = score(&hyps, &refs, &ScoreOptions::default()).unwrap();
        let bleu = crate::bleu(&hyps, &refs).unwrap().scores;
        let corpus = scores.corpus;
        assert_eq!([corpus.bleu1, corpus.bleu2, corpus.bleu3, corpus.bleu4], bleu);
        assert_eq!(corpus.rouge_l, crate::rouge_l_of_corpus(&hyps, &refs).unwrap());
        assert_eq!(corpus.lemur_bleu, crate::lemur_bleu_of_corpus(&hyps, &refs).unwrap());
        let mut total = MeteorStats::default();
        scores.images.iter().for_each(|image| total += image.meteor);
        assert!((corpus.meteor - total.score()).abs() < 1e-15);
        let third = scores.images[2].figures(corpus.meteor_name);
        assert!((third.bleu2 - (-0.5f64).exp()).abs() < 1e-8 && third.bleu3 < 0.01);
    }

    /// Upstream's tokenizer writes `1 1/2` with U+00A0, at which its BLEU and CIDEr part words and its ROUGE-L does not.
    #[test]
    fn words_with_spaces_inside_are_whole_for_rouge_alone() {
        let options = ScoreOptions { resamples: 0, ..ScoreOptions::default() };
        let scored = |hyp: &str, reference: &str| {
            score_captions(&[hyp], &[vec![reference]], &options).unwrap().images[0]
        };
        let image = scored("1 1/2 dogs run", "1 dogs run");
        assert!((image.rouge_l - 2.0 / 3.0).abs() < 1e-12, "{image:?}");
        assert_eq!((image.bleu.matches[0], image.bleu.guesses[0]), (3, 4));
        let image = scored("1 1/2 dogs", "1\u{a0}1/2 dogs");
        assert_eq!((image.rouge_l, image.bleu.matches[2]), (1.0, 1));
    }

    #[test]
    fn more_draws_than_fit_are_refused() {
        let (hyps, refs) = sample();
        let options = ScoreOptions { resamples: usize::MAX, ..ScoreOptions::default() };
        assert_eq!(score(&hyps, &refs, &options), Err(MetricError::TooManyDraws { draws: usize::MAX }));
    }

    #[test]
    fn keys_are_the_metrics_names() {
        let (hyps, refs) = sample();
        let options = ScoreOptions { resamples: 10, ..ScoreOptions::default() };
        let json = serde_json::to_value(score(&hyps, &refs, &options).unwrap()).unwrap();
        let keys: Vec<&String> = json["corpus"].as_object().unwrap().keys().collect();
        let names = "bleu1 bleu2 bleu3 bleu4 rouge_l cider cider_d meteor_exact_stem lemur_bleu";
        assert_eq!(keys, words(names));
        assert!(json["intervals"]["bleu4"]["high"].is_number());
    }

    #[test]
    fn threads_do_not_matter_and_seeds_do() {
        let (hyps, refs) = sample();
        let run = |seed| score(&hyps, &refs, &ScoreOptions { seed, ..ScoreOptions::default() }).unwrap();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| run(1));
        assert_eq!(run(1), one);
        assert_ne!(run(2).intervals, one.intervals);
        assert_eq!(run(2).corpus, one.corpus);
    }

    #[test]
    fn models_are_compared_image_by_image() {
        let (hyps, refs) = sample();
        let options = ScoreOptions { resamples: 0, ..ScoreOptions::default() };
        let perfect: Vec<Vec<&str>> = refs.iter().map(|r| r[0].clone()).collect();
        let (worse, better) =
            (score(&hyps, &refs, &options).unwrap(), score(&perfect, &refs, &options).unwrap());
        assert!(worse.intervals.is_none());
        let test = better.compare(&worse, 100, 1).unwrap();
        assert!(test.bleu4.exact && test.bleu4.difference > 0.0 && test.rouge_l.p_value <= 0.25);
        assert_eq!(better.compare(&better, 100, 1).unwrap().cider_d.p_value, 1.0);
    }
}
