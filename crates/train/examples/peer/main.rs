//! This side of the comparison with PyTorch: `benches/peer/run.py` runs both and prints the ratios.
//!
//! `peer step|greedy|beam|features DESIGN [ROUNDS]`, `peer network BACKBONE [ROUNDS]`, `peer epoch DATA WORK [STEPS]`, or
//! `peer device cpu|cuda|wgpu DESIGN [IMAGES] [ROUNDS]` for steps on a device: one JSON object with the processor time of each
//! round in seconds (of an image for features and networks, of a step for training, of 32 images for decoding), wall time, and
//! memory in kibibytes.
#![recursion_limit = "256"]

mod designs;
mod epoch;
mod process;

use burn::tensor::{Device, Tensor, TensorData};
use capwright_backbones::find;
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Checked, Design, Param};
use capwright_caption_data::Vocabulary;
use capwright_contract::Decoding;
use capwright_fetch::Cache;
use capwright_study::ComputeDevice;
use capwright_train::decoder::CaptionBatch;
use capwright_train::device::open;
use capwright_train::learner::Learner;
use capwright_train::vision::weights::Tensor32;
use capwright_train::vision::{FrozenNet, Weights};
use capwright_train::{Dropout, Input, Network, Teaching};
use designs::{IMAGES, VOCAB, WORDS, design};
use process::{kibibytes, processor_seconds};
use rayon::prelude::*;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// References of an image, and their words.
const REFERENCES: (usize, usize) = (5, 12);

/// Images decoded at once.
const DECODED: usize = 32;

/// Images of a batch for whole networks.
const BATCH: usize = 16;

/// Images in a round of features.
const ROUND: usize = 20;

/// What is measured.
struct Times {
    /// Processor time of each round.
    seconds: Vec<f64>,
    /// Wall time of each round.
    wall: Vec<f64>,
    /// Loss of the last step, in nats a word.
    loss: f64,
    /// Most anonymous memory that was seen, in kibibytes.
    anonymous: u64,
    /// Learned values of the network, which both sides must have alike; 0 for a frozen backbone.
    learned: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    capwright_train::keep_freed_memory();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |at: usize, otherwise: usize| args.get(at).map_or(Ok(otherwise), |n| n.parse());
    let times = match args[..] {
        ["epoch", data, work, ..] => epoch::epoch(Path::new(data), Path::new(work), number(3, 25)?)?,
        ["network", name, ..] => network(name, number(2, 5)?)?,
        ["step", name, ..] => steps(&design(name, VOCAB)?, &Device::flex(), IMAGES, number(2, 8)?),
        ["device", device, name, ..] => {
            let device: ComputeDevice = serde_json::from_value(device.into())?;
            steps(&design(name, VOCAB)?, &open(device)?, number(3, 128)?, number(4, 8)?)
        }
        ["greedy", name, ..] => decoding(design(name, VOCAB)?.design(), 1, number(2, 8)?),
        ["beam", name, ..] => decoding(design(name, VOCAB)?.design(), 3, number(2, 8)?),
        ["features", name, ..] => features(name, number(2, 200)?)?,
        _ => return Err("give step, greedy, beam or features with a design, or epoch DATA WORK".into()),
    };
    let Times { seconds, wall, loss, anonymous, learned } = times;
    let peak = kibibytes("VmHWM");
    let told = serde_json::json!({ "seconds": seconds, "wall": wall, "loss": loss, "peak": peak, "anonymous": anonymous, "learned": learned });
    println!("{told}");
    Ok(())
}

/// Times rounds of something, after two that are not counted.
fn timed(rounds: usize, mut round: impl FnMut() -> f64) -> Times {
    let mut times = Times { seconds: Vec::new(), wall: Vec::new(), loss: 0.0, anonymous: 0, learned: 0 };
    for i in 0..rounds + 2 {
        let (start, wall) = (processor_seconds(), Instant::now());
        times.loss = round();
        if i >= 2 {
            times.seconds.push(processor_seconds() - start);
            times.wall.push(wall.elapsed().as_secs_f64());
        }
        times.anonymous = times.anonymous.max(kibibytes("RssAnon"));
    }
    times
}

/// Values that look like features or pixels.
fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 31 % 1009) as f32 / 1009.0).powi(2)).collect()
}

/// What a network reads for `images` images, apart from the copy that each call takes.
fn input(design: &Design, images: usize, device: &Device) -> impl Fn() -> Input + use<> {
    let (tokens, channels) = (design.bridge.input.h * design.bridge.input.w, design.bridge.input.c);
    let (frozen, side) = (!design.frozen.is_empty(), design.image_size);
    let data = if frozen {
        TensorData::new(values(images * tokens * channels), [images * tokens, channels])
    } else {
        TensorData::new(values(images * 3 * side * side), [images * 3, side * side])
    };
    let tensor = Tensor::<2>::from_data(data, device);
    move || match frozen {
        true => Input::Tokens(tensor.clone().reshape([images, tokens, channels])),
        false => Input::Map(tensor.clone().reshape([images, 3, side, side])),
    }
}

/// Steps of training with that many images: forward, backward, clipping, AdamW.
fn steps(checked: &Checked, device: &Device, images: usize, rounds: usize) -> Times {
    let (design, recipe) = (checked.design(), &checked.blueprint().recipe);
    let mut learner = Learner::new(design, recipe, 1, &device.clone().autodiff());
    let input = input(design, images, learner.network.params.device());
    let (references, words) = REFERENCES;
    let caption = |i: usize| (0..words).map(|t| (4 + (i * 131 + t * 17) % (VOCAB - 4)) as u32).collect();
    let all: Vec<Vec<Vec<u32>>> =
        (0..images).map(|image| (0..references).map(|r| caption(image * references + r)).collect()).collect();
    let batch = CaptionBatch::new(&all);
    let mut teaching = Teaching::plain(recipe.label_smoothing.0 as f32, Dropout::seeded(1, 1));
    let learned = learner.network.params.elements();
    let times = timed(rounds, || {
        let step = learner.network.step(input(), &batch, &mut teaching);
        learner.step(&step.grads, 1e-3);
        step.loss / step.words as f64
    });
    Times { learned, ..times }
}

/// Captions of exactly [`WORDS`] words, from tokens.
fn decoding(design: &Design, beam: usize, rounds: usize) -> Times {
    let network = Network::new(design, 1, &Device::flex());
    let input = input(design, DECODED, network.params.device());
    let decoding = Decoding { min_words: WORDS, ..Decoding::of(beam, WORDS) };
    let learned = network.params.elements();
    let times = timed(rounds, || {
        let said = network.decode(input(), decoding);
        assert!(said.len() == DECODED && said.iter().all(|words| words.len() == WORDS));
        assert!(said.iter().flatten().all(|word| *word > Vocabulary::UNK));
        0.0
    });
    Times { learned, ..times }
}

/// The real weights of a backbone.
fn weights(name: &str) -> Result<Weights, Box<dyn Error>> {
    let file = find(name).ok_or("the zoo has no such backbone")?.weights();
    Ok(Weights::open(Cache::open_default()?.get(&file)?, file.sha256.as_str())?)
}

/// A whole backbone with its classifier and values of no meaning, over batches of images of the size that it was measured on.
fn network(name: &str, rounds: usize) -> Result<Times, Box<dyn Error>> {
    let backbone = find(name).ok_or("the zoo has no such backbone")?;
    let graph = backbone.graph(backbone.default_size)?.graph;
    // Weights of about the usual size: numbers that fade away would be slow ones.
    let small = |p: Param| {
        let size = if p.shape.len() > 1 {
            (3.0 / p.shape[1..].iter().product::<usize>() as f32).sqrt()
        } else {
            1.0
        };
        let values = values(p.len())
            .into_iter()
            .map(|v| size * (v - 0.2))
            .map(|v| if p.shape.len() == 1 { v.abs() } else { v });
        (p.name.clone(), Tensor32 { values: values.collect(), shape: p.shape })
    };
    let weights = Weights::from_tensors(graph.parameters().into_iter().chain(graph.buffers()).map(small));
    let net = FrozenNet::load(&graph, &weights)?;
    let pixels = values(BATCH * graph.input_shape().len());
    let mut times = timed(rounds, || {
        let images = pixels.par_chunks_exact(graph.input_shape().len());
        images.map(|image| f64::from(net.forward_image(image)[0])).sum()
    });
    times.seconds.iter_mut().chain(&mut times.wall).for_each(|seconds| *seconds /= BATCH as f64);
    Ok(Times { learned: backbone.parameters, ..times })
}

/// The frozen backbone over one image at a time. A round is some images, since the clock of threads may tick in milliseconds.
fn features(name: &str, rounds: usize) -> Result<Times, Box<dyn Error>> {
    let built = find(name).ok_or("the zoo has no such backbone")?.graph(224)?;
    let net = FrozenNet::load(&built.graph.cut(built.cuts[&Cut::S32]), &weights(name)?)?;
    let pixels = values(3 * 224 * 224);
    let mut times =
        timed(rounds.div_ceil(ROUND), || (0..ROUND).map(|_| f64::from(net.forward_image(&pixels)[0])).sum());
    times.seconds.iter_mut().chain(&mut times.wall).for_each(|seconds| *seconds /= ROUND as f64);
    Ok(times)
}
