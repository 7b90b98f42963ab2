//! From the text of a proposal to a verdict.

use capwright_blueprint::{Checked, Code, Diagnostic, Target, Zoo, parse};
use capwright_contract::{Admitted, Contract, admit, cheapest};
use capwright_study::{Study, Verdict};
use std::sync::Arc;

/// Reads, checks and admits proposals: everything that happens before a weight exists.
#[derive(Clone)]
pub struct Judge {
    zoo: Arc<dyn Zoo + Send + Sync>,
    contract: Contract,
    target: Target,
}

/// What became of a text.
#[derive(Debug)]
pub struct Judgement {
    /// As the ledger records it.
    pub verdict: Verdict,
    /// The design, where it is admitted.
    pub admitted: Option<Admitted>,
}

impl Judgement {
    fn refused(verdict: Verdict) -> Self {
        Self { verdict, admitted: None }
    }

    /// What is wrong, a line each: what a repair prompt shows. Empty for an admitted design.
    pub fn problems(&self) -> Vec<String> {
        problems(&self.verdict)
    }
}

/// What a verdict complains of, a line each.
pub fn problems(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Unreadable { diagnostics } | Verdict::Rejected { diagnostics } => {
            diagnostics.iter().map(Diagnostic::to_string).collect()
        }
        Verdict::Violates { violations } => violations.iter().map(ToString::to_string).collect(),
        Verdict::Duplicate { trial, .. } => {
            vec![format!("this design was tried already as trial {trial}; change at least one choice")]
        }
        Verdict::Admitted { .. } => Vec::new(),
    }
}

impl Judge {
    /// A judge for one study.
    pub fn new(zoo: Arc<dyn Zoo + Send + Sync>, contract: Contract) -> Self {
        let target = contract.target();
        Self { zoo, contract, target }
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// All diagnostics of the text.
    pub fn check(&self, text: &str) -> Result<Checked, Vec<Diagnostic>> {
        parse(text, self.zoo.as_ref(), self.target)
    }

    /// Whether a text is a design that fits together and keeps the contract.
    pub fn fits(&self, text: &str) -> bool {
        self.check(text).is_ok_and(|checked| admit(checked, &self.contract).is_ok())
    }

    /// Small designs that keep the contract, of different shapes: none that does is below all of the smallest in every cost. Empty
    /// where no design keeps it.
    pub fn smallest(&self, most: usize) -> Vec<serde_json::Value> {
        let all = cheapest(&self.contract, self.zoo.as_ref(), self.target).into_iter();
        let kept = all.filter_map(|checked| admit(checked, &self.contract).ok());
        kept.filter_map(|admitted| serde_json::to_value(admitted.checked().blueprint()).ok())
            .take(most)
            .collect()
    }

    /// The verdict on a text, given what the study has tried.
    pub fn judge(&self, text: &str, study: &Study) -> Judgement {
        let checked = match self.check(text) {
            Ok(checked) => checked,
            Err(diagnostics) if diagnostics.iter().any(|d| structural(d.code)) => {
                return Judgement::refused(Verdict::Unreadable { diagnostics });
            }
            Err(diagnostics) => return Judgement::refused(Verdict::Rejected { diagnostics }),
        };
        let admitted = match admit(checked, &self.contract) {
            Ok(admitted) => admitted,
            Err(violations) => return Judgement::refused(Verdict::Violates { violations }),
        };
        let design = admitted.checked();
        let hash = design.hash().to_string();
        if let Some(trial) = study.hashes.get(&hash) {
            return Judgement::refused(Verdict::Duplicate { hash, trial: *trial });
        }
        let verdict = Verdict::Admitted {
            trial: study.next_trial(),
            hash,
            cost: design.cost(),
            blueprint: Box::new(design.blueprint().clone()),
        };
        Judgement { verdict, admitted: Some(admitted) }
    }
}

/// Whether a rule is about the written form rather than about how parts fit.
fn structural(code: Code) -> bool {
    code.as_str() < "CW0100"
}
