//! The `capwright` program: reads the command line, calls the crates, prints.

mod ablate;
mod check;
mod cli;
mod contract;
mod data;
mod decoding;
mod device;
mod download;
mod facts;
mod failure;
mod ideas;
mod model;
mod paired;
mod refine;
mod report;
mod score;
mod search;
mod setup;
mod study;
mod train;
mod verify;
mod watch;
mod worker;
mod zoo;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, DeviceCommand, StudyCommand, WeightsCommand};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    capwright_train::keep_freed_memory();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("CAPWRIGHT_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    zoo::join_all();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.exit_code();
            eprintln!("{:?}", miette::Report::new(failure));
            code
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Search(args) => search::search(&args),
        Command::Train(args) => train::train(&args),
        Command::Refine(args) => refine::refine(&args),
        Command::Resume(args) => search::resume(&args),
        Command::Contract(args) => contract::contract(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Footprint { model, photo } => verify::footprint(&model, &photo),
        Command::Caption(args) => model::caption(&args),
        Command::Evaluate(args) => model::evaluate(&args),
        Command::Score(args) => score::score(&args),
        Command::Report(args) => report::report(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => check::explain(&args),
        Command::Leaderboard(args) => study::leaderboard(&args),
        Command::Study(StudyCommand::Report { study, out }) => study::report(&study, out),
        Command::Study(StudyCommand::Plan { study, hours, workers, json }) => {
            study::plan(&study, hours, workers, json)
        }
        Command::Study(StudyCommand::Front { study, cost, json }) => study::front(&study, cost, json),
        Command::Study(StudyCommand::Ablate(args)) => ablate::ablate(&args),
        Command::Zoo(command) => zoo::run(command),
        Command::Weights(WeightsCommand::Fetch { name, file }) => zoo::fetch(&name, file.as_deref()),
        Command::Data(command) => data::run(&command),
        Command::Device(DeviceCommand::Profile { threads, json }) => device::profile(threads, json),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "capwright", &mut std::io::stdout());
            Ok(())
        }
        Command::Worker { spec } => worker::run(&spec),
    }
}

/// Prints a line on standard output; a closed pipe (`| head`) ends the program quietly, as is the custom.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as JSON on standard output.
pub fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::input)?;
    say(text);
    Ok(())
}
