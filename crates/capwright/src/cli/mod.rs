//! The command line.

mod data;
mod decoding;
mod search;
mod study;
mod zoo;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
pub use data::{
    ConvertArgs, DataCommand, DownloadArgs, InspectArgs, ReportArgs, ScenesArgs, ScoreArgs, SplitArgs,
};
pub use decoding::{CaptionArgs, DecodingArgs, EvaluateArgs};
pub use search::{
    DeviceArg, LlmArgs, MachineArgs, RefineArgs, ResumeArgs, RunArgs, SearchArgs, SelectArg, TrainArgs,
};
use std::path::PathBuf;
pub use study::{AblateArgs, StudyCommand};
pub use zoo::ZooCommand;

/// LLM-guided architecture search for image captioning, under a contract.
#[derive(Debug, Parser)]
#[command(name = "capwright", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Search a captioner for a request in plain words.
    #[command(after_help = SEARCH_EXAMPLES)]
    Search(Box<SearchArgs>),
    /// Train designs that you wrote yourself.
    #[command(after_help = TRAIN_EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Search from a model there is: designs near its own, which begin with its values.
    #[command(
        after_help = "Example:\n  capwright refine capwright-studies/001/best \"smaller, same quality\" --trials 12"
    )]
    Refine(Box<RefineArgs>),
    /// Go on with a study that was interrupted or killed.
    #[command(after_help = "Example:\n  capwright resume capwright-studies/001")]
    Resume(ResumeArgs),
    /// Turn a request in plain words into a contract.
    #[command(after_help = CONTRACT_EXAMPLES)]
    Contract(ContractArgs),
    /// Measure a model on this machine against a contract, and write a certificate.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Print captions for photos.
    #[command(after_help = decoding::CAPTION_EXAMPLES)]
    Caption(CaptionArgs),
    /// Score a model on a split of a data set.
    #[command(after_help = decoding::EVALUATE_EXAMPLES)]
    Evaluate(EvaluateArgs),
    /// Score captions against references with the field's metrics.
    #[command(after_help = data::SCORE_EXAMPLES)]
    Score(ScoreArgs),
    /// Write one HTML page about the captions of models: scores, best and worst images, what to beware of.
    #[command(after_help = data::REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Check a blueprint and print its cost, or all that is wrong with it.
    #[command(
        after_help = "Examples:\n  capwright check design.json --vocab 2500\n  capwright check design.toml --fix"
    )]
    Check(CheckArgs),
    /// Explain a diagnostic code, or list all codes.
    #[command(after_help = "Examples:\n  capwright explain CW0107\n  capwright explain --json")]
    Explain(ExplainArgs),
    /// Show the ranking of a study.
    #[command(after_help = "Example:\n  capwright leaderboard capwright-studies/001 --json")]
    Leaderboard(LeaderboardArgs),
    /// What a study tried and found.
    #[command(subcommand)]
    Study(StudyCommand),
    /// The zoo of pretrained backbones.
    #[command(subcommand)]
    Zoo(ZooCommand),
    /// Pretrained weights.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Data sets.
    #[command(subcommand)]
    Data(DataCommand),
    /// This machine.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Caption one photo and print the peak memory of the process in bytes (started by `verify`).
    #[command(hide = true)]
    Footprint {
        /// The model folder.
        model: PathBuf,
        /// The photo.
        photo: PathBuf,
        /// How it is captioned: a decoding in JSON.
        decoding: String,
    },
    /// Run one trial (started by `search`).
    #[command(hide = true)]
    Worker {
        /// The trial's specification.
        spec: PathBuf,
    },
}

const SEARCH_EXAMPLES: &str = "\
Examples:
  capwright search \"a light captioner, under 1 million trainable parameters\"
  capwright search \"under 5 M parameters\" --data flickr8k --trials 8 --beam 3 --epochs 8
  capwright search \"a small GRU captioner\" --llm-url http://localhost:8080/v1 --llm-model qwen3-8b
  capwright search \"the same again\" --architect replay:capwright-studies/001";

const TRAIN_EXAMPLES: &str = "\
Examples:
  capwright train design.json --data flickr8k --epochs 10
  capwright train lstm.toml transformer.toml --data flickr8k --epochs 8 --self-critical 4 --select cider-d";

const CONTRACT_EXAMPLES: &str = "\
Examples:
  capwright contract \"under 5 M parameters, latency below 20 ms, BLEU-4 at least 0.2\"
  capwright contract \"参数不超过500万，延迟低于20毫秒\" --out phone.toml
  capwright search --contract phone.toml --data flickr8k";

const VERIFY_EXAMPLES: &str = "\
Examples:
  capwright verify capwright-studies/001/best
  capwright verify model/ --contract phone.toml --data flickr8k --out certificate";

/// Arguments of `contract`.
#[derive(Debug, Args)]
pub struct ContractArgs {
    /// What you need, in plain words (English or Chinese).
    pub request: String,
    /// Write the contract to this file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Do not ask before writing.
    #[arg(long)]
    pub yes: bool,
    /// Print what was understood, and the contract, as JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub llm: LlmArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A model folder (such as a study's best/).
    pub model: PathBuf,
    /// The contract [default: that of the study in which the model lies].
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Data folder to score on [default: that of the contract].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// train, val or test.
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Write the certificate to FILE.json and FILE.md.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print the certificate as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Sizes of vocabularies: a word beside the four specials, and what the numbers of words can tell apart.
fn vocabulary() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(5..=u64::from(u32::MAX))
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A blueprint: JSON, or TOML with the ending .toml.
    pub file: PathBuf,
    /// Words of the vocabulary for which the cost is computed.
    #[arg(long, default_value_t = 2500, value_parser = vocabulary())]
    pub vocab: usize,
    /// Longest caption in words.
    #[arg(long, default_value_t = 20, value_parser = search::words())]
    pub max_words: usize,
    /// Mend what can be mended without doubt, and write the file.
    #[arg(long)]
    pub fix: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as CW0107; without it all codes are listed.
    pub code: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `leaderboard`.
#[derive(Debug, Args)]
pub struct LeaderboardArgs {
    /// The study.
    pub study: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Commands of `weights`.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Fetch the weights of a backbone (or of the small language model, `smollm2`) into the cache.
    #[command(after_help = "Example:\n  capwright weights fetch mobilenet_v2")]
    Fetch {
        /// Name in the zoo, or `smollm2`.
        name: String,
        /// A file that you have already; its sha256 must be right.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Commands of `device`.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Measure what this machine takes for each kind of work; `check` then estimates the time of a caption.
    #[command(
        after_help = "Examples:\n  capwright device profile\n  capwright device profile --threads 1 --json\n\n\
                      Takes about ten seconds. Nothing else should run meanwhile."
    )]
    Profile {
        /// Threads to measure with [default: one for each core].
        #[arg(long, value_name = "N")]
        threads: Option<usize>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}
