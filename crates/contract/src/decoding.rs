//! How captions are decoded: the choices of beam search and of sampling.

use crate::MAX_BOUND;
use serde::{Deserialize, Serialize};

/// How captions are decoded: fixed for a study, so that scores compare.
///
/// Padding, BEGIN and UNKNOWN are never said. What is left at its default is not written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Decoding {
    /// Beam width; 1 is greedy.
    pub beam: usize,
    /// Longest caption in words.
    pub max_words: usize,
    /// Shortest caption in words: END cannot be said before.
    #[serde(skip_serializing_if = "is_one")]
    pub min_words: usize,
    /// No n-gram of that many words occurs twice in a caption (Paulus et al. 2017, arXiv 1705.04304, section 2.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram: Option<usize>,
    /// What finished hypotheses are ranked by.
    #[serde(skip_serializing_if = "LengthPenalty::is_mean")]
    pub length_penalty: LengthPenalty,
    /// Diverse beam search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverse: Option<Diverse>,
    /// Draw captions instead of searching for the likeliest; the beam is not used then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sampling>,
}

impl Default for Decoding {
    fn default() -> Self {
        Self::of(3, 20)
    }
}

/// How the log-probability of a hypothesis becomes its score; its length counts END.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LengthPenalty {
    /// Log-probability over length.
    #[default]
    Mean,
    /// Log-probability over `((5 + length) / 6)^alpha` (Wu et al. 2016, arXiv 1609.08144, equation 14, without the coverage
    /// penalty). The paper's best values lie from 0.6 to 0.7.
    Gnmt(f64),
    /// The log-probability itself; favours short captions.
    None,
}

impl LengthPenalty {
    /// The score of a hypothesis of `length` words, END counted.
    pub fn score(self, log_probability: f64, length: usize) -> f64 {
        let length = length as f64;
        match self {
            Self::Mean => log_probability / length,
            Self::Gnmt(alpha) => log_probability / ((5.0 + length) / 6.0).powf(alpha),
            Self::None => log_probability,
        }
    }

    fn is_mean(&self) -> bool {
        *self == Self::Mean
    }
}

/// Diverse beam search (Vijayakumar et al. 2016, arXiv 1610.02424) with Hamming diversity.
///
/// The beam is divided over groups of equal width, which search one after the other at each step. A word costs a group
/// `strength` nats for each hypothesis of an earlier group that has said it at the same step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diverse {
    /// Groups; they divide the beam.
    pub groups: usize,
    /// Cost of a word already said, in nats. The paper finds values from 0.2 to 0.8 good.
    pub strength: f64,
}

/// Words drawn from the model's distribution.
///
/// Words that may not be said are left out first; then follow temperature, `top_k`, and `top_p` of what is left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// What logits are divided by; below 1 likely words become likelier.
    pub temperature: f64,
    /// Only that many of the likeliest words (Fan et al. 2018, arXiv 1805.04833).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Only the nucleus: the fewest likeliest words that have this share of the probability together (Holtzman et al.
    /// 2020, arXiv 1904.09751).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Seed of the draws. Each image has a stream of its own.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: None, seed: 1 }
    }
}

impl Decoding {
    /// Plain beam search.
    pub const fn of(beam: usize, max_words: usize) -> Self {
        Self {
            beam,
            max_words,
            min_words: 1,
            no_repeat_ngram: None,
            length_penalty: LengthPenalty::Mean,
            diverse: None,
            sample: None,
        }
    }

    /// Each field with a value that makes no sense, as it is named here, and what it must be.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let (diverse, sample) = (self.diverse.unwrap_or(Diverse { groups: 1, strength: 0.0 }), self.sample);
        let drawn = sample.unwrap_or_default();
        let alpha = if let LengthPenalty::Gnmt(alpha) = self.length_penalty { alpha } else { 0.0 };
        let beam = (1..=64).contains(&self.beam);
        let rules = [
            ("beam", beam, "must lie between 1 (greedy) and 64"),
            ("max_words", (1..=100).contains(&self.max_words), "must lie between 1 and 100"),
            ("min_words", self.min_words > 0, "must be 1 or more"),
            ("min_words", self.min_words <= self.max_words, "must not exceed the longest caption"),
            ("no_repeat_ngram", self.no_repeat_ngram != Some(0), "must be 1 or more"),
            (
                "length_penalty",
                (0.0..=10.0).contains(&alpha),
                "has an alpha that does not lie between 0 and 10",
            ),
            (
                "diverse.groups",
                !beam || (diverse.groups > 0 && self.beam.is_multiple_of(diverse.groups)),
                "must divide the beam into equal parts",
            ),
            ("diverse.strength", (0.0..=100.0).contains(&diverse.strength), "must lie between 0 and 100"),
            ("diverse", self.diverse.is_none() || sample.is_none(), "does not go with sampling"),
            (
                "sample.temperature",
                (0.01..=100.0).contains(&drawn.temperature),
                "must lie between 0.01 and 100",
            ),
            ("sample.top_k", drawn.top_k != Some(0), "must be 1 or more"),
            (
                "sample.top_p",
                drawn.top_p.is_none_or(|p| p > 0.0 && p <= 1.0),
                "must lie above 0 and not above 1",
            ),
            ("sample.seed", drawn.seed <= MAX_BOUND, "must not exceed 9223372036854775807"),
        ];
        rules.into_iter().filter(|rule| !rule.1).map(|(field, _, reason)| (field, reason)).collect()
    }
}

/// In words: what a person must know to compare scores.
impl std::fmt::Display for Decoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sample {
            None => write!(f, "beam {}", self.beam)?,
            Some(sample) => write!(f, "drawn with seed {}, temperature {}", sample.seed, sample.temperature)?,
        }
        if let Some(Diverse { groups, strength }) = self.diverse {
            write!(f, " in {groups} groups (diversity {strength})")?;
        }
        if let Some(k) = self.sample.and_then(|sample| sample.top_k) {
            write!(f, ", from the {k} likeliest")?;
        }
        if let Some(p) = self.sample.and_then(|sample| sample.top_p) {
            write!(f, ", nucleus {p}")?;
        }
        write!(f, ", at most {} words", self.max_words)?;
        if self.min_words > 1 {
            write!(f, ", at least {}", self.min_words)?;
        }
        if let Some(n) = self.no_repeat_ngram {
            write!(f, ", no {n} words twice")?;
        }
        match self.length_penalty {
            LengthPenalty::Mean => Ok(()),
            LengthPenalty::Gnmt(alpha) => write!(f, ", length penalty gnmt {alpha}"),
            LengthPenalty::None => f.write_str(", no length penalty"),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(n: &usize) -> bool {
    *n == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_as_they_always_were() {
        let text = serde_json::to_string(&Decoding::default()).unwrap();
        assert_eq!(text, r#"{"beam":3,"max_words":20}"#);
        assert_eq!(serde_json::from_str::<Decoding>(&text).unwrap(), Decoding::default());
        assert_eq!(serde_json::from_str::<Decoding>("{}").unwrap(), Decoding::default());
    }

    #[test]
    fn decodings_are_told_in_words() {
        assert_eq!(Decoding::default().to_string(), "beam 3, at most 20 words");
        let sample = Some(Sampling { top_p: Some(0.9), ..Sampling::default() });
        let drawn = Decoding { sample, no_repeat_ngram: Some(2), ..Decoding::default() };
        let said = "drawn with seed 1, temperature 1, nucleus 0.9, at most 20 words, no 2 words twice";
        assert_eq!(drawn.to_string(), said);
    }

    #[test]
    fn every_field_survives_json_and_toml() {
        let full = Decoding {
            beam: 6,
            max_words: 12,
            min_words: 4,
            no_repeat_ngram: Some(2),
            length_penalty: LengthPenalty::Gnmt(0.6),
            diverse: Some(Diverse { groups: 3, strength: 0.5 }),
            sample: Some(Sampling { temperature: 0.7, top_k: Some(5), top_p: Some(0.9), seed: 8 }),
        };
        let json = serde_json::to_string(&full).unwrap();
        assert!(json.contains(r#""length_penalty":{"gnmt":0.6}"#), "{json}");
        assert_eq!(serde_json::from_str::<Decoding>(&json).unwrap(), full);
        assert_eq!(toml::from_str::<Decoding>(&toml::to_string(&full).unwrap()).unwrap(), full);
        assert!(serde_json::from_str::<Decoding>(r#"{"beams":3}"#).is_err());
    }

    #[test]
    fn all_faults_are_said_at_once() {
        assert!(Decoding::default().faults().is_empty());
        let wrong = Decoding {
            beam: 4,
            max_words: 3,
            min_words: 4,
            no_repeat_ngram: Some(0),
            length_penalty: LengthPenalty::Gnmt(f64::NAN),
            diverse: Some(Diverse { groups: 3, strength: -1.0 }),
            sample: Some(Sampling { temperature: 0.0, top_k: Some(0), top_p: Some(1.5), seed: u64::MAX }),
        };
        let fields: Vec<&str> = wrong.faults().into_iter().map(|fault| fault.0).collect();
        let expected = [
            "min_words",
            "no_repeat_ngram",
            "length_penalty",
            "diverse.groups",
            "diverse.strength",
            "diverse",
            "sample.temperature",
            "sample.top_k",
            "sample.top_p",
            "sample.seed",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn length_penalties_are_those_of_their_papers() {
        assert_eq!(LengthPenalty::Mean.score(-6.0, 3), -2.0);
        assert_eq!(LengthPenalty::None.score(-6.0, 3), -6.0);
        assert_eq!(LengthPenalty::Gnmt(0.0).score(-6.0, 3), -6.0);
        assert_eq!(LengthPenalty::Gnmt(1.0).score(-6.0, 7), -3.0);
        assert_eq!(LengthPenalty::Gnmt(0.7).score(-6.0, 1), -6.0);
    }
}
