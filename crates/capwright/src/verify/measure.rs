//! The measurements behind a certificate.

use crate::failure::Failure;
use crate::say;
use capwright_blueprint::Checked;
use capwright_caption_data::ImageRecord;
use capwright_caption_metrics::{
    Figures, Interval, ScoreOptions, Scores, Tokenizer, bootstrap, percentile, score_captions,
};
use capwright_contract::{Clause, Contract, Decoding, Measured, spent};
use capwright_pipeline::ModelCard;
use capwright_train::{Captioner, Evaluation, Meter, peak_memory};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// Batches that are timed, at least and at most, and for how long.
const MIN_RUNS: usize = 30;
const MAX_RUNS: usize = 300;
const TIMING: f64 = 20.0;
/// Batches before the first that is timed.
const WARM_UP: usize = 3;
/// Draws of the bootstrap.
const RESAMPLES: usize = 1_000;
/// Confidence of intervals where the contract says none.
const CONFIDENCE: f64 = 0.95;
/// Power of a busy core where nothing measures it, in watts: a laptop core under vector load draws 5 to 15.
const WATTS_PER_CORE: f64 = 10.0;

/// A value, or why there is none.
type Found = Result<Measured, String>;

/// Measures a model, each thing once.
pub struct Measures<'a> {
    folder: &'a Path,
    model: &'a Captioner,
    contract: &'a Contract,
    decoding: Decoding,
    records: &'a [ImageRecord],
    evaluation: OnceCell<Result<Evaluation, String>>,
    scores: OnceCell<Result<Scores, String>>,
    timing: OnceCell<Result<Timing, String>>,
}

/// Times of batches.
struct Timing {
    milliseconds: Vec<f64>,
    joules_per_caption: f64,
    energy_how: String,
}

/// The model's own but for what a contract's file says, with no more words than the model is for. Groups of a beam that the file
/// makes narrower are dropped where they do not divide it.
pub fn decoding(said: &toml::Table, own: Decoding) -> Result<Decoding, String> {
    let mut fields = toml::Table::try_from(own).map_err(|error| error.to_string())?;
    fields.extend(said.clone());
    let asked: Decoding = fields.try_into().map_err(|error| error.to_string())?;
    let max_words = asked.max_words.min(own.max_words);
    let asked = Decoding { max_words, min_words: asked.min_words.min(max_words), ..asked };
    let diverse = asked.diverse.filter(|_| said.contains_key("diverse") || asked.faults().is_empty());
    let decoding = Decoding { diverse, ..asked };
    match decoding.faults().first() {
        None => Ok(decoding),
        Some((field, reason)) => {
            Err(format!("decoding.{field} {reason}; what the file leaves out is the model's: {own}"))
        }
    }
}

fn plain(value: f64, how: &str) -> Found {
    Ok(Measured { value, interval: None, how: how.to_owned() })
}

/// Values that need no run: static costs, and what the study wrote down. `price` is that of a million tokens by the contract.
pub fn fixed(
    clause: Clause,
    checked: &Checked,
    card: Option<&ModelCard>,
    price: Option<f64>,
) -> Option<Found> {
    let of_card = |value: Option<f64>, how: &str| {
        value.map_or_else(|| Err("the model's card does not say".to_owned()), |value| plain(value, how))
    };
    if let Some(value) = spent(&checked.cost(), clause) {
        return Some(plain(value as f64, "exact, from the design; equal to the built network's"));
    }
    Some(match clause {
        Clause::MaxVocab => plain(checked.design().target.vocab as f64, "the model's vocabulary"),
        Clause::TrainingSeconds => of_card(card.and_then(|c| c.training_seconds), "wall time of the trial"),
        Clause::TrainingMemoryBytes => {
            let bytes = card.and_then(|c| c.training_memory_bytes).map(|b| b as f64);
            of_card(bytes, "peak resident memory of the trial's process")
        }
        Clause::TokenBudget => {
            of_card(card.and_then(|c| c.llm_tokens).map(|t| t as f64), "tokens read and written in the study")
        }
        Clause::MoneyUsd => money(card.and_then(|c| c.llm_tokens), card.and_then(|c| c.llm_usd), price),
        _ => return None,
    })
}

/// What the language model of a study cost, from the tokens and the cost on the model's card.
fn money(tokens: Option<u64>, usd: Option<f64>, price: Option<f64>) -> Found {
    match (tokens, usd, price) {
        (Some(0), ..) => plain(0.0, "the study used no tokens of a language model"),
        (_, Some(usd), _) if usd == 0.0 => plain(usd, "tokens that cost nothing, by the model's card"),
        (Some(tokens), _, Some(price)) => {
            plain(tokens as f64 * price / 1e6, "tokens of the study at the contract's price")
        }
        (_, Some(usd), _) => plain(usd, "as the model's card says"),
        (Some(_), None, None) => Err("neither contract nor card says what tokens cost".to_owned()),
        (None, None, _) => Err("the model's card does not say".to_owned()),
    }
}

impl<'a> Measures<'a> {
    pub fn new(
        folder: &'a Path,
        model: &'a Captioner,
        contract: &'a Contract,
        decoding: Decoding,
        records: &'a [ImageRecord],
    ) -> Self {
        let (evaluation, scores, timing) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { folder, model, contract, decoding, records, evaluation, scores, timing }
    }

    /// The measured value of a clause.
    pub fn of(&mut self, clause: Clause) -> Found {
        match clause {
            Clause::Bleu1 => self.score("BLEU", |f| f.bleu1, |f| f.bleu1),
            Clause::Bleu2 => self.score("BLEU", |f| f.bleu2, |f| f.bleu2),
            Clause::Bleu3 => self.score("BLEU", |f| f.bleu3, |f| f.bleu3),
            Clause::Bleu4 => self.score("BLEU", |f| f.bleu4, |f| f.bleu4),
            Clause::CiderD => self.score("CIDEr-D", |f| f.cider_d, |f| f.cider_d),
            Clause::DistinctCaptions | Clause::IdenticalShare => self.variety(clause),
            Clause::LatencyP50 => self.latency(0.5),
            Clause::LatencyP95 => self.latency(0.95),
            Clause::EnergyJoules => self.energy(),
            Clause::MemoryBytes => self.memory(),
            _ => Err("nothing here measures it".to_owned()),
        }
    }

    fn evaluation(&self) -> Result<&Evaluation, String> {
        let run = || {
            tell!("captioning {} images", self.records.len());
            self.model.evaluate(self.records, self.decoding).map_err(|error| error.to_string())
        };
        self.evaluation.get_or_init(run).as_ref().map_err(Clone::clone)
    }

    fn confidence(&self) -> f64 {
        let asked = self.contract.measuring.confidence;
        if asked > 0.0 { asked } else { CONFIDENCE }
    }

    fn scores(&self) -> Result<&Scores, String> {
        let run = || {
            let evaluation = self.evaluation()?;
            let references: Vec<Vec<String>> = self.records.iter().map(|r| r.captions.clone()).collect();
            let confidence = self.confidence();
            let tokenizer = Tokenizer::fitting(references.iter().flatten());
            let options =
                ScoreOptions { tokenizer, resamples: RESAMPLES, confidence, ..ScoreOptions::default() };
            score_captions(&evaluation.captions, &references, &options).map_err(|error| error.to_string())
        };
        self.scores.get_or_init(run).as_ref().map_err(Clone::clone)
    }

    fn score(
        &self,
        name: &str,
        of: impl Fn(&Figures<f64>) -> f64,
        bounds: impl Fn(&Figures<Interval>) -> Interval,
    ) -> Found {
        let scores = self.scores()?;
        let how = format!(
            "corpus {name} over {} images; interval at {} from {RESAMPLES} resamples of images",
            self.records.len(),
            self.confidence()
        );
        let interval = scores.intervals.as_ref().map(bounds).map(|found| [found.low, found.high]);
        Ok(Measured { value: of(&scores.corpus), interval, how })
    }

    fn variety(&self, clause: Clause) -> Found {
        let scores = &self.evaluation()?.scores;
        let value =
            if clause == Clause::DistinctCaptions { scores.distinct as f64 } else { scores.top_share };
        Ok(Measured { value, interval: None, how: format!("over {} images", scores.images) })
    }

    fn timing(&self) -> Result<&Timing, String> {
        self.timing.get_or_init(|| self.time()).as_ref().map_err(Clone::clone)
    }

    fn time(&self) -> Result<Timing, String> {
        let batch = (self.contract.measuring.batch as usize).max(1);
        let paths: Vec<&PathBuf> = self.records.iter().map(|r| &r.path).collect();
        let nth = |run: usize| -> Vec<&PathBuf> {
            (0..batch).map(|i| paths[(run * batch + i) % paths.len()]).collect()
        };
        let caption = |run| self.model.caption_with(&nth(run), self.decoding).map_err(|e| e.to_string());
        for run in 0..WARM_UP {
            caption(run)?;
        }
        let meter = Meter::start();
        let mut milliseconds = Vec::new();
        while milliseconds.len() < MIN_RUNS || (meter.seconds() < TIMING && milliseconds.len() < MAX_RUNS) {
            let before = Instant::now();
            caption(WARM_UP + milliseconds.len())?;
            milliseconds.push(before.elapsed().as_secs_f64() * 1e3);
        }
        let captions = (milliseconds.len() * batch) as f64;
        let (total, energy_how) = match meter.joules() {
            Some(joules) => {
                (joules, "RAPL counters of the processor, by this program's share of its time".to_owned())
            }
            None => {
                let used = meter.cpu_seconds().unwrap_or_else(|| meter.seconds());
                let how = format!(
                    "ESTIMATED: {used:.2} processor seconds for {captions} captions at {WATTS_PER_CORE} W a core; no \
                     energy counter can be read here"
                );
                (used * WATTS_PER_CORE, how)
            }
        };
        Ok(Timing { milliseconds, joules_per_caption: total / captions, energy_how })
    }

    fn latency(&self, share: f64) -> Found {
        let times = &self.timing()?.milliseconds;
        let at = |drawn: &[usize]| {
            let mut some: Vec<f64> = drawn.iter().map(|i| times[*i]).collect();
            some.sort_by(f64::total_cmp);
            percentile(&some, share)
        };
        let all: Vec<usize> = (0..times.len()).collect();
        let interval = bootstrap(times.len(), RESAMPLES, self.confidence(), 1, at);
        let how = format!(
            "{} runs from image files to captions, batch {}, {}",
            times.len(),
            self.contract.measuring.batch,
            self.decoding
        );
        Ok(Measured { value: at(&all), interval: interval.map(|(low, high)| [low, high]), how })
    }

    fn energy(&self) -> Found {
        let timing = self.timing()?;
        Ok(Measured { value: timing.joules_per_caption, interval: None, how: timing.energy_how.clone() })
    }

    /// A process of its own captions one photo: this one holds a data set too.
    fn memory(&self) -> Found {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let decoding = serde_json::to_string(&self.decoding).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("footprint").arg(self.folder).arg(&self.records[0].path).arg(decoding);
        let bytes = printed(&command.output().map_err(|error| error.to_string())?)?;
        plain(bytes, &format!("peak resident memory of a process that captions one photo, {}", self.decoding))
    }
}

/// The number of bytes that a process has printed; of one that failed, what it said.
fn printed(run: &Output) -> Result<f64, String> {
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let words: Vec<&str> = said.split_whitespace().collect();
        return Err(format!("the process that captions one photo failed: {}", words.join(" ")));
    }
    let text = String::from_utf8_lossy(&run.stdout);
    text.trim().parse().map_err(|_| "peak memory cannot be read on this system".to_owned())
}

/// `capwright footprint`: captions one photo and prints the peak memory of the process in bytes.
pub fn footprint(model: &Path, photo: &Path, decoding: &str) -> Result<(), Failure> {
    let decoding: Decoding = serde_json::from_str(decoding).map_err(Failure::input)?;
    let model = Captioner::load(model).map_err(Failure::input)?;
    model.caption_with(&[photo], decoding).map_err(Failure::input)?;
    let bytes = peak_memory().ok_or_else(|| Failure::input("peak memory cannot be read on this system"))?;
    say(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_contract::{Diverse, LengthPenalty, Sampling};

    #[test]
    fn money_is_told_where_anybody_knows_it() {
        let cost = |tokens, usd, price| money(tokens, usd, price).map(|found| found.value).ok();
        assert_eq!(cost(Some(0), None, None), Some(0.0));
        assert_eq!(cost(Some(500), Some(0.0), Some(2.0)), Some(0.0), "a model in the process of the study");
        assert_eq!(cost(Some(500_000), None, Some(2.0)), Some(1.0));
        assert_eq!(cost(Some(500_000), Some(3.0), Some(2.0)), Some(1.0), "at this contract's price");
        assert_eq!(cost(Some(500_000), Some(3.0), None), Some(3.0));
        assert_eq!(cost(Some(500_000), None, None), None);
        assert_eq!(cost(None, None, Some(2.0)), None);
    }

    #[test]
    fn what_a_contract_leaves_out_is_decoded_as_the_model_was_chosen_with() {
        let own = Decoding { min_words: 4, ..Decoding::of(2, 9) };
        let with = |said: &str, own| decoding(&said.parse().expect("TOML"), own);
        assert_eq!(with("", own), Ok(own));
        assert_eq!(with("beam = 5\nmax_words = 20", own), Ok(Decoding { beam: 5, ..own }));
        assert_eq!(with("max_words = 5", own), Ok(Decoding { max_words: 5, ..own }));
        assert_eq!(with("max_words = 3", own), Ok(Decoding { max_words: 3, min_words: 3, ..own }));
        let gnmt = Decoding { length_penalty: LengthPenalty::Gnmt(0.6), no_repeat_ngram: Some(2), ..own };
        assert_eq!(with("beam = 1", gnmt), Ok(Decoding { beam: 1, ..gnmt }));
        assert_eq!(
            with("length_penalty = \"none\"", gnmt).map(|d| d.length_penalty),
            Ok(LengthPenalty::None)
        );
        let groups = Decoding { diverse: Some(Diverse { groups: 2, strength: 0.5 }), ..own };
        assert_eq!(with("beam = 4", groups), Ok(Decoding { beam: 4, ..groups }));
        assert_eq!(with("beam = 3", groups), Ok(Decoding { beam: 3, ..own }));
        let drawn = Decoding { sample: Some(Sampling::default()), ..own };
        assert!(
            with("diverse = { groups = 2, strength = 0.5 }", drawn).is_err_and(|e| e.contains("sampling"))
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_failed_is_heard() {
        use std::os::unix::process::ExitStatusExt;
        let ended = |code: i32, stdout: &str| Output {
            status: std::process::ExitStatus::from_raw(code << 8),
            stdout: stdout.into(),
            stderr: b"no\n  room\n".to_vec(),
        };
        assert_eq!(printed(&ended(0, "4096\n")), Ok(4096.0));
        assert!(printed(&ended(2, "4096\n")).is_err_and(|why| why.ends_with("failed: no room")));
    }
}
