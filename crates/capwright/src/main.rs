//! The `capwright` program: reads the command line, calls the crates, prints.

/// Writes a line on standard error. One that cannot be written (a closed pipe, a full disk) stops no work.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

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
use failure::{Code, Failure};
use std::process::ExitCode;

fn main() -> ExitCode {
    capwright_train::keep_freed_memory();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("CAPWRIGHT_LOG"))
        .with_writer(std::io::stderr)
        // What cannot be written would be told there too, with a panic.
        .log_internal_errors(false)
        .init();
    let cli = Cli::parse();
    zoo::join_all();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.exit_code();
            tell!("{:?}", miette::Report::new(failure));
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
        Command::Footprint { model, photo, decoding } => verify::footprint(&model, &photo, &decoding),
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
            // Into memory first: written to a closed pipe, it would panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "capwright", &mut script);
            say(String::from_utf8_lossy(&script).trim_end());
            Ok(())
        }
        Command::Worker { spec } => worker::run(&spec),
    }
}

/// Prints a line on standard output. Where nobody reads any more (`| head`) it is dropped, and the command comes to the end that it
/// would have had; output that cannot be written otherwise ends the program.
pub fn say(line: impl std::fmt::Display) {
    use std::io::{ErrorKind, Write};
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        let failure = Failure::input(format!("standard output cannot be written: {error}"));
        tell!("{:?}", miette::Report::new(failure));
        std::process::exit(Code::Input as i32);
    }
}

/// Prints a value as JSON on standard output.
pub fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::input)?;
    say(text);
    Ok(())
}
