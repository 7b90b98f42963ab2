//! What the suites of the driver share: a contract, random designs under it, and a study in a folder of its own.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::pretend::Pretend;
use capwright_backbones::Library;
use capwright_contract::Contract;
use capwright_pipeline::{Driver, Outcome, SearchError, StudyFolder};
use capwright_search::{Architect, Judge, RandomArchitect, Space};
use capwright_study::{ComputeDevice, Event, MemoryStore, Opened, Recorded, StoreError, TrialStore, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

const CONTRACT: &str = r#"
version = 1
request = "a light captioner"
[budgets]
params_trainable = 3000000
[components]
backbones = ["resnet18"]
scratch = true
families = ["lstm", "gru", "transformer"]
image_sizes = [64]
[decoding]
beam = 1
max_words = 10
[training]
epochs = 2
patience = 2
seed = 11
[search]
trials = 7
max_proposals = 12
repairs = 2
snippets = 0
[data]
dir = "data"
fingerprint = "ab"
min_count = 1
vocab = 30
"#;

pub fn contract() -> Contract {
    Contract::from_toml(CONTRACT).unwrap()
}

pub fn judge(contract: &Contract) -> Judge {
    Judge::new(Arc::new(Library::default()), contract.clone())
}

pub fn random() -> RandomArchitect {
    RandomArchitect::new(Space::new(&contract()), judge(&contract()))
}

/// Whether it has a trial go on or a design train again.
pub fn goes_on(event: &Event) -> bool {
    matches!(event, Event::TrialPromoted { .. } | Event::TrialRepeated { .. })
}

/// A store of a process that is killed.
#[derive(Default)]
pub struct Mortal {
    store: MemoryStore,
    /// How many more events of those that go on it may write before the process ends.
    pub survives: Option<usize>,
}

impl TrialStore for Mortal {
    fn append(&mut self, event: &Event) -> Result<u64, StoreError> {
        self.append_all(std::slice::from_ref(event))?;
        Ok(self.events()?.len() as u64)
    }

    fn append_all(&mut self, events: &[Event]) -> Result<(), StoreError> {
        if self.survives == Some(0) {
            let (what, reason) = ("write to the study", "it was killed".to_owned());
            return Err(StoreError::Backend { path: "study.db".into(), what, reason });
        }
        let counted = events.iter().filter(|event| goes_on(event)).count();
        self.survives = self.survives.map(|left| left.saturating_sub(counted));
        self.store.append_all(events)
    }

    fn events(&mut self) -> Result<Vec<Recorded>, StoreError> {
        self.store.events()
    }
}

/// A study in a folder of its own.
pub struct Case {
    pub home: tempfile::TempDir,
    judge: Judge,
    pub store: Mortal,
    begun: bool,
}

impl Case {
    pub fn new() -> Self {
        Self::of(contract())
    }

    pub fn of(contract: Contract) -> Self {
        let (home, mut store) = (tempfile::tempdir().unwrap(), Mortal::default());
        std::fs::write(home.path().join("contract.toml"), contract.to_toml().unwrap()).unwrap();
        let judge = judge(&contract);
        let opened = Opened { contract, seed: 11, architect: "test".into(), versions: BTreeMap::new() };
        store.append(&Event::StudyOpened(Box::new(opened))).unwrap();
        Self { home, judge, store, begun: false }
    }

    pub fn run(
        &mut self,
        architect: &mut dyn Architect,
        executor: &mut Pretend,
    ) -> Result<Outcome, SearchError> {
        let (folder, stop) = (StudyFolder::new(self.home.path()), executor.stop.clone());
        let resumed = std::mem::replace(&mut self.begun, true);
        Driver {
            store: &mut self.store,
            architect,
            judge: &self.judge,
            executor,
            folder: &folder,
            weights: &BTreeMap::new(),
            start: None,
            cache: self.home.path().join("cache"),
            threads: 1,
            device: ComputeDevice::Cpu,
            resumed,
            watch: &mut |_| {},
            stop: &stop,
        }
        .run()
    }

    pub fn events(&mut self) -> Vec<Event> {
        self.store.events().unwrap().into_iter().map(|r| r.event).collect()
    }

    /// Verdicts in order, without clocks.
    pub fn verdicts(&mut self) -> Vec<(u64, u32, String, Verdict)> {
        let proposed = self.events().into_iter().filter_map(|event| match event {
            Event::Proposed(p) => Some((p.proposal, p.attempt, p.text, p.verdict)),
            _ => None,
        });
        proposed.collect()
    }

    pub fn finished(&mut self) -> Vec<u64> {
        let ended = self.events().into_iter().filter_map(|event| match event {
            Event::TrialFinished { trial, .. } => Some(trial),
            _ => None,
        });
        let mut ended: Vec<u64> = ended.collect();
        ended.sort_unstable();
        ended
    }
}
