//! Caption metrics.

mod bleu;
mod bootstrap;
mod cider;
mod collapse;
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

pub use bleu::{Bleu, BleuStats, bleu, bleu_of_captions};
pub use bootstrap::{bootstrap, percentile};
pub use cider::{Cider, CiderScore};
pub use collapse::CollapseReport;
pub use error::MetricError;
pub use figures::Figures;
pub use frequencies::DocumentFrequencies;
pub use lemur::{lemur_bleu, lemur_bleu_of_corpus};
pub use meteor::{Meteor, MeteorData, MeteorStats};
pub use resample::{Interval, PairedTest, bootstrap_sums, paired_test};
pub use rouge::{rouge_l, rouge_l_of_corpus};
pub use scores::{ImageStats, ScoreOptions, Scores, score, score_captions};
pub use tokenize::tokenize;
pub use words::Interner;
