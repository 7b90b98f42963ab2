//! `capwright leaderboard`, `capwright study`, and opening studies.

use crate::cli::LeaderboardArgs;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_contract::Merit;
use capwright_files::write_atomic;
use capwright_pipeline::StudyFolder;
use capwright_report::render_study;
use capwright_store::SqliteStore;
use capwright_study::{Event, Leaderboard, Step, Study, TrialStore, describe};
use std::path::{Path, PathBuf};

/// All events of a study.
pub fn events(folder: &Path) -> Result<Vec<Event>, Failure> {
    let path = StudyFolder::new(folder).ledger();
    let mut store = SqliteStore::open_read_only(&path).map_err(Failure::input)?;
    Ok(store.events().map_err(Failure::input)?.into_iter().map(|recorded| recorded.event).collect())
}

/// Prints the ranking of a study.
pub fn leaderboard(args: &LeaderboardArgs) -> Result<(), Failure> {
    let study = Study::fold(events(&args.study)?).map_err(Failure::input)?;
    print(&study, args.json)
}

/// Writes the page of a study.
pub fn report(folder: &Path, out: Option<PathBuf>) -> Result<(), Failure> {
    let page = render_study(&events(folder)?).map_err(Failure::input)?;
    let out = out.unwrap_or_else(|| folder.join("report.html"));
    write_atomic(&out, page.as_bytes()).map_err(|error| Failure::file(&out, error))?;
    say(out.display());
    Ok(())
}

/// Says what a study would do within some hours.
pub fn plan(folder: &Path, hours: f64, workers: Option<usize>, json: bool) -> Result<(), Failure> {
    if !(hours > 0.0 && hours.is_finite()) {
        return Err(Failure::input("--hours must lie above 0"));
    }
    let study = Study::fold(events(folder)?).map_err(Failure::input)?;
    let workers = workers.unwrap_or_else(crate::search::default_workers).max(1);
    let steps = study.plan(hours * 3_600.0, workers);
    if json {
        return say_json(&steps);
    }
    if study.finished.is_some() {
        say("the study is over; a new search with a larger budget would go on from its kind of designs:");
    }
    for step in &steps {
        say(format!(
            "{} (about {:.0} min of one worker)",
            planned(&study, step),
            (step.seconds() / 60.0).ceil()
        ));
    }
    if steps.is_empty() {
        say(format!("nothing that is due ends within {hours} h"));
    }
    Ok(())
}

/// Prints the front of score and cost, the cheapest design first.
pub fn front(folder: &Path, cost: Option<Merit>, json: bool) -> Result<(), Failure> {
    let study = Study::fold(events(folder)?).map_err(Failure::input)?;
    let merit = cost.unwrap_or_else(|| study.cost_merit());
    let board = Leaderboard::of(&study);
    let rows = study.front(&board, merit);
    if json {
        return say_json(&rows);
    }
    say(format!("{} against {}: {} designs", study.contract().score().name(), merit.noun(), rows.len()));
    let ranked = board.rows.len();
    if rows.is_empty() && ranked > 0 && merit == Merit::CaptionJoules {
        say(format!(
            "none of {ranked} ranked designs tells it: the processor's counters (/sys/class/powercap) cannot be read here"
        ));
    }
    for row in &rows {
        let cost = match row.cost {
            small if small < 1.0 => format!("{small:.3}"),
            middle if middle < 1e6 => format!("{middle:.1}"),
            large => format!("{:.2} M", large / 1e6),
        };
        let millions = row.params_total as f64 / 1e6;
        say(format!(
            "{cost:>10}  {:.4}  trial {} after {} epochs, {millions:.2} M parameters: {}",
            row.score, row.trial, row.epochs, row.design
        ));
    }
    Ok(())
}

fn planned(study: &Study, step: &Step) -> String {
    let design = |trial: &u64| study.run(*trial).map(|run| describe(&run.blueprint)).unwrap_or_default();
    match step {
        Step::Train { trial, from: 0, to, .. } => {
            format!("train trial {trial}, {}, for {to} epochs", design(trial))
        }
        Step::Train { trial, from, to, .. } => {
            format!("train trial {trial}, {}, on from {from} to {to} epochs", design(trial))
        }
        Step::Again { of, .. } => format!("train finalist {of}, {}, again from another seed", design(of)),
        Step::Designs { count, .. } => {
            format!("ask for {count} more designs and train each for its first epochs")
        }
    }
}

/// Prints a ranking.
pub fn print(study: &Study, json: bool) -> Result<(), Failure> {
    let board = Leaderboard::of(study);
    if json {
        return say_json(&board);
    }
    say(board.table().trim_end());
    Ok(())
}
