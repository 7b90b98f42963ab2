//! Arguments of `zoo`.

use clap::Subcommand;
use std::path::PathBuf;

/// Commands of `zoo`.
#[derive(Debug, Subcommand)]
pub enum ZooCommand {
    /// List the backbones.
    #[command(after_help = "Examples:\n  capwright zoo list --max-params 6000000 --min-top1 70\n  \
                            capwright zoo list --licence Apache-2.0 --json")]
    List {
        /// With that many learned values at most, classifier included.
        #[arg(long, value_name = "N")]
        max_params: Option<u64>,
        /// With that many multiply-accumulates an image at most.
        #[arg(long, value_name = "N")]
        max_macs: Option<u64>,
        /// With that ImageNet top-1 accuracy at least, in percent.
        #[arg(long, value_name = "PERCENT")]
        min_top1: Option<f32>,
        /// With that licence of the weights.
        #[arg(long)]
        licence: Option<String>,
        /// With a cut of that stride: 8, 16 or 32.
        #[arg(long)]
        stride: Option<usize>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show where a backbone can be cut, what each cut costs, and where its weights come from.
    #[command(after_help = "Example:\n  capwright zoo show resnet50 --size 224 --svg resnet50.svg")]
    Show {
        /// Name in the zoo.
        name: String,
        /// Side of the images in pixels [default: the one that it was measured on].
        #[arg(long)]
        size: Option<usize>,
        /// Draw its stages into this file.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Write its graph into this file, in the form in which one's own are added.
        #[arg(long, value_name = "FILE")]
        graph: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a backbone of your own join the zoo, after checks of its graph and weights.
    #[command(
        after_help = "Example:\n  capwright zoo add my_backbone/   # with backbone.json and weights.safetensors"
    )]
    Add {
        /// Folder with `backbone.json` (docs/zoo.md) and `weights.safetensors`.
        folder: PathBuf,
    },
    /// Take a backbone of your own out of the zoo.
    Remove {
        /// Its name.
        name: String,
    },
    /// Fetch the weights, check every tensor, and say what the network sees in photos.
    #[command(after_help = "Example:\n  capwright zoo verify mobilenet_v2 photo.jpg")]
    Verify {
        /// Name in the zoo.
        name: String,
        /// Photos to classify.
        photos: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}
