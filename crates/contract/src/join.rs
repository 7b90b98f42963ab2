//! Two contracts as one: what either demands is demanded.

use crate::terms::{Range, Slot};
use crate::{Amount, Clause, Contract, ContractError, Decoding, Family, Side, Training};

impl Contract {
    /// This contract with what another demands on top: of two bounds the stricter, of two lists what is in both. Each setting
    /// (of decoding, training, search) that the other leaves at its default stays; of two longest captions the shorter is
    /// taken, and of two shortest the longer.
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
        all.decoding = decoding(all.decoding, other.decoding);
        all.training = training(all.training, other.training);
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

/// What the other says, unless that is the default.
fn said<T: PartialEq>(ours: T, other: T, default: T) -> T {
    if other == default { ours } else { other }
}

fn decoding(ours: Decoding, other: Decoding) -> Decoding {
    let open = Decoding::default();
    let both = ours.max_words != open.max_words && other.max_words != open.max_words;
    Decoding {
        beam: said(ours.beam, other.beam, open.beam),
        max_words: if both {
            ours.max_words.min(other.max_words)
        } else {
            said(ours.max_words, other.max_words, open.max_words)
        },
        min_words: ours.min_words.max(other.min_words),
        no_repeat_ngram: said(ours.no_repeat_ngram, other.no_repeat_ngram, open.no_repeat_ngram),
        length_penalty: said(ours.length_penalty, other.length_penalty, open.length_penalty),
        diverse: said(ours.diverse, other.diverse, open.diverse),
        sample: said(ours.sample, other.sample, open.sample),
    }
}

fn training(ours: Training, other: Training) -> Training {
    let open = Training::default();
    Training {
        epochs: said(ours.epochs, other.epochs, open.epochs),
        self_critical: said(ours.self_critical, other.self_critical, open.self_critical),
        patience: said(ours.patience, other.patience, open.patience),
        seed: said(ours.seed, other.seed, open.seed),
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

    #[test]
    fn settings_are_joined_one_by_one() {
        let file = contract(
            "[decoding]\nbeam = 1\nmax_words = 12\nmin_words = 3\nlength_penalty = \"none\"\n\
             [training]\nepochs = 9\nseed = 7",
        );
        let joined = |toml: &str| file.joined(&contract(toml)).expect("a contract");
        let longer = joined("[decoding]\nmax_words = 15\nmin_words = 2\n[training]\npatience = 5");
        assert_eq!(longer.decoding, file.decoding, "nothing is loosened");
        assert_eq!(longer.training, Training { patience: 5, ..file.training });
        let shorter = joined("[decoding]\nbeam = 4\nmax_words = 10\nmin_words = 5\n[training]\nepochs = 2");
        assert_eq!(shorter.decoding, Decoding { beam: 4, max_words: 10, min_words: 5, ..file.decoding });
        assert_eq!(shorter.training, Training { epochs: 2, ..file.training });
        let long = contract("").joined(&contract("[decoding]\nmax_words = 30")).expect("a contract");
        assert_eq!(long.decoding.max_words, 30, "where one says something, that holds");
        assert!(file.joined(&contract("[decoding]\nmin_words = 14")).is_err(), "longer than the longest");
    }
}
