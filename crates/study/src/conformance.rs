//! What every [`TrialStore`] must do, as tests that an implementation calls from its own. They panic on a fault.

use crate::{
    Epoch, Event, Opened, Prediction, Proposal, SampleCaption, Scores, Study, TrialResult, TrialStore,
    Verdict,
};
use capwright_blueprint::language::Source;
use capwright_blueprint::{Blueprint, Cost};
use capwright_contract::{Clause, Contract, Violation};
use std::collections::BTreeMap;

/// Runs the suite; `make` gives an empty store each time.
///
/// # Panics
/// The store does not conform.
pub fn run<S: TrialStore>(mut make: impl FnMut() -> S) {
    starts_empty(&mut make());
    keeps_order_and_content(&mut make());
    refuses_what_cannot_be_read_back(&mut make());
    appends_together(&mut make());
    holds_many(&mut make());
}

/// Checks that events outlive the store; `open` opens the same, at first empty, place each time.
///
/// # Panics
/// The store does not conform.
pub fn survives_reopen<S: TrialStore>(mut open: impl FnMut() -> S) {
    let events = samples();
    for (i, event) in events.iter().enumerate() {
        let mut store = open();
        assert_eq!(store.events().expect("readable").len(), i, "events before the one appended");
        let seq = store.append(event).expect("appended");
        assert_eq!(seq, i as u64 + 1, "numbers go on after reopening");
    }
    let kept: Vec<Event> = open().events().expect("readable").into_iter().map(|r| r.event).collect();
    assert_eq!(kept, events);
}

fn starts_empty(store: &mut impl TrialStore) {
    assert_eq!(store.events().expect("readable"), []);
}

fn keeps_order_and_content(store: &mut impl TrialStore) {
    let events = samples();
    for (seq, event) in (1..).zip(&events) {
        assert_eq!(store.append(event).expect("appended"), seq, "numbers start at 1 and have no gaps");
    }
    let kept = store.events().expect("readable");
    assert!(kept.windows(2).all(|w| w[0].at_unix_ms <= w[1].at_unix_ms), "times do not go back");
    assert!(
        kept.iter().map(|r| r.seq).eq(1..=events.len() as u64),
        "events come in the order of their numbers"
    );
    assert!(kept.iter().map(|r| &r.event).eq(&events), "events come back unchanged");
    Study::fold(kept.iter().map(|r| &r.event)).expect("the samples are a study");
}

fn refuses_what_cannot_be_read_back(store: &mut impl TrialStore) {
    let bad = Event::TrialEpoch { trial: 1, epoch: Epoch { loss: f64::NAN, ..epoch(1, 0.1) } };
    assert!(store.append(&bad).is_err(), "NaN cannot be written as JSON");
    assert_eq!(store.events().expect("readable"), [], "a refused event leaves nothing");
    assert_eq!(store.append(&Event::TrialStarted { trial: 1 }).expect("appended"), 1, "nor uses up a number");
}

fn appends_together(store: &mut impl TrialStore) {
    let events = samples();
    store.append_all(&events[..5]).expect("appended");
    store.append_all(&[]).expect("nothing to append");
    let bad = Event::TrialEpoch { trial: 1, epoch: Epoch { loss: f64::NAN, ..epoch(1, 0.1) } };
    assert!(store.append_all(&[events[5].clone(), bad]).is_err(), "NaN cannot be written as JSON");
    assert_eq!(
        store.append(&events[5]).expect("appended"),
        6,
        "with one that is refused nothing is appended"
    );
    store.append_all(&events[6..]).expect("appended");
    let kept = store.events().expect("readable");
    assert!(kept.into_iter().map(|r| r.event).eq(events), "events come back in their order");
}

fn holds_many(store: &mut impl TrialStore) {
    let count = 300;
    for trial in 1..=count {
        store.append(&Event::TrialStarted { trial }).expect("appended");
    }
    let kept = store.events().expect("readable");
    assert!(kept.into_iter().map(|r| r.event).eq((1..=count).map(|trial| Event::TrialStarted { trial })));
}

/// A small study with every kind of event and verdict.
pub fn samples() -> Vec<Event> {
    let proposed = |proposal, attempt, verdict| Event::Proposed(Box::new(draft(proposal, attempt, verdict)));
    let scores = |bleu4, distinct| Scores { collapsed: distinct == 1, distinct, ..epoch(1, bleu4).scores };
    vec![
        opened(),
        proposed(1, 0, Verdict::Unreadable { diagnostics: vec![] }),
        proposed(1, 1, Verdict::Rejected { diagnostics: vec![] }),
        proposed(1, 2, admitted(1, "resnet18")),
        Event::TrialStarted { trial: 1 },
        proposed(2, 0, Verdict::Duplicate { hash: "hash of resnet18".to_owned(), trial: 1 }),
        Event::ArchitectFailed {
            proposal: 3,
            author: "llm".to_owned(),
            reason: "no \"answer\"\nin time".to_owned(),
            prompt_tokens: 70,
            completion_tokens: 0,
            useless: true,
        },
        Event::TrialEpoch { trial: 1, epoch: epoch(1, 0.1) },
        proposed(4, 0, Verdict::Violates { violations: vec![violation()] }),
        proposed(4, 1, admitted(2, "mobilenet_v2")),
        proposed(5, 0, admitted(3, "efficientnet_lite0")),
        Event::TrialFinished { trial: 1, result: Box::new(result(scores(0.1 + 0.2, 40))) },
        Event::TrialStarted { trial: 2 },
        Event::TrialStarted { trial: 2 },
        Event::TrialFailed { trial: 2, reason: "the loss is not finite".to_owned() },
        Event::TrialStarted { trial: 3 },
        Event::TrialFinished {
            trial: 3,
            result: Box::new(TrialResult { paused: true, ..result(scores(0.2, 9)) }),
        },
        Event::TrialPromoted { trial: 3, epochs: 4 },
        Event::TrialStarted { trial: 3 },
        Event::TrialFinished { trial: 3, result: Box::new(result(scores(0.9, 1))) },
        Event::TrialRepeated { trial: 4, of: 1 },
        Event::TrialStarted { trial: 4 },
        Event::TrialFinished { trial: 4, result: Box::new(result(scores(0.3, 41))) },
        Event::StudyPaused,
        Event::StudyResumed,
        Event::StudyFinished { best: Some(1) },
    ]
}

/// The first event of a study.
pub fn opened() -> Event {
    let contract = Contract::from_toml(CONTRACT).expect("the sample contract is valid");
    let versions = BTreeMap::from([("capwright".to_owned(), "0.1.0".to_owned())]);
    Event::StudyOpened(Box::new(Opened {
        contract,
        seed: u64::MAX,
        architect: "llm+random".to_owned(),
        versions,
    }))
}

/// A text of an architect.
pub fn draft(proposal: u64, attempt: u32, verdict: Verdict) -> Proposal {
    Proposal {
        proposal,
        attempt,
        author: "random".to_owned(),
        text: "{\"encoder\": \"…\"}\u{0}".to_owned(),
        parents: if proposal > 4 { vec![1, 2] } else { Vec::new() },
        prompt_sha256: (attempt > 0).then(|| "ab".repeat(32)),
        prompt_tokens: 100,
        completion_tokens: 10,
        seconds: 0.1,
        predicted: (proposal > 4).then_some(Prediction { epochs: 1, score: 0.2, sd: 0.05 }),
        verdict,
    }
}

/// The verdict that makes a trial of a design around that backbone.
pub fn admitted(trial: u64, backbone: &str) -> Verdict {
    Verdict::Admitted {
        trial,
        hash: format!("hash of {backbone}"),
        cost: Cost {
            params_total: 3_000_000,
            params_trainable: 1_000_000,
            macs_image: 300_000_000,
            macs_trained: 2_000_000,
            macs_token: 1_500_000,
            weight_bytes: 12_000_000,
        },
        blueprint: Box::new(blueprint(backbone)),
    }
}

/// A design around that backbone.
pub fn blueprint(backbone: &str) -> Blueprint {
    let mut blueprint: Blueprint = serde_json::from_str(BLUEPRINT).expect("the sample design is readable");
    if let Source::Pretrained { backbone: name, .. } = &mut blueprint.encoder.source {
        backbone.clone_into(name);
    }
    blueprint
}

/// An epoch with that BLEU-4.
pub fn epoch(epoch: u32, bleu4: f64) -> Epoch {
    Epoch {
        epoch,
        loss: 1.0 / 3.0,
        grad_norm: 1e-300,
        scores: Scores {
            bleu: [0.6, 0.4, 0.3, bleu4],
            cider_d: 2.0 * bleu4,
            images: 100,
            distinct: 40,
            top_share: 0.1,
            collapsed: false,
        },
        learning_rate: 0.001,
        input_seconds: 0.1,
        sample_seconds: 0.125,
        backward_seconds: 0.5,
        update_seconds: 0.25,
        joules: Some(2.5),
        peak_memory_bytes: Some(1 << 30),
        train_seconds: 1.5,
        score_seconds: 0.5,
        words_per_second: 12_345.678,
        reward: Some(0.7),
    }
}

/// A result with those scores.
pub fn result(scores: Scores) -> TrialResult {
    TrialResult {
        best_epoch: 1,
        epochs: 1,
        paused: false,
        scores,
        built_trainable: 1_000_000,
        model: "model".into(),
        samples: vec![SampleCaption {
            image: "1.jpg".to_owned(),
            caption: "a dog runs".to_owned(),
            references: vec!["a dog is running".to_owned()],
        }],
        by_image: vec![0.25, 0.1],
        caption_ms: Some(20.0),
        caption_joules: Some(0.5),
        seconds: 2.0,
        cpu_seconds: Some(2.0),
        peak_memory_bytes: None,
    }
}

fn violation() -> Violation {
    Violation {
        clause: Clause::ParamsTotal,
        bound: "5000000".to_owned(),
        value: "6000000".to_owned(),
        message: "too many".to_owned(),
        hint: "choose a smaller one".to_owned(),
    }
}

const CONTRACT: &str = r#"
version = 1
request = "a light captioner, under 5 M parameters"
[budgets]
params_total = 5000000
[components]
backbones = ["resnet18", "mobilenet_v2", "efficientnet_lite0"]
scratch = true
image_sizes = [224]
families = ["lstm", "gru", "transformer"]
[decoding]
beam = 3
max_words = 20
[training]
epochs = 4
patience = 2
seed = 7
[search]
trials = 6
max_proposals = 60
repairs = 2
snippets = 5
[data]
dir = "data"
fingerprint = "ab12"
min_count = 1
vocab = 90
"#;

const BLUEPRINT: &str = r#"{"encoder":{"input":224,"source":{"kind":"pretrained","backbone":"resnet18","cut":"s32"},
"blocks":[]},"bridge":{"dim":256,"dropout_pct":10},"decoder":{"family":"recurrent","cell":"lstm",
"embed":256,"hidden":512,"layers":1,"image":"initial_state","attention":"dot","dropout_pct":30},"recipe":{"lr":0.001,
"schedule":"cosine","weight_decay":0.01,"label_smoothing":0.1,"clip":3.0,"batch":32}}"#;
