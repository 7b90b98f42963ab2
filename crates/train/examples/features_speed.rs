//! Images per second of the frozen backbones, with decoding.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p capwright-train --example features_speed -- DATA [IMAGES]`

use capwright_backbones::{find, zoo};
use capwright_blueprint::language::Cut;
use capwright_caption_data::{Dataset, Preprocess};
use capwright_fetch::Cache;
use capwright_train::vision::{FeatureCache, FeatureSpec, FrozenNet, Variant, Weights};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let data = args.next().ok_or("give a data folder")?;
    let count: usize = args.next().map_or(Ok(128), |n| n.parse())?;
    let dataset = Dataset::load(data)?;
    let images = &dataset.images()[..count.min(dataset.images().len())];
    let preprocess = Preprocess::imagenet(224);
    let mut pixels = vec![0.0; preprocess.numel()];
    let start = Instant::now();
    for image in images {
        preprocess.load_chw(&image.path, &mut pixels)?;
    }
    report("decode and resize", images.len(), start);
    let cache = Cache::open_default()?;
    for backbone in zoo().iter().filter(|b| b.name != "resnet18") {
        let weights = Weights::open(cache.get(&backbone.weights())?, backbone.weights().sha256.as_str())?;
        let built = find(backbone.name).ok_or("zoo")?.graph(224)?;
        let net = FrozenNet::load(&built.graph.cut(built.cuts[&Cut::S32]), &weights)?;
        let start = Instant::now();
        for _ in images {
            net.forward_image(&pixels);
        }
        report(&format!("{} forward", backbone.name), images.len(), start);
        let (folder, backbone) = (tempfile::tempdir()?, backbone.name.to_owned());
        let name = backbone.clone();
        let weights_sha256 = weights.sha256().to_owned();
        let spec = FeatureSpec {
            weights_sha256,
            backbone,
            cut: Cut::S32,
            cuts: 1,
            side: 7,
            preprocess,
            variant: Variant::PLAIN,
        };
        let start = Instant::now();
        FeatureCache::open_or_compute(folder.path(), &spec, images, &net, &mut |_, _| {})?;
        report(&format!("{name} decode, forward, cache"), images.len(), start);
    }
    Ok(())
}

fn report(what: &str, images: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.1} images/s ({images} images, {seconds:.1} s)", images as f64 / seconds);
}
