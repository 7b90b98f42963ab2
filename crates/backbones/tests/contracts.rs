//! The example contracts are read, can be kept, and show every section.

use capwright_backbones::Library;
use capwright_blueprint::Target;
use capwright_contract::{Contract, impossible};

const EXAMPLES: [(&str, &str); 4] = [
    ("phone", include_str!("../../../docs/contracts/phone.toml")),
    ("laptop", include_str!("../../../docs/contracts/laptop.toml")),
    ("server", include_str!("../../../docs/contracts/server.toml")),
    ("browser", include_str!("../../../docs/contracts/browser.toml")),
];

#[test]
fn each_can_be_kept() {
    for (name, text) in EXAMPLES {
        let contract = Contract::from_toml(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let target = Target { vocab: 2500, max_words: contract.decoding.max_words };
        assert_eq!(impossible(&contract, &Library::default(), target), None, "{name}");
    }
}

#[test]
fn together_they_show_every_section_and_every_bound() {
    let contracts = EXAMPLES.map(|(_, text)| Contract::from_toml(text).expect("a contract"));
    let shown: std::collections::BTreeSet<_> =
        contracts.iter().flat_map(|c| c.bounds()).map(|(clause, _)| clause).collect();
    use capwright_contract::Clause::*;
    let left_out = [Bleu1, Bleu2, Bleu3];
    for clause in
        capwright_contract::Clause::ALL.iter().filter(|c| c.unit() != capwright_contract::Unit::Names)
    {
        assert!(shown.contains(clause) || left_out.contains(clause) || *clause == MaxWords, "{clause}");
    }
    for section in
        ["[ranges]", "[licences]", "[[objectives]]", "[training]", "[search]", "[data]", "[measuring]"]
    {
        assert!(EXAMPLES.iter().any(|(_, text)| text.contains(section)), "{section}");
    }
}

/// A request may name every backbone of the zoo.
#[test]
fn requests_know_the_zoo() {
    let mut known = capwright_contract::BACKBONES.to_vec();
    let mut zoo: Vec<&str> = capwright_backbones::zoo().iter().map(|backbone| backbone.name).collect();
    known.sort_unstable();
    zoo.sort_unstable();
    assert_eq!(known, zoo);
}
