//! `capwright leaderboard`, `capwright study`, and opening studies.

use crate::cli::LeaderboardArgs;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_files::write_atomic;
use capwright_pipeline::StudyFolder;
use capwright_report::render_study;
use capwright_store::SqliteStore;
use capwright_study::{Event, Leaderboard, Study, TrialStore};
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

/// Prints a ranking.
pub fn print(study: &Study, json: bool) -> Result<(), Failure> {
    let board = Leaderboard::of(study);
    if json {
        return say_json(&board);
    }
    say(board.table().trim_end());
    Ok(())
}
