//! What makes no sense in a contract, all of it at once.

use crate::{Amount, Clause, Contract, MAX_BOUND, words};
use capwright_blueprint::did_you_mean;
use capwright_blueprint::language::ImageSize;
use std::collections::BTreeSet;

/// Every fault of a contract whose version is right.
pub(crate) fn of(contract: &Contract) -> Vec<String> {
    let rules = settings(contract).into_iter().chain(decoding(contract)).chain(bounds(contract));
    let rules = rules.chain(ranges(contract)).chain(parts(contract));
    rules.filter(|(kept, _)| !kept).map(|(_, fault)| fault).collect()
}

/// Whether a rule is kept, and what to say if not.
type Rule = (bool, String);

fn settings(contract: &Contract) -> Vec<Rule> {
    let parts = &contract.components;
    let encoder = parts.scratch || parts.backbones.as_ref().is_none_or(|names| !names.is_empty());
    let (measuring, search) = (&contract.measuring, &contract.search);
    let price = search.usd_per_million_tokens;
    let rules = [
        (!parts.families.is_empty(), "components.families is empty; name lstm, gru or transformer"),
        (encoder, "no encoder is allowed; name a backbone in components.backbones or set components.scratch"),
        (
            parts.image_sizes.iter().all(|size| ImageSize::CHOICES.contains(size)),
            "components.image_sizes holds a side that the language does not know; see `capwright search --help`",
        ),
        (
            contract.decoding.sample.is_none(),
            "decoding.sample: a study compares the likeliest captions; draw captions of the finished model",
        ),
        (contract.training.epochs > 0, "training.epochs is 0; train at least one epoch"),
        (search.halving != Some(0), "search.halving is 0; train each design for at least one epoch first"),
        (
            search.finalists != Some(0),
            "search.finalists is 0; let at least one design into the finals, or leave it out",
        ),
        ((2..=20).contains(&search.final_runs), "search.final_runs must lie between 2 and 20"),
        (search.hours.is_none_or(|h| h > 0.0 && h.is_finite()), "search.hours must lie above 0"),
        (search.cpu_hours.is_none_or(|h| h > 0.0 && h.is_finite()), "search.cpu_hours must lie above 0"),
        (search.trials > 0, "search.trials is 0; train at least one design"),
        (search.max_proposals > 0, "search.max_proposals is 0; allow at least one proposal"),
        (
            contract.data.is_empty() || contract.data.vocab > 4 || contract.data.dir.as_os_str().is_empty(),
            "data.vocab counts no word beyond the four specials",
        ),
        (contract.data.pieces.is_none_or(|n| n > 4), "data.pieces leaves no piece beside the four specials"),
        (
            contract.data.max_vocab.is_none_or(|n| n > 4),
            "data.max_vocab leaves no word beside the four specials",
        ),
        (measuring.device == "cpu", "measuring.device must be \"cpu\": this build runs nowhere else"),
        ((1..=1024).contains(&measuring.batch), "measuring.batch must lie between 1 and 1024"),
        (
            (0.0..1.0).contains(&measuring.confidence),
            "measuring.confidence must be 0, or lie below 1, as in 0.95",
        ),
        (price.is_none_or(|p| p >= 0.0 && p.is_finite()), "search.usd_per_million_tokens must be 0 or more"),
        (
            contract.objectives.iter().all(|o| o.within >= 0.0 && o.within.is_finite()),
            "an objective's within must be 0 or more",
        ),
    ];
    let mut rules: Vec<Rule> = rules.into_iter().map(|(kept, fault)| (kept, fault.to_owned())).collect();
    let seed = contract.training.seed <= MAX_BOUND;
    rules.push((seed, format!("training.seed must not exceed {MAX_BOUND}")));
    rules
}

fn decoding(contract: &Contract) -> Vec<Rule> {
    let faults = contract.decoding.faults().into_iter();
    faults.map(|(field, reason)| (false, format!("decoding.{field} {reason}"))).collect()
}

/// The largest bound that makes sense.
fn most(clause: Clause) -> f64 {
    match clause {
        Clause::Bleu1 | Clause::Bleu2 | Clause::Bleu3 | Clause::Bleu4 | Clause::IdenticalShare => 1.0,
        Clause::CiderD => 10.0,
        _ => MAX_BOUND as f64,
    }
}

fn bounds(contract: &Contract) -> Vec<Rule> {
    let said = contract.bounds().into_iter().map(|(clause, bound)| match bound {
        Amount::Whole(n) => {
            let least = u64::from(clause != Clause::TokenBudget);
            ((least..=MAX_BOUND).contains(&n), format!("{clause} must lie between {least} and {MAX_BOUND}"))
        }
        Amount::Real(x) => {
            let (kept, most) = (x > 0.0 && x <= most(clause), most(clause));
            (kept, format!("{clause} must lie above 0 and not above {most}"))
        }
    });
    let mut rules: Vec<Rule> = said.collect();
    if let (Some(p50), Some(p95)) = (contract.limits.latency_p50_ms, contract.limits.latency_p95_ms) {
        let fault = format!(
            "limits.latency_p95_ms = {p95} lies below limits.latency_p50_ms = {p50}; the 95th percentile is never \
             below the median, so leave the median out"
        );
        rules.push((p95 >= p50, fault));
    }
    rules
}

fn ranges(contract: &Contract) -> Vec<Rule> {
    let said = contract.ranges.iter().map(|(field, range)| {
        let Some(menu) = words::menu(field) else {
            let fields = words::fields().join(", ");
            return (false, format!("ranges.{field} is no field of the language; fields: {fields}"));
        };
        let all = menu.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
        let kept = menu.iter().any(|value| range.holds(*value));
        (kept, format!("ranges.{field}: the language has no value {range}; it has {all}"))
    });
    said.collect()
}

fn parts(contract: &Contract) -> Vec<Rule> {
    let parts = &contract.components;
    let listed = parts.backbones.iter().flatten().map(String::as_str);
    let mut known: BTreeSet<&str> = words::nameable().collect();
    known.extend(listed);
    let mut rules = Vec::new();
    for (list, name) in [(&parts.required, "required"), (&parts.forbidden, "forbidden")] {
        for word in list.iter().filter(|word| !known.contains(word.as_str())) {
            let meant = did_you_mean(word, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            let unknown = "which is no word of the language and no backbone";
            rules.push((false, format!("components.{name} holds {word:?}, {unknown}{meant}")));
        }
    }
    for word in parts.required.iter().filter(|word| parts.forbidden.contains(word)) {
        rules.push((false, format!("components: {word:?} is both required and forbidden")));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(components: &str) -> Vec<String> {
        let text = format!("version = 1\n[components]\n{components}");
        of(&toml::from_str(&text).expect("the fields of a contract"))
    }

    #[test]
    fn parts_are_words_of_the_language_or_backbones() {
        for components in [
            "forbidden = [\"resnet50\", \"gelu\", \"attention\"]",
            "forbidden = [\"vgg16\"]\nbackbones = [\"resnet18\"]",
            "required = [\"resnet50\"]",
            "forbidden = [\"mine\"]\nbackbones = [\"resnet18\", \"mine\"]",
        ] {
            assert_eq!(faults(components), Vec::<String>::new(), "{components}");
        }
        for (components, meant) in [
            ("forbidden = [\"mobilenet\"]", "did you mean \"mobilenet_v2\"?"),
            ("forbidden = [\"mobilenet\"]\nbackbones = [\"mobilenet_v2\"]", "\"mobilenet_v2\"?"),
            ("required = [\"cbamm\"]", "did you mean \"cbam\"?"),
            ("required = [\"nope\"]", "no word of the language and no backbone"),
            ("forbidden = [\"mine\"]", "components.forbidden holds \"mine\""),
        ] {
            let found = faults(components);
            assert!(found.len() == 1 && found[0].contains(meant), "{components}: {found:?}");
        }
    }

    #[test]
    fn backbones_of_one_s_own_are_known_once_they_are_told() {
        assert_eq!(faults("forbidden = [\"lab_net\"]").len(), 1);
        words::know_backbones(["lab_net".to_owned()]);
        assert_eq!(faults("forbidden = [\"lab_net\"]"), Vec::<String>::new());
    }
}
