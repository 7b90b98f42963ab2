//! The command line.

mod data;
mod decoding;
mod study;
mod zoo;

use clap::{Args, Parser, Subcommand};
pub use data::{
    ConvertArgs, DataCommand, DownloadArgs, InspectArgs, ReportArgs, ScenesArgs, ScoreArgs, SplitArgs,
};
pub use decoding::{CaptionArgs, DecodingArgs, EvaluateArgs};
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

/// Arguments of `search`.
#[derive(Debug, Clone, Args)]
pub struct SearchArgs {
    /// What you need, in plain words (English or Chinese).
    #[arg(required_unless_present = "contract", default_value = "")]
    pub request: String,
    /// A contract to start from (TOML, see `capwright contract`); the request and the flags add to it.
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Designs to train [default: 6].
    #[arg(long)]
    pub trials: Option<u32>,
    /// Allow only this backbone of the zoo (repeat for more) [default: a few light ones].
    #[arg(long, value_name = "NAME")]
    pub backbone: Vec<String>,
    /// Allow no encoders trained from scratch.
    #[arg(long)]
    pub no_scratch: bool,
    /// Allow only this decoder family: lstm, gru or transformer (repeat for more).
    #[arg(long, value_name = "FAMILY")]
    pub family: Vec<String>,
    /// Allow only this image size (repeat for more) [default: 64 and 96 on scenes, 224 on your data].
    #[arg(long, value_name = "PIXELS")]
    pub image_size: Vec<u32>,
    /// Multiply-accumulates per image, at most [default on scenes: 60 million, 15 of them trained].
    #[arg(long, value_name = "N")]
    pub max_macs: Option<u64>,
    /// Who proposes: llm, evolution, random, hybrid (whichever of these delivers), or replay:STUDY
    /// [default: llm with --llm-gguf or --llm-url, else hybrid].
    #[arg(long, value_name = "WHO")]
    pub architect: Option<String>,
    #[command(flatten)]
    pub llm: LlmArgs,
    /// Train each design for EPOCHS first, the best third threefold, and so on: more designs in the same time.
    #[arg(long, value_name = "EPOCHS", num_args = 0..=1, default_missing_value = "1")]
    pub halving: Option<u32>,
    /// Once all is tried, train the best N designs again from other seeds (three runs each), and say whether chance explains the
    /// lead of the first.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3")]
    pub finalists: Option<u32>,
    /// Wall hours that the search may take, over all its sittings: begin nothing that is not expected to end by then.
    #[arg(long)]
    pub hours: Option<f64>,
    /// Hours that processors may work for trials, all of them together.
    #[arg(long, value_name = "HOURS")]
    pub cpu_hours: Option<f64>,
    /// Zoo snippets shown as inspiration in each prompt [default: 5].
    #[arg(long)]
    pub snippets: Option<u32>,
    /// Tell the language model nothing of what was tried and found: to measure what that brings.
    #[arg(long)]
    pub blind: bool,
    /// Tokens (read and written) that the language model may spend on the study.
    #[arg(long)]
    pub token_budget: Option<u64>,
    /// What a million tokens of the language model cost, in US dollars; for a contract that bounds its money.
    #[arg(long, value_name = "USD")]
    pub llm_price: Option<f64>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Which language model to use, if any.
#[derive(Debug, Clone, Args)]
pub struct LlmArgs {
    /// A language model file (GGUF) to run in this process.
    #[arg(id = "llm_gguf", long = "llm-gguf", value_name = "FILE")]
    pub gguf: Option<PathBuf>,
    /// Base URL of an OpenAI-compatible server. The key is read from CAPWRIGHT_LLM_KEY.
    #[arg(id = "llm_url", long = "llm-url", value_name = "URL", conflicts_with = "llm_gguf")]
    pub url: Option<String>,
    /// Model name at that server.
    #[arg(id = "llm_model", long = "llm-model", value_name = "NAME", default_value = "default")]
    pub model: String,
    /// Seconds for one answer of the language model, at most.
    #[arg(id = "llm_timeout", long = "llm-timeout", value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}

impl LlmArgs {
    /// Whether a model was named.
    pub fn is_named(&self) -> bool {
        self.gguf.is_some() || self.url.is_some()
    }
}

/// Arguments of `refine`.
#[derive(Debug, Args)]
pub struct RefineArgs {
    /// The model: a study's best/ folder.
    pub model: PathBuf,
    #[command(flatten)]
    pub search: SearchArgs,
}

/// What designs are trained on, and for how long.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Data folder (captions.json, splits.json, images/); without it a small set of drawn scenes is made.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of the study; a new one under capwright-studies/ by default.
    #[arg(long, value_name = "DIR")]
    pub study: Option<PathBuf>,
    /// Epochs of one trial, at most [default: 10 on scenes, 6 on your data].
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Epochs of self-critical training (CIDEr-D as reward) after them, at most [default: 0].
    #[arg(long, value_name = "EPOCHS")]
    pub self_critical: Option<u32>,
    /// The validation score by which epochs and designs are compared [default: that of the contract, else bleu4].
    #[arg(long, value_enum)]
    pub select: Option<SelectArg>,
    /// Epochs without a better score after which a trial stops [default: 3].
    #[arg(long)]
    pub patience: Option<u32>,
    /// Beam width of decoding; 1 is greedy [default: 3].
    #[arg(long)]
    pub beam: Option<usize>,
    /// Longest caption in words [default: 20].
    #[arg(long)]
    pub max_words: Option<usize>,
    /// How often a word must occur in the training captions to be learned [default: 1 on scenes, 5 on your data].
    #[arg(long)]
    pub min_count: Option<u32>,
    /// Learn that many word pieces (byte pair encoding) in place of whole words.
    #[arg(long, value_name = "N", conflicts_with = "min_count")]
    pub pieces: Option<u32>,
    /// Seed of everything [default: 1].
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Scores that epochs can be compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SelectArg {
    /// Corpus BLEU-4.
    Bleu4,
    /// Corpus CIDEr-D.
    CiderD,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Designs: JSON, or TOML with the ending .toml.
    #[arg(required = true)]
    pub designs: Vec<PathBuf>,
    /// A contract that they must keep (TOML, see `capwright contract`).
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Devices that compute training steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceArg {
    /// The best GPU that this program was built for and that is there, or else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA GPU; needs a build with `--features cuda`.
    Cuda,
    /// A GPU by Vulkan, Metal or DirectX; needs a build with `--features wgpu`.
    Wgpu,
}

/// How much of this machine a study may use.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// Trials at once [default: one for each core, at most 4].
    #[arg(long)]
    pub workers: Option<usize>,
    /// Threads of each trial [default: cores over workers].
    #[arg(long)]
    pub threads: Option<usize>,
    /// What computes the training steps of bridge and decoder. A GPU rounds otherwise: its studies are not repeated bit for bit.
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Print the leaderboard as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The study.
    pub study: PathBuf,
    #[command(flatten)]
    pub llm: LlmArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A blueprint: JSON, or TOML with the ending .toml.
    pub file: PathBuf,
    /// Words of the vocabulary for which the cost is computed.
    #[arg(long, default_value_t = 2500)]
    pub vocab: usize,
    /// Longest caption in words.
    #[arg(long, default_value_t = 20)]
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
