//! The designs that both sides of the comparison build; `benches/peer/models.py` has the same networks.

use capwright_backbones::Library;
use capwright_blueprint::{Checked, Target, parse};
use std::error::Error;

/// Words of the vocabulary that Flickr8k gives with five occurrences at least.
pub const VOCAB: usize = 2543;

/// Longest caption in words.
pub const WORDS: usize = 20;

/// Images in a batch of training.
pub const IMAGES: usize = 24;

const FROZEN: &str = r#"{"input": 224, "source": {"kind": "pretrained", "backbone": "mobilenet_v2", "cut": "s32"}, "blocks": []}"#;

/// An encoder from scratch: 96 pixels, a stem of 16 channels and three stages; 6 × 6 cells of 96 channels.
fn scratch(kind: &str) -> String {
    let stage = |out| format!(r#"{{"kind": "{kind}", "out": {out}, "repeat": 1}}"#);
    let stages = [32, 64, 96].map(stage).join(", ");
    format!(
        r#"{{"input": 96, "source": {{"kind": "scratch", "stem": 16, "stages": [{stages}]}}, "blocks": []}}"#
    )
}

fn recurrent(cell: &str, embed: usize, hidden: usize) -> String {
    format!(
        r#"{{"family": "recurrent", "cell": "{cell}", "embed": {embed}, "hidden": {hidden}, "layers": 1,
        "image": "initial_state", "attention": "additive", "dropout_pct": 30}}"#
    )
}

/// The design of that name.
///
/// # Errors
/// A name that there is not, or a design that does not fit together.
pub fn design(name: &str, vocab: usize) -> Result<Checked, Box<dyn Error>> {
    let transformer = r#"{"family": "transformer", "memory": "grid", "dim": 256, "layers": 2, "heads": 4, "ff": 4,
        "dropout_pct": 10}"#;
    let (encoder, bridge, decoder) = match name {
        "lstm" | "gru" => (FROZEN.to_owned(), 256, recurrent(name, 256, 512)),
        "transformer" => (FROZEN.to_owned(), 256, transformer.to_owned()),
        "conv" | "separable" | "basic" => (scratch(name), 128, recurrent("lstm", 128, 256)),
        _ => return Err(format!("there is no design {name}").into()),
    };
    let text = format!(
        r#"{{"encoder": {encoder}, "bridge": {{"dim": {bridge}, "dropout_pct": 0}}, "decoder": {decoder},
        "recipe": {{"lr": 0.001, "schedule": "constant", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 5.0,
            "batch": {IMAGES}}}}}"#
    );
    parse(&text, &Library::default(), Target { vocab, max_words: WORDS }).map_err(|all| {
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        all.join("\n").into()
    })
}
