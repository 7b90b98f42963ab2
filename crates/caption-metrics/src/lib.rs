//! Caption metrics over words: what a generated caption is worth against human references.
//!
//! Everything at once: [`score`] takes one tokenised hypothesis and any number of references for each image
//! ([`score_captions`] plain sentences) and gives [`Scores`]: the figures of the corpus, bootstrap intervals, and
//! what each image contributed, from which [`Scores::compare`] tests two models against each other.
//!
//! | metric | alone | equal to |
//! | --- | --- | --- |
//! | corpus BLEU-1..4 | [`bleu`] | pycocoevalcap 1.2 |
//! | ROUGE-L | [`rouge_l`] | pycocoevalcap 1.2 |
//! | CIDEr-D, original CIDEr | [`Cider`] | pycocoevalcap 1.2 (which says CIDEr for CIDEr-D); the paper |
//! | METEOR | [`Meteor`] | METEOR 1.5 with the same stages and word lists; as shipped, exact and stem only |
//! | LEMUR's "BLEU" | [`lemur_bleu`](lemur_bleu()) | nn-dataset, for comparison with its figures |
//!
//! In [`score`] and [`score_captions`] a token with a space inside (`1 1/2`) is one word for ROUGE-L and two for BLEU and CIDEr, as
//! pycocoevalcap has it.
//!
//! Beside them: [`tokenize`], words as the COCO evaluation sees them, equal to its PTB tokenizer; [`Tokenizer`], the choice between
//! these and the characters of Chinese; [`CollapseReport`], does a model say (nearly)
//! the same for every image; [`Diversity`], distinct n-grams, vocabulary, novelty, lengths, repetition;
//! [`bootstrap`], [`bootstrap_sums`] and [`paired_test`] for other statistics. [`Cider`] over token ids is quick
//! enough to be a reward in training.
//!
//! Pure: no files, no tensors, no clock; random draws follow a given seed, and no result depends on the number of
//! threads. Nothing here knows about models: start and end marks must be gone before a caption comes here.

mod bleu;
mod bootstrap;
mod cider;
mod collapse;
mod diversity;
mod error;
mod figures;
mod frequencies;
mod lemur;
mod meteor;
mod resample;
mod rouge;
mod scores;
mod tokenize;
mod words;

pub use bleu::{Bleu, BleuStats, bleu, bleu_of_captions, bleu4_by_image};
pub use bootstrap::{MAX_DRAWS, bootstrap, percentile};
pub use cider::{Cider, CiderScore};
pub use collapse::CollapseReport;
pub use diversity::Diversity;
pub use error::MetricError;
pub use figures::Figures;
pub use frequencies::DocumentFrequencies;
pub use lemur::{lemur_bleu, lemur_bleu_of_corpus};
pub use meteor::{Meteor, MeteorData, MeteorStats};
pub use resample::{Interval, PairedTest, bootstrap_sums, paired_test};
pub use rouge::{rouge_l, rouge_l_of_corpus};
pub use scores::{ImageStats, ScoreOptions, Scores, score, score_captions};
pub use tokenize::{Tokenizer, segment, stands_alone, tokenize, tokenize_each};
pub use words::Interner;
