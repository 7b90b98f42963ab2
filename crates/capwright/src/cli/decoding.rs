//! The command line of a model in use: which models, and how they decode.

use capwright_caption_metrics::Tokenizer;
use clap::Args;
use std::path::PathBuf;

pub(super) const CAPTION_EXAMPLES: &str = "\
Examples:
  capwright caption capwright-studies/001/best photo.jpg other.png
  capwright caption best photo.jpg --beam 5 --length-penalty gnmt:0.7 --no-repeat-ngram 2
  capwright caption best photo.jpg --beam 6 --diverse-groups 3 --n 3
  capwright caption best photo.jpg --sample --top-p 0.9 --seed 7 --n 5 --json
  capwright caption --model 001/best --model 002/best photo.jpg";

pub(super) const EVALUATE_EXAMPLES: &str = "\
Examples:
  capwright evaluate capwright-studies/001/best --data DIR --split test --json
  capwright evaluate best --data DIR --beam 5 --length-penalty gnmt:0.7
  capwright evaluate --model 001/best --model 002/best --data DIR";

/// Arguments of `caption`.
#[derive(Debug, Args)]
#[command(override_usage = "capwright caption [OPTIONS] <MODEL> <PHOTO>...\n       \
                            capwright caption [OPTIONS] --model <MODEL> [--model <MODEL>]... <PHOTO>...")]
pub struct CaptionArgs {
    /// A model folder (such as a study's best/), unless --model names one; then photos: JPEG, PNG, WebP or GIF.
    #[arg(required = true, value_name = "MODEL> <PHOTO")]
    pub paths: Vec<PathBuf>,
    /// A model folder; several of one vocabulary caption together: their probabilities are averaged at each word.
    #[arg(long = "model", value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Captions of each photo: the best of the beam, or that many draws.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub n: usize,
    /// Print JSON; with several captions of a photo, each with its score and log-probability.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub decoding: DecodingArgs,
}

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// A model folder.
    #[arg(required_unless_present = "models", conflicts_with = "models")]
    pub model: Option<PathBuf>,
    /// A model folder; several of one vocabulary caption together: their probabilities are averaged at each word.
    #[arg(long = "model", value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Data folder.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// train, val or test.
    #[arg(long, default_value = "test")]
    pub split: String,
    /// What makes words: ptb (the COCO evaluation's, for scripts with spaces) or characters (for Chinese and Japanese).
    #[arg(long, value_name = "NAME", default_value_t)]
    pub tokenizer: Tokenizer,
    /// Write the captions to this file, in the COCO results format that `score` reads.
    #[arg(long, value_name = "FILE")]
    pub captions: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub decoding: DecodingArgs,
}

/// How captions are decoded; what is not given is as the model was chosen with.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Decoding [default: as the model was chosen with]")]
pub struct DecodingArgs {
    /// Beam width; 1 is greedy.
    #[arg(long, value_name = "N")]
    pub beam: Option<usize>,
    /// Longest caption in words, or in pieces for a model of pieces.
    #[arg(long, value_name = "N")]
    pub max_words: Option<usize>,
    /// Shortest caption in words, or in pieces for a model of pieces.
    #[arg(long, value_name = "N")]
    pub min_words: Option<usize>,
    /// What finished captions are ranked by: log-probability over words (mean), over ((5 + words) / 6)^ALPHA
    /// (gnmt:ALPHA; gnmt alone is gnmt:0.6), or as it is (none).
    #[arg(long, value_name = "HOW")]
    pub length_penalty: Option<String>,
    /// Let no N words in a row occur twice in a caption, or no N pieces for a model of pieces.
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram: Option<usize>,
    /// Divide the beam over groups that avoid each other's words (diverse beam search).
    #[arg(long, value_name = "N")]
    pub diverse_groups: Option<usize>,
    /// What a word that another group has said costs, in nats [default: the model's where it has groups, else 0.5].
    #[arg(long, value_name = "NATS")]
    pub diversity: Option<f64>,
    /// Draw words instead of searching for the likeliest.
    #[arg(long)]
    pub sample: bool,
    /// Draw from the fewest likeliest words with this share of the probability (nucleus).
    #[arg(long, value_name = "SHARE")]
    pub top_p: Option<f64>,
    /// Draw from that many of the likeliest words.
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Below 1, likely words become likelier [default: 1].
    #[arg(long, value_name = "T")]
    pub temperature: Option<f64>,
    /// Seed of the draws [default: 1].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}
