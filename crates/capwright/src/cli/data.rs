//! The command line of data sets and of scores.

use capwright_caption_metrics::Tokenizer;
use clap::{Args, Subcommand};
use std::path::PathBuf;

pub(super) const SCORE_EXAMPLES: &str = "\
Examples:
  capwright score captions.json --refs annotations/captions_val2017.json
  capwright score mine.json --refs captions.json --against theirs.json --json
  capwright score chinese.json --refs coco-cn.json --tokenizer characters

CAPTIONS holds [{\"image_id\": 1, \"caption\": \"a dog runs\"}, ...] (COCO results), one caption an image; --refs is a COCO captions
file. Images without a caption are left out and counted.";

/// Arguments of `score`.
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// The captions to score (COCO results format).
    #[arg(value_name = "CAPTIONS")]
    pub captions: PathBuf,
    /// The reference captions (COCO captions format).
    #[arg(long, value_name = "FILE")]
    pub refs: PathBuf,
    /// Captions of another model for the same images: a paired test tells whether the difference is more than chance.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The folder of drawn scenes that the captions are about: tells how much of what they say is true.
    #[arg(long, value_name = "DIR")]
    pub scenes: Option<PathBuf>,
    /// What makes words: ptb (the COCO evaluation's, for scripts with spaces) or characters (for Chinese and Japanese).
    #[arg(long, value_name = "NAME", default_value_t)]
    pub tokenizer: Tokenizer,
    /// Draws of the bootstrap that gives the intervals; 0 for none, at most a million.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub draws: usize,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) const REPORT_EXAMPLES: &str = "\
Examples:
  capwright report capwright-studies/001/best --data DIR
  capwright report small=a/best large=b/best theirs.json --data DIR --split val --out compare.html

A model is a model folder, or a file of captions for the split (COCO results format). The others are compared with the first.";

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Model folders or files of captions; NAME=PATH gives a name.
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    /// Data folder.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// train, val or test.
    #[arg(long, default_value = "test")]
    pub split: String,
    /// What makes words: ptb (the COCO evaluation's, for scripts with spaces) or characters (for Chinese and Japanese).
    #[arg(long, value_name = "NAME", default_value_t)]
    pub tokenizer: Tokenizer,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Heading of the page.
    #[arg(long)]
    pub title: Option<String>,
}

/// Commands of `data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Fetch a known data set and unpack it; without a name, list those that are known.
    #[command(
        after_help = "Examples:\n  capwright data download\n  capwright data download coco2017 --out coco\n\n\
                      An interrupted download goes on when the same command is run again."
    )]
    Download(DownloadArgs),
    /// Say what is in a data set: splits, lengths, sizes, duplicates, what is broken.
    #[command(after_help = "Example:\n  capwright data inspect flickr8k --json")]
    Inspect(InspectArgs),
    /// Write a data set in another format.
    #[command(
        after_help = "Examples:\n  capwright data convert dataset_coco.json coco --to folder\n  capwright data convert shards/ photos --to folder"
    )]
    Convert(ConvertArgs),
    /// Make splits by the content of images; near duplicates stay together.
    #[command(after_help = "Example:\n  capwright data split photos --train 0.8 --val 0.1 --test 0.1")]
    Split(SplitArgs),
    /// Draw a data set of coloured shapes with captions, the same for the same seed.
    #[command(
        after_help = "Examples:\n  capwright data make-scenes scenes --train 1000 --val 100 --test 100\n  capwright data make-scenes hard --level 4 --held-out 4"
    )]
    MakeScenes(ScenesArgs),
}

/// Arguments of `data download`.
#[derive(Debug, Args)]
pub struct DownloadArgs {
    /// The data set.
    pub name: Option<String>,
    /// Folder to make or to complete [default: the name].
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// List the data sets that are known.
    #[arg(long, conflicts_with_all = ["name", "out"])]
    pub list: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `data inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A folder or file of any format that is understood.
    pub path: PathBuf,
    /// Its format, where it is not plain from the files: folder, coco, karpathy, tokens, csv, tsv, jsonl, webdataset or parquet.
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `data convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// A folder or file of any format that is understood.
    pub path: PathBuf,
    /// Folder to make.
    pub dir: PathBuf,
    /// Format to write: folder, karpathy, tokens, csv, tsv, jsonl, webdataset or parquet.
    #[arg(long, value_name = "NAME", default_value = "folder")]
    pub to: String,
    /// Format to read, where it is not plain from the files.
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// Broken items in percent that are left out and listed; more are an error.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    pub max_bad: f64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `data split`.
#[derive(Debug, Args)]
pub struct SplitArgs {
    /// The data set, images in plain files.
    pub dir: PathBuf,
    /// Share of training images.
    #[arg(long, default_value_t = 0.8)]
    pub train: f64,
    /// Share of validation images.
    #[arg(long, default_value_t = 0.1)]
    pub val: f64,
    /// Share of test images.
    #[arg(long, default_value_t = 0.1)]
    pub test: f64,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Replace splits that are there already, also broken ones.
    #[arg(long)]
    pub replace: bool,
}

/// Arguments of `data make-scenes`.
#[derive(Debug, Args)]
pub struct ScenesArgs {
    /// Folder to make.
    pub dir: PathBuf,
    /// Training images.
    #[arg(long, default_value_t = 600)]
    pub train: usize,
    /// Validation images.
    #[arg(long, default_value_t = 120)]
    pub val: usize,
    /// Test images.
    #[arg(long, default_value_t = 120)]
    pub test: usize,
    /// Side in pixels.
    #[arg(long, default_value_t = 96)]
    pub size: u32,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Difficulty: 1 (one or two objects) to 4 (textures, small objects, distractors).
    #[arg(long, default_value_t = 1)]
    pub level: u8,
    /// Pairs of colour and shape that only the test images show.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub held_out: usize,
}
