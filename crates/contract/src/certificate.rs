//! What a model was measured to be, clause by clause.

use crate::{Amount, Clause, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Version of the certificate's format.
pub const CERTIFICATE_VERSION: u32 = 1;

/// How a clause came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Kept.
    Met,
    /// Broken.
    Unmet,
    /// Could not be measured here: nothing is claimed, and the contract is not met.
    NotMeasured,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Unmet => "UNMET",
            Self::NotMeasured => "not measured",
        })
    }
}

/// One clause with its bound, its measured value and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The clause, as in the contract.
    pub clause: Clause,
    /// The bound in words.
    pub bound: String,
    /// The measured value, in the clause's unit.
    pub value: String,
    /// Two-sided interval of the value, where it was resampled.
    pub interval: Option<[f64; 2]>,
    /// The verdict.
    pub verdict: Verdict,
    /// How the value was got.
    pub how: String,
}

/// A measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The value, in the clause's unit.
    pub value: f64,
    /// Two-sided interval.
    pub interval: Option<[f64; 2]>,
    /// How it was got.
    pub how: String,
}

impl Row {
    /// The row of a clause with a number. Where `confident`, the worse end of the interval has to keep the bound.
    pub fn of(clause: Clause, bound: Amount, measured: Result<Measured, String>, confident: bool) -> Self {
        let said = format!("{} {bound} {}", clause.side(), clause.unit()).trim_end().to_owned();
        match measured {
            Ok(Measured { value, interval, how }) => {
                let worse = interval.filter(|_| confident).map_or(value, |[low, high]| match clause.side() {
                    Side::Upper => high,
                    Side::Lower => low,
                });
                let kept = clause.side().keeps(worse, bound.as_f64());
                let verdict = if kept { Verdict::Met } else { Verdict::Unmet };
                Self { clause, bound: said, value: rounded(value), interval, verdict, how }
            }
            Err(why) => Self {
                clause,
                bound: said,
                value: "-".to_owned(),
                interval: None,
                verdict: Verdict::NotMeasured,
                how: why,
            },
        }
    }
}

/// A number with as many digits as a person reads: whole numbers whole, others to four places.
fn rounded(value: f64) -> String {
    if value.fract() == 0.0 {
        return value.to_string();
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The certificate of a model under a contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Version of this format: [`CERTIFICATE_VERSION`].
    pub version: u32,
    /// Whether every clause is met.
    pub met: bool,
    /// The request in the person's own words.
    pub request: String,
    /// What was measured and where: program, model, machine, data, sha256 of each, time.
    pub facts: BTreeMap<String, String>,
    /// Every clause that the contract sets.
    pub clauses: Vec<Row>,
}

impl Certificate {
    /// A certificate over these rows.
    pub fn new(request: String, facts: BTreeMap<String, String>, clauses: Vec<Row>) -> Self {
        let met = clauses.iter().all(|row| row.verdict == Verdict::Met);
        Self { version: CERTIFICATE_VERSION, met, request, facts, clauses }
    }

    /// The certificate for people, in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# The contract is {}\n\n", if self.met { "met" } else { "NOT met" });
        if !self.request.is_empty() {
            let _ = writeln!(text, "> {}\n", self.request.replace('\n', "\n> "));
        }
        text.push_str("| clause | bound | measured | interval | verdict | how |\n| --- | --- | --- | --- | --- | --- |\n");
        for row in &self.clauses {
            let interval = row
                .interval
                .map_or_else(String::new, |[low, high]| format!("{} … {}", rounded(low), rounded(high)));
            let cells = [
                &row.clause.to_string(),
                &row.bound,
                &row.value,
                &interval,
                &row.verdict.to_string(),
                &row.how,
            ];
            let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
        text.push_str("\n| fact | |\n| --- | --- |\n");
        for (name, value) in &self.facts {
            let _ = writeln!(text, "| {name} | {} |", value.replace('|', "\\|"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64, low: f64, high: f64) -> Result<Measured, String> {
        Ok(Measured { value, interval: Some([low, high]), how: "here".to_owned() })
    }

    #[test]
    fn the_worse_end_of_the_interval_decides_where_confidence_is_asked_for() {
        let row = |confident| {
            Row::of(Clause::Bleu4, Amount::Real(0.2), measured(0.21, 0.19, 0.23), confident).verdict
        };
        assert_eq!((row(false), row(true)), (Verdict::Met, Verdict::Unmet));
        let row = Row::of(Clause::LatencyP50, Amount::Real(20.0), measured(20.0, 19.0, 21.0), false);
        assert_eq!(
            (row.verdict, row.bound.as_str(), row.value.as_str()),
            (Verdict::Met, "at most 20 ms", "20")
        );
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let row = Row::of(Clause::CiderD, Amount::Real(0.5), Err("no".to_owned()), false);
        let certificate = Certificate::new("a | b".to_owned(), BTreeMap::new(), vec![row]);
        assert!(!certificate.met);
        assert!(
            certificate.markdown().contains("| floors.cider_d | at least 0.5 | - |  | not measured | no |")
        );
        assert!(Certificate::new(String::new(), BTreeMap::new(), Vec::new()).met);
    }
}
