//! Arguments of what trains designs: `search`, `refine`, `train` and `resume`.

use capwright_blueprint::language::ImageSize;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;
use std::path::PathBuf;

/// Longest captions that a contract may allow.
pub(super) fn words() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=100)
}

/// Image sizes of a search where no flag names any.
const USUAL_SIZES: &str = "what contract or request say, else 64 and 96 on scenes, 224 on your data";

/// How image sizes are told: those that the language knows, and what holds where none is named.
fn image_sizes(default: &str) -> String {
    let all: Vec<String> = ImageSize::CHOICES.iter().map(u32::to_string).collect();
    format!("Allow only this image size (repeat for more): {} pixels [default: {default}]", all.join(", "))
}

/// Arguments of `search`.
#[derive(Debug, Clone, Args, Serialize)]
pub struct SearchArgs {
    /// What you need, in plain words (English or Chinese).
    #[arg(required_unless_present = "contract", default_value = "")]
    pub request: String,
    /// A contract to start from (TOML, see `capwright contract`); the request and the flags add to it.
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Designs to train [default: what contract or request say, else 6].
    #[arg(long)]
    pub trials: Option<u32>,
    /// Allow only this backbone of the zoo (repeat for more) [default: those of contract or request, else a few light ones].
    #[arg(long, value_name = "NAME")]
    pub backbone: Vec<String>,
    /// Allow no encoders trained from scratch.
    #[arg(long)]
    pub no_scratch: bool,
    /// Allow only this decoder family: lstm, gru, transformer or convolution (repeat for more).
    #[arg(long, value_name = "FAMILY")]
    pub family: Vec<String>,
    #[arg(long, value_name = "PIXELS", help = image_sizes(USUAL_SIZES))]
    pub image_size: Vec<u32>,
    /// Multiply-accumulates per image, at most; a stricter bound of contract or request holds [default on scenes: 60 million, 15
    /// of them trained].
    #[arg(long, value_name = "N")]
    pub max_macs: Option<u64>,
    /// Who proposes: llm, evolution, random, hybrid (known designs first, then whichever of these delivers), or replay:STUDY
    /// [default: llm with --llm-gguf or --llm-url, else hybrid].
    #[arg(long, value_name = "WHO")]
    pub architect: Option<String>,
    #[command(flatten)]
    #[serde(skip)]
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
    /// Tokens (read and written) that the language model may spend on the study, at most.
    #[arg(long)]
    pub token_budget: Option<u64>,
    /// What a million tokens of the language model cost, in US dollars; for a contract that bounds its money.
    #[arg(long, value_name = "USD")]
    pub llm_price: Option<f64>,
    #[command(flatten)]
    #[serde(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    #[serde(skip)]
    pub machine: MachineArgs,
}

/// Seconds for one answer of a language model, where nobody says how many.
const TIMEOUT: u64 = 120;

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
    // Where --llm-gguf excludes the URL, the URL is not missed: that needs the conflict.
    #[arg(
        id = "llm_model",
        long = "llm-model",
        value_name = "NAME",
        default_value = "default",
        requires = "llm_url",
        conflicts_with = "llm_gguf"
    )]
    pub model: String,
    /// Seconds for one answer of the language model, at most.
    #[arg(id = "llm_timeout", long = "llm-timeout", value_name = "SECONDS", default_value_t = TIMEOUT)]
    pub timeout: u64,
}

impl LlmArgs {
    /// Whether a model was named.
    pub fn is_named(&self) -> bool {
        self.gguf.is_some() || self.url.is_some()
    }

    /// The options that say so, as they are typed, each with a blank before it.
    pub fn typed(&self) -> String {
        let mut typed = String::new();
        if let Some(path) = &self.gguf {
            typed += &format!(" --llm-gguf {}", path.display());
        }
        if let Some(url) = &self.url {
            typed += &format!(" --llm-url {url} --llm-model {}", self.model);
        }
        if self.timeout != TIMEOUT {
            typed += &format!(" --llm-timeout {}", self.timeout);
        }
        typed
    }
}

/// Arguments of `refine`: those of a search, but what is not said is as the model was searched.
#[derive(Debug, Args)]
#[command(mut_arg("request", |arg| arg.help(
    "What the new model shall be: \"smaller\", \"faster\", \"same quality\", and what else you need (English or Chinese)"
)))]
#[command(mut_arg("contract", |arg| arg.help(
    "What the new model must keep, in place of the model's own contract (TOML, see `capwright contract`); the request and \
     the flags add to it"
)))]
#[command(mut_arg("trials", |arg| arg.help("Designs to train [default: what --contract or request say, else 12]")))]
#[command(mut_arg("backbone", |arg| arg.help(
    "Allow only this backbone of the zoo (repeat for more) [default: those of --contract, else those of the model's search]"
)))]
#[command(mut_arg("image_size", |arg| arg.help(
    image_sizes("what --contract or request say, else those of the model's search")
)))]
#[command(mut_arg("max_macs", |arg| arg.help(
    "Multiply-accumulates per image, at most; a stricter bound of contract or request holds [default: what they say]"
)))]
#[command(mut_arg("architect", |arg| arg.help(
    "Who proposes: evolution, which begins with the model's design, llm, random, hybrid (evolution first, then whichever of \
     these delivers), or replay:STUDY [default: hybrid with --llm-gguf or --llm-url, else evolution]"
)))]
#[command(mut_arg("data", |arg| arg.help("Data folder [default: that of the model]")))]
#[command(mut_arg("min_count", |arg| arg.help(
    "How often a word must occur in the training captions to be learned [default: what --contract says, else as for the model]"
)))]
pub struct RefineArgs {
    /// The model: a study's best/ folder.
    pub model: PathBuf,
    #[command(flatten)]
    pub search: SearchArgs,
}

/// What designs are trained on, and for how long.
#[derive(Debug, Clone, Args, Serialize)]
pub struct RunArgs {
    /// Data folder (captions.json, splits.json, images/) [default: that of the contract, else a small set of drawn scenes].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of the study; a new one under capwright-studies/ by default.
    #[arg(long, value_name = "DIR")]
    #[serde(skip)]
    pub study: Option<PathBuf>,
    /// Epochs of one trial, at most [default: what contract or request say, else 10 on scenes, 6 on your data].
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Epochs of self-critical training (CIDEr-D as reward) after them, at most [default: what the contract says, else 0].
    #[arg(long, value_name = "EPOCHS")]
    pub self_critical: Option<u32>,
    /// The validation score by which epochs and designs are compared [default: that of the contract, else bleu4].
    #[arg(long, value_enum)]
    pub select: Option<SelectArg>,
    /// Epochs without a better score after which a trial stops [default: what the contract says, else 3].
    #[arg(long)]
    pub patience: Option<u32>,
    /// Beam width of decoding; 1 is greedy [default: what contract or request say, else 3].
    #[arg(long)]
    pub beam: Option<usize>,
    /// Longest caption in words, or in pieces with --pieces [default: what contract or request say, else 20].
    #[arg(long, value_parser = words())]
    pub max_words: Option<usize>,
    /// How often a word must occur in the training captions to be learned [default: what the contract says, else 1 on scenes, 5 on
    /// your data].
    #[arg(long)]
    pub min_count: Option<u32>,
    /// Learn that many word pieces (byte pair encoding) in place of whole words.
    #[arg(long, value_name = "N", conflicts_with = "min_count")]
    pub pieces: Option<u32>,
    /// Seed of everything [default: that of the contract, else 1].
    #[arg(long)]
    #[serde(skip)]
    pub seed: Option<u64>,
}

/// Scores that epochs can be compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
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
    /// A contract that they must keep (TOML, see `capwright contract`); those that do not are not trained.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn a_model_is_named_at_a_server_alone() {
        let fits = |options: &[&str]| {
            ["search", "contract"].map(|command| {
                Cli::try_parse_from([&["capwright", command, "a GRU"][..], options].concat()).is_ok()
            })
        };
        let (name, url) = (["--llm-model", "qwen3-8b"], ["--llm-url", "http://localhost:80/v1"]);
        assert_eq!(fits(&name), [false; 2]);
        assert_eq!(fits(&[name, ["--llm-gguf", "a.gguf"]].concat()), [false; 2]);
        assert_eq!(fits(&[name, url].concat()), [true; 2]);
        assert_eq!(fits(&url), [true; 2]);
    }

    #[test]
    fn options_of_a_language_model_are_typed_again() {
        let plain = LlmArgs { gguf: None, url: None, model: "default".to_owned(), timeout: TIMEOUT };
        assert_eq!(plain.typed(), "");
        let url = Some("http://localhost:80/v1".to_owned());
        let server = LlmArgs { url, model: "qwen".to_owned(), timeout: 7, ..plain.clone() };
        let typed = " --llm-url http://localhost:80/v1 --llm-model qwen --llm-timeout 7";
        assert_eq!(server.typed(), typed);
        let embedded = LlmArgs { gguf: Some("a.gguf".into()), ..plain };
        assert_eq!(embedded.typed(), " --llm-gguf a.gguf");
    }
}
