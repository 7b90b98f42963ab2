//! Grammars that hold only what can still fit, and changes that mend what does not.

mod common;

use capwright_blueprint::schema::{language, sample, validate};
use capwright_search::{Architect, Brief, Draft, Judge, LlmArchitect, LlmOptions, RandomArchitect, Space};
use capwright_study::{Event, Proposal, Verdict};
use common::{CONTRACTS, Chance, Together, draft, judge, opened, proposed, under};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeSet;

fn share(schema: &Value, judge: &Judge) -> f64 {
    const DRAWS: usize = 400;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..DRAWS).filter(|_| judge.fits(&sample(schema, &mut rng).to_string())).count() as f64 / DRAWS as f64
}

#[test]
fn what_the_grammar_allows_is_of_the_space_and_fits_more_often() {
    for text in CONTRACTS {
        let contract = under(text);
        let (space, judge) = (Space::new(&contract), judge(&contract));
        let grammar = space.grammar(&judge);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..200 {
            let design = sample(&grammar, &mut rng);
            assert_eq!(validate(&design, language()), [], "{design}");
        }
        let (before, after) = (share(space.schema(), &judge), share(&grammar, &judge));
        assert!(after > 1.3 * before, "{before} {after} {text}");
    }
}

/// The designs of a fit remain possible: nothing that fits is lost but the tied embeddings of recurrences.
#[test]
fn menus_keep_what_fits() {
    let contract = under(CONTRACTS[2]);
    let (space, judge) = (Space::new(&contract), judge(&contract));
    let grammar = space.grammar(&judge).to_string();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut words = BTreeSet::new();
    for _ in 0..2_000 {
        let design = sample(space.schema(), &mut rng);
        if judge.fits(&design.to_string()) {
            leaves(&design, &mut words);
        }
    }
    for word in words {
        assert!(grammar.contains(&word), "{word} is gone");
    }
}

fn leaves(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.values().for_each(|inner| leaves(inner, found)),
        Value::Array(items) => items.iter().for_each(|inner| leaves(inner, found)),
        leaf => drop(found.insert(leaf.to_string())),
    }
}

/// A design's choices that exclude each other are no longer side by side: 224 pixels of a large backbone under a small budget.
#[test]
fn choices_that_exclude_each_other_are_apart() {
    let contract = under(CONTRACTS[1]);
    let (space, judge) = (Space::new(&contract), judge(&contract));
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let grammar = space.grammar(&judge);
    let mut seen = 0;
    for _ in 0..500 {
        let design = sample(&grammar, &mut rng);
        let source = &design["encoder"]["source"];
        assert!(source["beside"].is_null() || source["backbone"] != source["beside"]["backbone"], "{design}");
        if let Some(heads) = design["decoder"]["heads"].as_u64() {
            assert_eq!(design["decoder"]["dim"].as_u64().unwrap_or(1) % heads, 0);
            seen += 1;
        }
        let odd = design["decoder"]["cell"] == "gru" && design["decoder"]["attention"] == "adaptive";
        assert!(!odd, "{design}");
        let hot = design["recipe"]["lr"].as_f64().is_some_and(|lr| lr > 0.003);
        assert!(!hot || design["recipe"]["optimizer"] == "sgd", "{design}");
    }
    assert!(seen > 20);
}

/// Whole proposals with their repairs, by a model that knows nothing: every text reads as a blueprint, and nearly all are admitted.
#[test]
fn even_a_model_that_knows_nothing_is_admitted() {
    const PROPOSALS: u64 = 20;
    let (mut admitted, mut hashes) = (0, BTreeSet::new());
    for text in CONTRACTS {
        let contract = under(text);
        let (space, judge) = (Space::new(&contract), judge(&contract));
        let mut study = opened(&contract);
        let mut architect =
            LlmArchitect::new(Box::new(Chance), space, judge.clone(), Vec::new(), LlmOptions::default());
        for _ in 0..PROPOSALS {
            for (draft, verdict) in proposed(&mut study, &mut architect) {
                assert!(!matches!(verdict, Verdict::Unreadable { .. }), "{}", draft.text);
                if let Verdict::Admitted { hash, .. } = verdict {
                    admitted += 1;
                    hashes.insert(hash);
                }
            }
        }
    }
    let all = PROPOSALS as usize * CONTRACTS.len();
    assert!(admitted * 100 >= all * 99, "{admitted} of {all}");
    assert!(hashes.len() * 10 >= admitted * 9, "{} of {admitted}", hashes.len());
}

/// Of four drafts one that is admitted is proposed, and all are paid for.
#[test]
fn the_best_of_some_drafts_is_proposed() {
    let contract = under(CONTRACTS[0]);
    let (judge, study) = (judge(&contract), opened(&contract));
    let asked = |drafts: usize| {
        let options = LlmOptions { drafts, ..LlmOptions::default() };
        let (space, model) = (Space::new(&contract), Box::new(Together(Chance)));
        let mut architect = LlmArchitect::new(model, space, judge.clone(), Vec::new(), options);
        let draft = |proposal| {
            let brief = Brief { contract: &contract, study: &study, proposal, attempt: 0, surrogate: None };
            architect.propose(&brief).expect("a draft")
        };
        (1..=30).map(draft).collect::<Vec<Draft>>()
    };
    let [single, best] = [1, 4].map(asked);
    let fitting = |drafts: &[Draft]| drafts.iter().filter(|draft| judge.fits(&draft.text)).count();
    let (one, four) = (fitting(&single), fitting(&best));
    // Where p of the drafts fit, 1 - (1 - p)⁴ of the proposals do.
    let expected = 30.0 * (1.0 - (1.0 - one as f64 / 30.0).powi(4));
    assert!(one < 25 && four as f64 > expected - 6.0, "{one} and {four}");
    assert_eq!(single[0].prompt_tokens, best[0].prompt_tokens);
    assert!(best[0].completion_tokens > 2 * single[0].completion_tokens);
}

/// Faults that hide each other: heads that do not divide the channels, and behind them eighteen times the budget.
const DRAFT: &str = r#"{"encoder":{"input":192,"source":{"kind":"pretrained","backbone":"mobilenet_v2","cut":"s32","cuts":2},"blocks":[{"op":"self_attention","heads":12,"expand":4},{"op":"self_attention","heads":4,"expand":4},{"op":"self_attention","heads":12,"expand":1},{"op":"self_attention","heads":4,"expand":1}]},"bridge":{"dim":128,"dropout_pct":0,"positions":"none"},"decoder":{"family":"convolution","memory":"grid","dim":128,"layers":2,"kernel":2,"dropout_pct":20},"recipe":{"lr":0.01,"schedule":"linear","weight_decay":0.0001,"label_smoothing":0.05,"clip":5.0,"batch":16,"optimizer":"sgd","scheduled_sampling_pct":0,"encoder_lr":0.1,"freeze_encoder":0}}"#;

#[test]
fn a_draft_with_several_faults_is_offered_what_mends_it() {
    let contract = under(CONTRACTS[0]);
    let (judge, study) = (judge(&contract), opened(&contract));
    assert!(!judge.fits(DRAFT));
    let mut architect = LlmArchitect::new(
        Box::new(Chance),
        Space::new(&contract),
        judge.clone(),
        Vec::new(),
        LlmOptions::default(),
    );
    for proposal in 1..=10 {
        let brief = Brief { contract: &contract, study: &study, proposal, attempt: 1, surrogate: None };
        let mended = architect.repair(&brief, DRAFT, &["heads".into()]).expect("an answer").text;
        assert!(judge.fits(&mended), "{mended}");
    }
}

/// Of a refused change of a design comes a design that was made from the same; of a text that is none, one of its own.
#[test]
fn what_mends_a_change_of_a_design_has_its_parents() {
    let contract = under(CONTRACTS[0]);
    let judge = judge(&contract);
    let architect = || {
        let (space, options) = (Space::new(&contract), LlmOptions::default());
        LlmArchitect::new(Box::new(Chance), space, judge.clone(), Vec::new(), options)
    };
    let repaired = |text: &str| {
        let mut study = opened(&contract);
        let mut random = RandomArchitect::new(Space::new(&contract), judge.clone());
        proposed(&mut study, &mut random);
        let refused = draft(2, Verdict::Unreadable { diagnostics: vec![] });
        let refused = Proposal { text: text.to_owned(), parents: vec![1], ..refused };
        study.apply(&Event::Proposed(Box::new(refused))).expect("it follows");
        let brief = Brief { contract: &contract, study: &study, proposal: 2, attempt: 1, surrogate: None };
        architect().repair(&brief, text, &["heads".into()]).expect("an answer").parents
    };
    assert_eq!(repaired(DRAFT), [1]);
    assert_eq!(repaired("no design"), [] as [u64; 0]);
}
