//! One suite for every architect, on studies whose results are made up; and what the searching ones must be better at.

mod common;

use capwright_contract::{Contract, Merit, Objective};
use capwright_llm::TextModel;
use capwright_search::{
    Architect, ArchitectError, Brief, Draft, Evolution, Hybrid, LlmArchitect, LlmOptions, Parts,
    RandomArchitect, Space, Surrogate,
};
use capwright_study::{Event, Leaderboard, Scores, Study, TrialResult, Verdict, conformance::result};
use common::{Chance, Together, judge, opened, quality};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const CONTRACT: &str = r#"
version = 1
request = "a light captioner"
[budgets]
params_trainable = 6000000
[components]
backbones = ["efficientnet_lite0", "efficientnet_lite2", "mobilenet_v2"]
scratch = true
families = ["lstm", "gru", "transformer"]
image_sizes = [224]
[training]
seed = 1
[search]
trials = 1000
max_proposals = 5000
repairs = 2
snippets = 5
[data]
dir = "."
vocab = 2542
"#;

fn contract(seed: u64) -> Contract {
    let mut contract = Contract::from_toml(CONTRACT).expect("a contract");
    contract.training.seed = seed;
    contract
}

fn random(contract: &Contract) -> Box<dyn Architect> {
    Box::new(RandomArchitect::new(Space::new(contract), judge(contract)))
}

fn evolution(contract: &Contract) -> Box<dyn Architect> {
    Box::new(Evolution::new(Space::new(contract), judge(contract), Parts::default()))
}

fn asks(model: Box<dyn TextModel>, contract: &Contract) -> Box<dyn Architect> {
    let (space, judge) = (Space::new(contract), judge(contract));
    Box::new(LlmArchitect::new(model, space, judge, Vec::new(), LlmOptions::default()))
}

fn llm(contract: &Contract) -> Box<dyn Architect> {
    asks(Box::new(Chance), contract)
}

/// Of the drafts of a model that writes several at once the most promising is proposed.
fn together(contract: &Contract) -> Box<dyn Architect> {
    asks(Box::new(Together(Chance)), contract)
}

fn hybrid(contract: &Contract) -> Box<dyn Architect> {
    Box::new(Hybrid::new(vec![llm(contract), evolution(contract), random(contract)]))
}

/// An architect that never says anything of use.
struct Useless;

impl Architect for Useless {
    fn name(&self) -> String {
        "useless".into()
    }

    fn propose(&mut self, _: &Brief) -> Result<Draft, ArchitectError> {
        Ok(Draft::without_model(self.name(), "no".into(), 0.0))
    }

    fn repair(&mut self, brief: &Brief, _: &str, _: &[String]) -> Result<Draft, ArchitectError> {
        self.propose(brief)
    }
}

/// What came of a design of that quality: a few collapse and a few fail.
fn ending(trial: u64, quality: f64) -> Event {
    if trial % 11 == 5 {
        return Event::TrialFailed { trial, reason: "the loss is not finite".into() };
    }
    let collapsed = trial % 13 == 6;
    let scores = Scores {
        bleu: [0.6, 0.4, 0.3, 0.3 * quality],
        cider_d: quality,
        images: 100,
        distinct: if collapsed { 1 } else { 80 },
        top_share: 0.1,
        collapsed,
    };
    Event::TrialFinished { trial, result: Box::new(TrialResult { seconds: 1.0, ..result(scores) }) }
}

/// One proposal with its repairs, and what came of it.
fn proposed(study: &mut Study, architect: &mut dyn Architect) -> Vec<Draft> {
    let drafts = common::proposed(study, architect);
    if let Some((_, Verdict::Admitted { trial, .. })) = drafts.last() {
        let (trial, quality) = (*trial, quality(&study.trials[trial].blueprint));
        study.apply(&Event::TrialStarted { trial }).expect("it follows");
        study.apply(&ending(trial, quality)).expect("it follows");
    }
    drafts.into_iter().map(|(draft, _)| draft).collect()
}

/// What any architect must keep to. `make` gives one that has seen nothing.
fn conforms(make: &dyn Fn(&Contract) -> Box<dyn Architect>) {
    let contract = contract(3);
    let (mut study, mut first) = (opened(&contract), make(&contract));
    let mut texts = BTreeSet::new();
    for proposal in 1..=40 {
        // Whoever resumes a study has seen nothing but the study.
        let mut second = make(&contract);
        let taught = Surrogate::of(&study);
        let surrogate = taught.as_ref();
        let brief = Brief { contract: &contract, study: &study, proposal, attempt: 0, surrogate };
        let (author, again) = (second.author(&brief), second.propose(&brief).expect("a draft"));
        let drafts = proposed(&mut study, first.as_mut());
        assert_eq!(drafts[0].text, again.text, "proposal {proposal}");
        assert_eq!(drafts[0].parents, again.parents);
        assert_eq!(author, drafts[0].author);
        let authors: BTreeSet<&String> = drafts.iter().map(|draft| &draft.author).collect();
        assert_eq!(authors.len(), 1, "a repair is of the same author: {authors:?}");
        assert!(
            drafts.iter().flat_map(|draft| &draft.parents).all(|parent| study.trials.contains_key(parent))
        );
        texts.extend(drafts.into_iter().map(|draft| draft.text));
    }
    assert!(texts.len() >= 40, "{} different texts", texts.len());
}

#[test]
fn every_architect_conforms() {
    conforms(&random);
    conforms(&evolution);
    conforms(&llm);
    conforms(&together);
    conforms(&hybrid);
}

#[test]
fn a_repair_is_of_the_author_of_the_draft_whatever_became_of_the_proposal_before() {
    for seed in 0..6 {
        let contract = contract(seed);
        let mut hybrid = Hybrid::new(vec![Box::new(Useless), random(&contract), llm(&contract)]);
        let mut study = opened(&contract);
        for proposal in 1..=20 {
            let drafts = proposed(&mut study, &mut hybrid);
            let authors: BTreeSet<String> = drafts.into_iter().map(|draft| draft.author).collect();
            assert_eq!(authors.len(), 1, "seed {seed}, proposal {proposal}: {authors:?}");
        }
    }
}

#[test]
fn children_fit_the_contract_are_new_and_name_their_parents() {
    let contract = contract(5);
    let (mut study, mut architect) = (opened(&contract), evolution(&contract));
    for _ in 0..80 {
        assert_eq!(proposed(&mut study, architect.as_mut()).len(), 1, "no draft needs a repair");
    }
    let children: Vec<_> = study.trials.values().filter(|trial| !trial.parents.is_empty()).collect();
    assert!(children.len() >= 45, "{}", children.len());
    let parents: Vec<usize> = children.iter().map(|trial| trial.parents.len()).collect();
    assert!(parents.iter().all(|n| (1..=2).contains(n)));
    let crossed = parents.iter().filter(|n| **n == 2).count();
    assert!((8..40).contains(&crossed), "{crossed}");
    // The old ones are no parents any more.
    let old = children.iter().filter(|child| child.parents.iter().any(|p| child.proposal - p > 33));
    assert_eq!(old.count(), 0);
}

/// The best quality after that many proposals.
fn best(make: &dyn Fn(&Contract) -> Box<dyn Architect>, seed: u64, proposals: u64) -> (f64, Study) {
    let contract = contract(seed);
    let (mut study, mut architect) = (opened(&contract), make(&contract));
    (0..proposals).for_each(|_| drop(proposed(&mut study, architect.as_mut())));
    let board = Leaderboard::of(&study);
    (board.rows.first().map_or(0.0, |row| row.cider_d), study)
}

#[test]
fn evolution_and_the_hybrid_beat_chance_where_choices_matter() {
    const SEEDS: u64 = 12;
    let mean = |make: &dyn Fn(&Contract) -> Box<dyn Architect>| {
        (0..SEEDS).map(|seed| best(make, seed, 64).0).sum::<f64>() / SEEDS as f64
    };
    let [by_chance, evolved, mixed] = [mean(&random), mean(&evolution), mean(&hybrid)];
    println!("evolution {evolved}, hybrid {mixed}, random {by_chance}");
    assert!(evolved > by_chance + 0.08, "evolution {evolved}, random {by_chance}");
    assert!(mixed > by_chance + 0.03, "hybrid {mixed}, random {by_chance}");
}

#[test]
fn the_first_designs_of_a_front_differ_in_cost() {
    // The least factor between the costs of two of the first eight designs, as a logarithm.
    let nearest = |objectives: &[Merit], seed: u64| {
        let mut contract = contract(seed);
        contract.objectives =
            objectives.iter().map(|merit| Objective { merit: *merit, within: 0.0 }).collect();
        let (mut study, mut architect) = (opened(&contract), evolution(&contract));
        (0..8).for_each(|_| drop(proposed(&mut study, architect.as_mut())));
        let mut costs: Vec<f64> =
            study.trials.values().map(|trial| (study.macs_caption(&trial.cost) as f64).ln()).collect();
        costs.sort_by(f64::total_cmp);
        costs.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min)
    };
    let mean = |objectives: &[Merit]| (0..8).map(|seed| nearest(objectives, seed)).sum::<f64>() / 8.0;
    let (apart, by_chance) = (mean(&[Merit::CiderD, Merit::CaptionMs]), mean(&[Merit::CiderD]));
    assert!(apart > 3.0 * by_chance, "{apart} {by_chance}");
}

#[test]
fn the_hybrid_begins_with_known_designs() {
    let scratch = json!({"kind": "scratch", "stem": 16, "stages": [{"kind": "conv", "out": 32, "repeat": 1},
        {"kind": "conv", "out": 64, "repeat": 1}]});
    let decoder = json!({"family": "recurrent", "cell": "gru", "embed": 64, "hidden": 96, "layers": 1, "image": "initial_state",
        "attention": "dot", "dropout_pct": 20});
    // For how many of the first designs evolution is asked whatever the seed.
    let begun = |trials: u32| {
        let always = |proposal: u64| {
            (0..12).all(|seed| {
                let mut contract = contract(seed);
                contract.search.trials = trials;
                let parts = Parts {
                    sources: vec![scratch.clone()],
                    decoders: vec![decoder.clone()],
                    ..Parts::default()
                };
                let knowing = Evolution::new(Space::new(&contract), judge(&contract), parts);
                let hybrid = Hybrid::new(vec![Box::new(Useless), random(&contract), Box::new(knowing)]);
                let study = opened(&contract);
                let brief =
                    Brief { contract: &contract, study: &study, proposal, attempt: 0, surrogate: None };
                hybrid.author(&brief) == "evolution"
            })
        };
        (1..10).take_while(|proposal| always(*proposal)).count()
    };
    // A short study begins with fewer: the others shall have a say.
    assert_eq!((begun(12), begun(6), begun(2)), (4, 2, 0));
}

#[test]
fn the_hybrid_asks_whom_it_pays_to_ask() {
    let make = |contract: &Contract| -> Box<dyn Architect> {
        Box::new(Hybrid::new(vec![Box::new(Useless), random(contract), evolution(contract)]))
    };
    let (_, study) = best(&make, 2, 80);
    let asked = |author: &str| study.authors.get(author).map_or(0, |stats| stats.proposals);
    assert!(asked("useless") <= 10, "{:?}", study.authors);
    assert!(asked("evolution") > asked("random"), "{:?}", study.authors);
}

#[test]
fn who_is_asked_does_not_decide_what_is_done() {
    let contract = contract(7);
    let (mut study, mut by_chance) = (opened(&contract), random(&contract));
    (0..16).for_each(|_| drop(proposed(&mut study, by_chance.as_mut())));
    let mut hybrid = Hybrid::new(vec![llm(&contract), evolution(&contract)]);
    // Of each arm: how often it is asked, and how often it then begins with a design of the study.
    let mut counts: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for proposal in 17..417 {
        let brief = Brief { contract: &contract, study: &study, proposal, attempt: 0, surrogate: None };
        let draft = hybrid.propose(&brief).expect("a draft");
        let (asked, with_parents) = counts.entry(draft.author).or_default();
        *asked += 1.0;
        *with_parents += f64::from(u8::from(!draft.parents.is_empty()));
    }
    println!("{counts:?}");
    for (author, wanted) in [("llm:chance", 0.5), ("evolution", 0.75)] {
        let (asked, with_parents) = counts[author];
        // Four standard deviations of a share of 150.
        assert!(asked > 150.0 && (with_parents / asked - wanted).abs() < 0.16, "{author} {counts:?}");
    }
}
