//! `capwright leaderboard`, and opening studies.

use crate::cli::LeaderboardArgs;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_pipeline::StudyFolder;
use capwright_store::SqliteStore;
use capwright_study::{Event, Leaderboard, Study, TrialStore};
use std::path::Path;

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

/// Prints a ranking.
pub fn print(study: &Study, json: bool) -> Result<(), Failure> {
    let board = Leaderboard::of(study);
    if json {
        return say_json(&board);
    }
    say(board.table().trim_end());
    Ok(())
}
