//! Arguments of `capwright study`.

use super::SearchArgs;
use capwright_contract::Merit;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as Unknown;
use std::path::PathBuf;

const ABLATE_EXAMPLES: &str = "\
Examples:
  capwright study ablate \"under 2 M parameters\" --trials 12 --halving 1 --select cider-d --out ablation
  capwright study ablate \"the same\" --arm llm --arm llm,snippets=0 --arm llm,blind --seeds 3 --out snippets

Studies lie in the folder, one for each arm and seed; the same command goes on where it was interrupted.";

/// Commands of `study`.
#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// Write one HTML page: history, quality against cost, learning curves, ranking, what each architect brought, what was refused.
    #[command(after_help = "Example:\n  capwright study report capwright-studies/001")]
    Report {
        /// The study; it may still be running.
        study: PathBuf,
        /// The page [default: report.html in the study].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Say what the study would do with one more hour: which trials go on, how many designs would follow.
    #[command(after_help = "Example:\n  capwright study plan capwright-studies/001 --hours 2")]
    Plan {
        /// The study; it may still be running.
        study: PathBuf,
        /// Wall hours.
        #[arg(long, default_value_t = 1.0)]
        hours: f64,
        /// Trials at a time [default: one for each core, at most 4].
        #[arg(long)]
        workers: Option<usize>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the designs that no other is better than in score and in cost: what each step of quality costs.
    #[command(after_help = "Example:\n  capwright study front capwright-studies/001 --cost caption_ms")]
    Front {
        /// The study; it may still be running.
        study: PathBuf,
        /// What counts as cost [default: the second objective of the contract, or parameters in total].
        #[arg(long, value_parser = cost())]
        cost: Option<Merit>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Search again and again with the same budget: each way to search with each seed, and what the differences are.
    #[command(after_help = ABLATE_EXAMPLES)]
    Ablate(Box<AblateArgs>),
}

/// Costs by their names in a contract's objectives.
fn cost() -> impl TypedValueParser<Value = Merit> {
    let names = [
        "caption_ms",
        "caption_joules",
        "params_total",
        "params_trainable",
        "macs_image",
        "macs_token",
        "weight_bytes",
        "training_seconds",
    ];
    PossibleValuesParser::new(names)
        .try_map(|name| Merit::deserialize(name.into_deserializer()).map_err(|e: Unknown| e))
}

/// Refuses an option that the arms of an ablation would override.
fn architect_of_an_arm(_: &str) -> Result<String, &'static str> {
    Err("each arm names its own, with --arm")
}

/// Likewise.
fn folder_of_a_study(_: &str) -> Result<PathBuf, &'static str> {
    Err("each study has a folder of its own in --out")
}

/// Arguments of `study ablate`: those of a search, but for what each study has of its own.
#[derive(Debug, Args)]
#[command(mut_arg("architect", |arg| arg.hide(true).value_parser(architect_of_an_arm)))]
#[command(mut_arg("study", |arg| arg.hide(true).value_parser(folder_of_a_study)))]
pub struct AblateArgs {
    /// A way to search: an architect and, after commas, snippets=N or blind (repeat for more). The others are compared with the
    /// first.
    #[arg(long, value_name = "ARM", default_values = ["random", "evolution", "llm", "hybrid"])]
    pub arm: Vec<String>,
    /// Studies of each arm, with as many seeds from --seed on.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub seeds: u32,
    /// Folder of the studies.
    #[arg(long, value_name = "DIR", default_value = "capwright-studies/ablation")]
    pub out: PathBuf,
    #[command(flatten)]
    pub search: SearchArgs,
}
