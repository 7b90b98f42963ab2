//! Contracts that no design can keep are refused, and no design is cheaper than the cheapest.

use capwright_backbones::Library;
use capwright_blueprint::schema::{Narrowing, sample};
use capwright_blueprint::{Cost, Target, Zoo, check, from_value};
use capwright_contract::{Contract, cheapest, impossible, parse_request, violations};
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

/// Contracts that some design keeps, and others that none can: of these, each way out is said.
fn verdicts(kept: &[&str], refused: &[&str]) {
    let zoo = Library::default();
    for toml in kept {
        assert_eq!(impossible(&contract(toml), &zoo, TARGET), None, "{toml}");
    }
    for toml in refused {
        let found = impossible(&contract(toml), &zoo, TARGET);
        let found = found.unwrap_or_else(|| panic!("{toml} is possible"));
        println!("{toml}\n{found}\n");
        assert!(found.demands.len() == found.ways_out.len() && !found.demands.is_empty(), "{toml}");
        assert!(found.ways_out.iter().all(|way| !way.is_empty()), "{toml}: {:?}", found.ways_out);
    }
}

const LSTM: &str = "components.families = [\"lstm\"]";
const TIED: &str = "components.required = [\"tied\"]\nranges.hidden = { min = 256, max = 256 }";

#[test]
fn widths_that_depend_on_each_other_are_found() {
    let heads = |n: u32| {
        format!("components.families = [\"transformer\"]\nranges.heads = {{ min = {n}, max = {n} }}")
    };
    let tied = format!("{LSTM}\n{TIED}");
    let attended = tied.replace("[\"tied\"]", "[\"tied\", \"attention\"]");
    verdicts(
        &[
            &heads(6),
            &heads(12),
            &format!("{}\nranges.dim = {{ min = 128, max = 384 }}", heads(12)),
            &tied,
            &attended,
            &format!("{attended}\nranges.embed = {{ min = 640 }}"),
            &format!(
                "{attended}\ncomponents.forbidden = [\"dot\", \"additive\", \"adaptive\", \"multi_head\"]"
            ),
        ],
        &[
            &format!("{}\nranges.dim = {{ min = 64, max = 64 }}", heads(6)),
            &format!("{tied}\nranges.embed = {{ max = 192 }}"),
            &format!("{attended}\nranges.embed = {{ min = 640 }}\nranges.dim = {{ max = 192 }}"),
        ],
    );
}

#[test]
fn what_a_recipe_may_leave_out_is_written_where_it_is_asked_for() {
    verdicts(
        &[
            "ranges.accumulate = { min = 4, max = 4 }",
            "ranges.word_dropout_pct = { min = 10, max = 10 }",
            "ranges.ema = { min = 0.99 }\nranges.freeze_encoder = { min = 2 }\nranges.encoder_lr = { max = 0.3 }",
            "ranges.lr = { min = 0.005 }",
            "components.required = [\"lion\", \"cosine\"]\ncomponents.forbidden = [\"adamw\"]",
            "components.required = [\"flip_crop\", \"adamw\"]\ncomponents.forbidden = [\"constant\", \"cosine\"]",
        ],
        &[
            "ranges.lr = { min = 0.005 }\ncomponents.forbidden = [\"sgd\"]",
            "ranges.lr = { min = 0.005 }\ncomponents.required = [\"lion\"]",
            "components.required = [\"cosine\", \"linear\"]",
            "components.forbidden = [\"adamw\", \"adam\", \"sgd\", \"lion\"]",
        ],
    );
}

#[test]
fn words_are_looked_for_wherever_the_language_has_them() {
    let pyramid =
        format!("{LSTM}\ncomponents.required = [\"pyramid\"]\ncomponents.forbidden = [\"attention\"]");
    verdicts(
        &[
            "components.required = [\"pyramid\", \"learned_2d\"]",
            &pyramid,
            "components.required = [\"last_stage\", \"resnet18\"]",
            "components.required = [\"resnet18\", \"mobilenet_v2\"]",
            "components.required = [\"gelu\", \"layer\", \"residual\"]\ncomponents.families = [\"transformer\"]",
            "components.required = [\"conv\"]\ncomponents.forbidden = [\"relu\", \"adaptive_pool\"]",
        ],
        &[
            &format!("{pyramid}\nranges.queries = {{ max = 0 }}"),
            "components.required = [\"pyramid\"]\ncomponents.forbidden = [\"grid\"]\ncomponents.families = [\"convolution\"]",
            "components.required = [\"last_stage\"]\ncomponents.backbones = []",
            "components.required = [\"resnet18\", \"mobilenet_v2\", \"efficientnet_lite0\"]",
        ],
    );
}

#[test]
fn requests_that_can_be_kept_are_not_refused() {
    let zoo = Library::default();
    for (request, keepable) in [
        ("a Transformer with 6 heads", true),
        ("an LSTM with tied embeddings, hidden size 256", true),
        ("an LSTM with tied embeddings, hidden size 256, embedding size at most 192", false),
        ("gradient accumulation 4", true),
        ("word dropout 10", true),
        ("learning rate at least 0.005", true),
    ] {
        let read = parse_request(request);
        assert!(read.errors.is_empty() && read.ignored.is_empty(), "{read:?}");
        assert_eq!(impossible(&read.contract, &zoo, TARGET).is_none(), keepable, "{request}");
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
    for (toml, designs) in [
        ("", 1_500),
        ("[ranges.hidden]\nmin = 320", 1_500),
        ("[components]\nscratch = false\nrequired = [\"attention\"]", 1_500),
        ("components.families = [\"transformer\"]\nranges.heads = { min = 6, max = 6 }", 100),
        ("components.required = [\"tied\"]\nranges.dim = { min = 96 }", 100),
        ("components.required = [\"residual\"]", 300),
    ] {
        let contract = contract(toml);
        let cheap = cheapest(&contract, &zoo, TARGET);
        assert!(!cheap.is_empty(), "{toml}");
        let mut seen = 0;
        while seen < designs {
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
