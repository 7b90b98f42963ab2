//! Two contracts as one: what either demands is demanded.

use crate::terms::{Range, Slot};
use crate::{Amount, Clause, Contract, ContractError, Family, Side};

impl Contract {
    /// This contract with what another demands on top: of two bounds the stricter, of two lists what is in both. Settings
    /// (decoding, training, search) that the other leaves at their defaults stay.
    ///
    /// # Errors
    /// [`ContractError::Invalid`] where nothing is left of a list or a range.
    pub fn joined(&self, other: &Self) -> Result<Self, ContractError> {
        let mut all = self.clone();
        let open = Self::default();
        for (clause, bound) in other.bounds() {
            all.tighten(clause, bound);
        }
        for (field, range) in &other.ranges {
            let old = all.ranges.get(field).copied().unwrap_or_default();
            let min = [old.min, range.min].into_iter().flatten().reduce(f64::max);
            let max = [old.max, range.max].into_iter().flatten().reduce(f64::min);
            all.ranges.insert(field.clone(), Range { min, max });
        }
        let parts = &mut all.components;
        parts.scratch &= other.components.scratch;
        parts.families.retain(|f: &Family| other.components.families.contains(f));
        let mut apart = Vec::new();
        if !both(&mut parts.image_sizes, &other.components.image_sizes) {
            apart.push("the two contracts allow no image size together".to_owned());
        }
        parts.backbones = match (parts.backbones.take(), &other.components.backbones) {
            (Some(names), Some(others)) => Some(names.into_iter().filter(|n| others.contains(n)).collect()),
            (names, others) => names.or_else(|| others.clone()),
        };
        parts.required.extend(other.components.required.iter().cloned());
        parts.forbidden.extend(other.components.forbidden.iter().cloned());
        if !both(&mut all.licences.weights, &other.licences.weights) {
            apart.push("the two contracts allow no licence of weights together".to_owned());
        }
        if !both(&mut all.licences.data, &other.licences.data) {
            apart.push("the two contracts allow no licence of data together".to_owned());
        }
        if !apart.is_empty() {
            return Err(ContractError::Invalid(apart));
        }
        if other.decoding != open.decoding {
            all.decoding = other.decoding;
        }
        if other.training != open.training {
            all.training = other.training;
        }
        if other.search.trials != open.search.trials {
            all.search.trials = other.search.trials;
            all.search.max_proposals = other.search.max_proposals;
        }
        all.measuring.confidence = all.measuring.confidence.max(other.measuring.confidence);
        if !other.objectives.is_empty() {
            all.objectives.clone_from(&other.objectives);
        }
        all.request.clone_from(&other.request);
        all.check()?;
        Ok(all)
    }

    fn tighten(&mut self, clause: Clause, bound: Amount) {
        let stricter = |new: f64, old: f64| match clause.side() {
            Side::Upper => new < old,
            Side::Lower => new > old,
        };
        match (self.slot(clause), bound) {
            (Some(Slot::Whole(field)), Amount::Whole(n))
                if field.is_none_or(|old| stricter(n as f64, old as f64)) =>
            {
                *field = Some(n);
            }
            (Some(Slot::Real(field)), bound) if field.is_none_or(|old| stricter(bound.as_f64(), old)) => {
                *field = Some(bound.as_f64());
            }
            _ => {}
        }
    }

    /// Where the bound of a clause is kept.
    pub(crate) fn slot(&mut self, clause: Clause) -> Option<Slot<'_>> {
        match clause {
            Clause::MaxVocab => return Some(Slot::Whole(&mut self.data.max_vocab)),
            Clause::TokenBudget => return Some(Slot::Whole(&mut self.search.token_budget)),
            Clause::MoneyUsd => return Some(Slot::Real(&mut self.search.money_usd)),
            _ => {}
        }
        let (budgets, limits, floors) = (&mut self.budgets, &mut self.limits, &mut self.floors);
        budgets.slot(clause).or(limits.slot(clause)).or(floors.slot(clause))
    }
}

/// Keeps what is in both lists, where an empty list allows everything; false if they share nothing, since what is left
/// would then allow everything.
fn both<T: Clone + PartialEq>(list: &mut Vec<T>, other: &[T]) -> bool {
    if list.is_empty() {
        *list = other.to_vec();
    } else if !other.is_empty() {
        list.retain(|item| other.contains(item));
        return !list.is_empty();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(toml: &str) -> Contract {
        Contract::from_toml(&format!("version = 1\n{toml}")).expect("a contract")
    }

    #[test]
    fn the_stricter_of_two_bounds_is_kept_whichever_contract_has_it() {
        let a = contract(
            "[budgets]\nparams_total = 5\nmacs_image = 9\n[floors]\nbleu4 = 0.2\n[ranges.hidden]\nmin = 256",
        );
        let b = contract(
            "[budgets]\nparams_total = 7\n[floors]\nbleu4 = 0.3\n[ranges.hidden]\nmax = 512\n[search]\ntrials = 3",
        );
        let joined = a.joined(&b).expect("a contract");
        assert_eq!(joined.budgets.params_total, Some(5));
        assert_eq!(joined.budgets.macs_image, Some(9));
        assert_eq!(joined.floors.bleu4, Some(0.3));
        assert_eq!(joined.ranges["hidden"], Range { min: Some(256.0), max: Some(512.0) });
        assert_eq!(joined.search.trials, 3);
        assert_eq!(b.joined(&a).expect("a contract").budgets, joined.budgets);
    }

    #[test]
    fn lists_keep_what_is_in_both() {
        let a = contract(
            "[components]\nfamilies = [\"lstm\", \"gru\"]\nbackbones = [\"resnet18\", \"mobilenet_v2\"]",
        );
        let b = contract(
            "[components]\nfamilies = [\"gru\"]\nbackbones = [\"resnet18\"]\nforbidden = [\"cbam\"]",
        );
        let joined = a.joined(&b).expect("a contract");
        assert_eq!(joined.components, b.components);
        assert!(a.joined(&contract("[components]\nfamilies = [\"transformer\"]")).is_err());
    }
}
