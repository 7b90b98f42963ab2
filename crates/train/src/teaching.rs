//! What a decoder reads while it is taught: the reference's words, some of them replaced.
//!
//! - Scheduled sampling (Bengio et al. 2015, arXiv 1506.03099) in the two passes of Mihaylova and Martins (2019, arXiv
//!   1906.07651): a first pass without gradients reads the reference and gives the likeliest word at each step; in the
//!   pass that trains, each input word is replaced by the one said for its place with a chance that rises in a line
//!   from 0 at the first step of training to its full value at the last. Targets stay. Where the model says END or
//!   another word that is never read in decoding, the reference's word stays.
//! - Word dropout (Bowman et al. 2016, arXiv 1511.06349): each input word becomes UNKNOWN with a fixed chance. BEGIN
//!   never does.

use crate::decoder::CaptionBatch;
use crate::math::Dropout;
use capwright_blueprint::language::Recipe;
use capwright_caption_data::Vocabulary;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How the batches of an epoch are taught.
pub struct Teaching {
    /// Label smoothing.
    pub smoothing: f32,
    /// Dropout masks.
    pub dropout: Dropout,
    /// Whether the trained encoder stays as it is, its running statistics included.
    pub encoder_frozen: bool,
    /// Chance that an input word becomes UNKNOWN.
    pub word_dropout: f64,
    /// Chance that an input word is the model's own, at this step.
    pub sampling: f64,
    rng: ChaCha8Rng,
}

/// Streams of random numbers of one epoch, apart from those of order and dropout.
fn stream(seed: u64, epoch: u32, purpose: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((u64::from(epoch) << 32) + purpose);
    rng
}

impl Teaching {
    /// Plain teacher forcing.
    pub fn plain(smoothing: f32, dropout: Dropout) -> Self {
        let rng = stream(0, 0, 1);
        Self { smoothing, dropout, encoder_frozen: false, word_dropout: 0.0, sampling: 0.0, rng }
    }

    /// As a recipe has it in an epoch (from 1).
    pub fn of_epoch(recipe: &Recipe, seed: u64, epoch: u32) -> Self {
        Self {
            encoder_frozen: epoch <= recipe.freeze_encoder.0,
            word_dropout: f64::from(recipe.word_dropout_pct.0) / 100.0,
            rng: stream(seed, epoch, 1),
            ..Self::plain(recipe.label_smoothing.0 as f32, Dropout::seeded(seed, epoch))
        }
    }

    /// Sets the share of the model's own words for step `step` (from 0) of `total`.
    pub fn at_step(&mut self, recipe: &Recipe, step: u64, total: u64) {
        let done = step as f64 / total.saturating_sub(1).max(1) as f64;
        self.sampling = f64::from(recipe.scheduled_sampling_pct.0) / 100.0 * done.min(1.0);
    }

    /// `batch` with some of its input words replaced; `predict` gives what the model says at each step of each row.
    /// None where nothing is replaced; then no random number is drawn.
    pub fn replaced(
        &mut self,
        batch: &CaptionBatch,
        predict: impl FnOnce() -> Vec<Vec<u32>>,
    ) -> Option<CaptionBatch> {
        if self.sampling == 0.0 && self.word_dropout == 0.0 {
            return None;
        }
        let mut read: Vec<Vec<u32>> = batch.rows.iter().map(|row| row.words.clone()).collect();
        if self.sampling > 0.0 {
            for (words, said) in read.iter_mut().zip(predict()) {
                for (word, said) in words.iter_mut().zip(said) {
                    if self.rng.random_bool(self.sampling) && said > Vocabulary::UNK {
                        *word = said;
                    }
                }
            }
        }
        if self.word_dropout > 0.0 {
            for word in read.iter_mut().flatten() {
                if self.rng.random_bool(self.word_dropout) {
                    *word = Vocabulary::UNK;
                }
            }
        }
        Some(batch.reading(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recipe;
    use capwright_blueprint::language::{FrozenEpochs, ScheduledSampling, WordDropout};

    fn batch() -> CaptionBatch {
        CaptionBatch::new(&[(0..200).map(|i| vec![4 + i % 5; 10]).collect()])
    }

    fn read(batch: &CaptionBatch) -> Vec<u32> {
        (0..batch.rows.len())
            .flat_map(|r| (0..=10).map(move |t| (r, t)))
            .map(|(r, t)| batch.input(r, t))
            .collect()
    }

    #[test]
    fn nothing_is_replaced_by_default_and_nothing_is_asked() {
        let mut teaching = Teaching::of_epoch(&recipe(), 1, 1);
        teaching.at_step(&recipe(), 9, 10);
        assert!(teaching.replaced(&batch(), || panic!("no first pass")).is_none());
        let mut sampled = recipe();
        sampled.scheduled_sampling_pct = ScheduledSampling(50);
        let mut teaching = Teaching::of_epoch(&sampled, 1, 1);
        teaching.at_step(&sampled, 0, 10);
        assert!(teaching.replaced(&batch(), || panic!("no first pass at a share of 0")).is_none());
    }

    #[test]
    fn word_dropout_blanks_its_share_of_words_and_never_begin() {
        let mut dropped = recipe();
        dropped.word_dropout_pct = WordDropout(30);
        let draw = |seed, epoch| {
            let mut teaching = Teaching::of_epoch(&dropped, seed, epoch);
            read(&teaching.replaced(&batch(), || panic!("no first pass")).unwrap())
        };
        let words = draw(1, 1);
        let unknown = words.iter().filter(|w| **w == Vocabulary::UNK).count();
        assert!((500..700).contains(&unknown), "{unknown} of 2000");
        assert!(words.iter().step_by(11).all(|w| *w == Vocabulary::BOS));
        assert_eq!(words, draw(1, 1));
        assert_ne!(words, draw(1, 2));
        assert_ne!(words, draw(2, 1));
    }

    #[test]
    fn sampling_rises_to_its_share_and_reads_what_was_said_for_the_same_place() {
        let mut sampled = recipe();
        sampled.scheduled_sampling_pct = ScheduledSampling(50);
        let mut teaching = Teaching::of_epoch(&sampled, 1, 1);
        let shares = [0, 5, 10].map(|step| {
            teaching.at_step(&sampled, step, 11);
            teaching.sampling
        });
        assert_eq!(shares, [0.0, 0.25, 0.5]);
        // Said for step t: 20 + t; from step 8 on END, which is not read.
        let said = || vec![(0..11).map(|t| if t < 8 { 20 + t } else { Vocabulary::EOS }).collect(); 200];
        let found = teaching.replaced(&batch(), said).unwrap();
        let mut own = 0;
        for row in 0..200 {
            for t in 1..=10 {
                let (word, gold) = (found.input(row, t), found.target(row, t - 1).word);
                assert!(word == gold || (word == 19 + t as u32 && t <= 8), "{word} at {t}");
                own += usize::from(word != gold);
            }
        }
        assert!((700..900).contains(&own), "{own} of 1600");
    }

    #[test]
    fn the_encoder_is_frozen_for_its_epochs() {
        let mut frozen = recipe();
        frozen.freeze_encoder = FrozenEpochs(2);
        let found = [1, 2, 3].map(|epoch| Teaching::of_epoch(&frozen, 1, epoch).encoder_frozen);
        assert_eq!(found, [true, true, false]);
    }
}
