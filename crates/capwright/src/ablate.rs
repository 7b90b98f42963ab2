//! `capwright study ablate`: the same budget for different ways to search, seed by seed, and whether the difference is one.

use crate::cli::{AblateArgs, LlmArgs, ResumeArgs, SearchArgs};
use crate::failure::Failure;
use crate::paired::Paired;
use crate::{say, say_json, search, setup, study};
use capwright_contract::MAX_BOUND;
use capwright_files::write_atomic;
use capwright_pipeline::StudyFolder;
use capwright_study::{Leaderboard, Study};
use serde::Serialize;
use serde_json::Value;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One way to search.
#[derive(Debug, Clone, PartialEq)]
struct Arm {
    /// As it was written.
    name: String,
    architect: String,
    snippets: Option<u32>,
    blind: bool,
}

/// What one study came to.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    seed: u64,
    /// The best validation score; 0 where nothing is ranked.
    best: f64,
    proposals: u64,
    admitted: u64,
    trials: usize,
    epochs: u32,
    tokens: u64,
}

/// What the studies of an arm came to.
#[derive(Debug, Serialize)]
struct Row {
    arm: String,
    studies: Vec<Outcome>,
    mean: f64,
    /// Against the first arm; none for itself.
    difference: Option<Paired>,
}

/// The whole table.
#[derive(Debug, Serialize)]
struct Table {
    score: &'static str,
    arms: Vec<Row>,
}

/// Runs what has not been run yet, and compares.
pub fn ablate(args: &AblateArgs) -> Result<(), Failure> {
    let arms = args.arm.iter().map(|text| Arm::read(text)).collect::<Result<Vec<_>, _>>()?;
    let architects: Vec<&str> = arms.iter().map(|arm| arm.architect.as_str()).collect();
    search::refuse_unasked(&architects, &args.search.llm)?;
    let seeds = seeds(args)?;
    let asked = Asked::of(args, &arms)?;
    let stop =
        search::stop_flag("stopping after this step (again to stop at once); the same command goes on");
    for seed in seeds.clone() {
        for arm in &arms {
            let folder = arm.folder(&args.out, seed);
            if finished(&folder, &args.search.llm)? {
                continue;
            }
            tell!("{}, seed {seed}: {}", arm.name, folder.display());
            let ledger = StudyFolder::new(&folder).ledger();
            let done = if ledger.exists() {
                search::go_on(&resumed(&args.search, &folder), stop.clone())
            } else {
                search::run(&arm.arguments(&args.search, &folder, seed), stop.clone())
            };
            if ledger.exists() {
                asked.keep()?;
            }
            done?;
        }
    }
    let table = table(&arms, &args.out, seeds)?;
    if args.search.machine.json {
        return say_json(&table);
    }
    say(table.text().trim_end());
    Ok(())
}

/// Where the arms' language model is kept, whichever options name it.
const MODEL: &str = "language_model";

/// What all studies of an ablation are asked for alike. Kept beside them: with other budgets they would not be comparable.
struct Asked {
    path: PathBuf,
    all: Value,
}

impl Asked {
    /// # Errors
    /// Where the folder holds studies that were asked for otherwise.
    fn of(args: &AblateArgs, arms: &[Arm]) -> Result<Self, Failure> {
        let mut all = serde_json::to_value(&args.search).map_err(Failure::input)?;
        if let Some(path) = &args.search.contract {
            all["contract"] =
                std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?.into();
        }
        if arms.iter().any(|arm| search::asks_a_model(&arm.architect)) {
            all[MODEL] = search::model_name(&args.search.llm)?.into();
        }
        let path = args.out.join("ablation.json");
        let mut kept: Value = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Failure::file(&path, error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => all.clone(),
            Err(error) => return Err(Failure::file(&path, error)),
        };
        share_model(&mut all, &mut kept);
        let names = all.as_object().into_iter().flat_map(|all| all.keys());
        let others: Vec<_> =
            names.filter(|name| all[*name] != kept[*name]).map(|name| name.replace('_', "-")).collect();
        if others.is_empty() {
            return Ok(Self { path, all });
        }
        let (out, others) = (args.out.display(), others.join(", "));
        Err(Failure::input(format!("the studies in {out} were asked for otherwise: {others}"))
            .help("name another folder with --out, or ask as its ablation.json says"))
    }

    fn keep(&self) -> Result<(), Failure> {
        let text = format!("{:#}\n", self.all);
        write_atomic(&self.path, text.as_bytes()).map_err(|error| Failure::file(&self.path, error))
    }
}

/// Each takes over the other's language model where it has none: arms need not ask one, and earlier versions did not keep it.
fn share_model(one: &mut Value, other: &mut Value) {
    let (Some(one), Some(other)) = (one.as_object_mut(), other.as_object_mut()) else { return };
    if let Some(model) = one.get(MODEL).or(other.get(MODEL)).cloned() {
        one.entry(MODEL).or_insert_with(|| model.clone());
        other.entry(MODEL).or_insert(model);
    }
}

/// The seeds of each arm's studies, all of which a contract may have.
fn seeds(args: &AblateArgs) -> Result<Range<u64>, Failure> {
    let first = args.search.run.seed.unwrap_or(1);
    let end = first.saturating_add(u64::from(args.seeds));
    if end > MAX_BOUND {
        return Err(Failure::input(format!("{} seeds from {first} on go beyond {MAX_BOUND}", args.seeds))
            .help("begin with a smaller --seed"));
    }
    Ok(first..end)
}

/// Whether a study is over. One with another language model than is named now would be compared with those of that.
fn finished(folder: &Path, llm: &LlmArgs) -> Result<bool, Failure> {
    if !StudyFolder::new(folder).ledger().exists() {
        return Ok(false);
    }
    let study = load(folder)?;
    if study.finished.is_none() {
        return Ok(false);
    }
    let (begun, now) = (setup::model_of(&study), search::model_name(llm)?);
    match begun.filter(|begun| *begun != now) {
        None => Ok(true),
        Some(begun) => Err(Failure::input(format!(
            "{} was searched with the language model {begun}, and the others would be with {now}",
            folder.display()
        ))
        .help("name the same model, or another folder with --out")),
    }
}

fn load(folder: &Path) -> Result<Study, Failure> {
    Study::fold(study::events(folder)?).map_err(Failure::input)
}

fn resumed(args: &SearchArgs, folder: &Path) -> ResumeArgs {
    ResumeArgs { study: folder.to_path_buf(), llm: args.llm.clone(), machine: args.machine.clone() }
}

impl Arm {
    /// Reads `llm,snippets=0,blind`.
    fn read(text: &str) -> Result<Self, Failure> {
        let mut parts = text.split(',');
        let architect = parts.next().unwrap_or_default().to_owned();
        if !search::is_architect(&architect) {
            return Err(search::no_architect(&architect));
        }
        let mut arm = Self { name: text.to_owned(), architect, snippets: None, blind: false };
        for part in parts {
            let count = part.strip_prefix("snippets=").and_then(|n| n.parse().ok());
            match (part, count) {
                ("blind", _) => arm.blind = true,
                (_, Some(count)) => arm.snippets = Some(count),
                _ => {
                    return Err(Failure::input(format!("an arm cannot have \"{part}\"")).help(
                        "write an architect, and after commas snippets=N or blind, such as llm,snippets=0",
                    ));
                }
            }
        }
        Ok(arm)
    }

    fn folder(&self, out: &Path, seed: u64) -> PathBuf {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        out.join(format!("{}-{seed}", self.name.chars().map(plain).collect::<String>()))
    }

    fn arguments(&self, args: &SearchArgs, folder: &Path, seed: u64) -> SearchArgs {
        let mut args = args.clone();
        args.architect = Some(self.architect.clone());
        args.snippets = self.snippets.or(args.snippets);
        args.blind |= self.blind;
        args.run.seed = Some(seed);
        args.run.study = Some(folder.to_path_buf());
        args
    }
}

fn outcome(study: &Study, seed: u64) -> Outcome {
    let score = study.contract().score();
    let best = Leaderboard::of(study).best().and_then(|trial| study.trials.get(&trial)?.result());
    let sum = |of: fn(&capwright_study::AuthorStats) -> u64| study.authors.values().map(of).sum();
    let tokens = study.tokens();
    Outcome {
        seed,
        best: best.map_or(0.0, |result| result.scores.of(score)),
        proposals: sum(|stats| stats.proposals),
        admitted: sum(|stats| stats.admitted_first + stats.admitted_repaired),
        trials: study.trials.len(),
        epochs: study.trials.values().map(|trial| trial.epochs.len() as u32).sum(),
        tokens: tokens.prompt + tokens.completion,
    }
}

fn table(arms: &[Arm], out: &Path, seeds: Range<u64>) -> Result<Table, Failure> {
    let (mut rows, mut score): (Vec<Row>, _) = (Vec::new(), "");
    for arm in arms {
        let mut studies = Vec::new();
        for seed in seeds.clone() {
            let study = load(&arm.folder(out, seed))?;
            score = study.contract().score().name();
            studies.push(outcome(&study, seed));
        }
        let mean = studies.iter().map(|o| o.best).sum::<f64>() / studies.len().max(1) as f64;
        let difference = rows.first().map(|first: &Row| {
            let pairs = studies.iter().zip(&first.studies).map(|(own, first)| own.best - first.best);
            Paired::new(&pairs.collect::<Vec<_>>())
        });
        rows.push(Row { arm: arm.name.clone(), studies, mean, difference });
    }
    Ok(Table { score, arms: rows })
}

impl Table {
    fn text(&self) -> String {
        let first = self.arms.first().map_or("", |row| row.arm.as_str());
        let mut text = format!(
            "best validation {}, and what it is more than that of {first} (95 % interval, p)\n\n",
            self.score
        );
        text += "| arm | by seed | mean | difference | p | admitted | epochs | tokens |\n|---|---|---|---|---|---|---|---|\n";
        for row in &self.arms {
            let by_seed: Vec<String> = row.studies.iter().map(|o| format!("{:.3}", o.best)).collect();
            let sum = |of: fn(&Outcome) -> u64| row.studies.iter().map(of).sum::<u64>();
            let (difference, p) = row.difference.as_ref().map_or(("".into(), "".into()), |d| {
                (format!("{:+.3} ({:+.3} to {:+.3})", d.mean, d.low, d.high), format!("{:.3}", d.p))
            });
            text += &format!(
                "| {} | {} | {:.3} | {difference} | {p} | {} of {} | {} | {} |\n",
                row.arm,
                by_seed.join(" "),
                row.mean,
                sum(|o| o.admitted),
                sum(|o| o.proposals),
                sum(|o| u64::from(o.epochs)),
                sum(|o| o.tokens),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, StudyCommand};
    use clap::Parser;

    #[test]
    fn studies_of_another_language_model_are_not_compared() {
        let home = tempfile::tempdir().expect("a folder");
        let asked = |arm: &str, model: &str| {
            let out = home.path().display().to_string();
            let line = ["capwright", "study", "ablate", "small", "--arm", arm, "--out", &out];
            let server = ["--llm-url", "http://127.0.0.1:9/v1", "--llm-model", model];
            let command = Cli::parse_from([&line[..], &server].concat()).command;
            let Command::Study(StudyCommand::Ablate(args)) = command else { panic!("it is an ablation") };
            Asked::of(&args, &[Arm::read(arm).expect("an arm")])
        };
        asked("llm", "one").expect("a new folder").keep().expect("writable");
        assert!(asked("llm", "one").is_ok());
        let refused = asked("hybrid", "two").err().expect("another model").to_string();
        assert!(refused.contains("asked for otherwise: language-model"), "{refused}");
        // An arm without one does not make the folder forget it.
        asked("random", "two").expect("no model is asked").keep().expect("writable");
        assert!(asked("llm", "two").is_err());

        let path = home.path().join("ablation.json");
        let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).expect("kept")).expect("JSON");
        kept.as_object_mut().expect("an object").remove(MODEL);
        std::fs::write(&path, kept.to_string()).expect("writable");
        assert!(asked("llm", "two").is_ok(), "of an earlier version");
    }

    #[test]
    fn arms_are_read_and_have_folders_of_their_own() {
        let arm = Arm::read("llm,snippets=0,blind").expect("an arm");
        assert_eq!((arm.architect.as_str(), arm.snippets, arm.blind), ("llm", Some(0), true));
        assert_eq!(arm.folder(Path::new("out"), 3), Path::new("out/llm-snippets-0-blind-3"));
        assert!(Arm::read("llm,snippets=x").is_err());
        assert!(Arm::read("random").is_ok_and(|arm| !arm.blind));
    }
}
