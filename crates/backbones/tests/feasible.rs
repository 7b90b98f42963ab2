//! Contracts that no design can keep are refused, and no design is cheaper than the cheapest.

use capwright_backbones::Library;
use capwright_blueprint::schema::{Narrowing, sample};
use capwright_blueprint::{Cost, Target, Zoo, check, from_value};
use capwright_contract::{Contract, cheapest, impossible, violations};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const TARGET: Target = Target { vocab: 2500, max_words: 20 };

fn contract(toml: &str) -> Contract {
    Contract::from_toml(&format!("version = 1\n{toml}")).expect("a contract")
}

fn below(a: &Cost, b: &Cost) -> bool {
    a.params_total <= b.params_total
        && a.params_trainable <= b.params_trainable
        && a.macs_image <= b.macs_image
        && a.macs_token <= b.macs_token
        && a.weight_bytes <= b.weight_bytes
}

#[test]
fn what_the_reference_demanded_is_refused_with_its_reasons() {
    let zoo = Library::default();
    let found = impossible(
        &contract("[budgets]\nparams_total = 2_000_000\n[ranges.hidden]\nmin = 640\n[components]\nfamilies = [\"lstm\"]"),
        &zoo,
        TARGET,
    )
    .expect("impossible");
    let text = found.to_string();
    println!("{text}");
    assert!(text.contains("ranges.hidden") && text.contains("budgets.params_total = 2000000"), "{text}");
    let raise = found.ways_out.iter().find_map(|w| w.strip_prefix("raise budgets.params_total to "));
    let needed: u64 = raise.expect("a way out").parse().expect("a number");
    let toml = |n: u64| {
        format!(
            "[budgets]\nparams_total = {n}\n[ranges.hidden]\nmin = 640\n[components]\nfamilies = [\"lstm\"]"
        )
    };
    assert!(impossible(&contract(&toml(needed)), &zoo, TARGET).is_none());
    assert!(impossible(&contract(&toml(needed - 1)), &zoo, TARGET).is_some());
}

#[test]
fn each_way_out_of_a_contradiction_leads_out() {
    let zoo = Library::default();
    for toml in [
        "[budgets]\nmacs_image = 1_000\n",
        "[budgets]\nmacs_image = 20_000_000\n[components]\nscratch = false\nimage_sizes = [224]",
        "[budgets]\nparams_trainable = 100_000\n",
        "[components]\nrequired = [\"cbam\"]\nbackbones = [\"resnet18\"]\nscratch = false\n[budgets]\nparams_total = 300_000",
    ] {
        let found = impossible(&contract(toml), &zoo, TARGET);
        let found = found.unwrap_or_else(|| panic!("{toml} is possible"));
        assert!(!found.demands.is_empty(), "{toml}");
        println!("{toml}\n{found}\n");
    }
    for toml in [
        "",
        "[budgets]\nparams_total = 5_000_000",
        "[components]\nrequired = [\"cbam\", \"attention\", \"swiglu\"]",
    ] {
        assert_eq!(impossible(&contract(toml), &zoo, TARGET), None, "{toml}");
    }
}

#[test]
fn no_random_design_is_cheaper_than_every_cheapest_one() {
    let zoo = Library::default();
    let narrowing = Narrowing {
        backbones: zoo.usual(),
        scratch: true,
        sizes: vec![],
        lstm: true,
        gru: true,
        transformer: true,
        convolution: true,
    };
    let schema = narrowing.schema();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for toml in
        ["", "[ranges.hidden]\nmin = 320", "[components]\nscratch = false\nrequired = [\"attention\"]"]
    {
        let contract = contract(toml);
        let cheap = cheapest(&contract, &zoo, TARGET);
        assert!(!cheap.is_empty(), "{toml}");
        let mut seen = 0;
        while seen < 1_500 {
            let Ok(blueprint) = from_value(sample(&schema, &mut rng)) else { continue };
            let Ok(checked) = check(blueprint, &zoo, TARGET) else { continue };
            if !violations(checked.blueprint(), &checked.cost(), &contract).is_empty() {
                continue;
            }
            seen += 1;
            let cost = checked.cost();
            assert!(
                cheap.iter().any(|c| below(&c.cost(), &cost)),
                "{toml}: {cost:?} of {}",
                serde_json::to_string(checked.blueprint()).expect("JSON")
            );
        }
    }
}
