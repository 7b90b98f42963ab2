//! Whole designs of the calibration: what kernels take in company.
//!
//! A kernel that is timed alone finds its values in the caches; within a caption others have been there before it. Some
//! designs, drawn once for all from a fixed seed, tell by how much times grow, for the encoder and for the decoder.

use super::{least_seconds, median};
use crate::error::TrainError;
use crate::untrained::{Untrained, photo};
use capwright_backbones::Library;
use capwright_blueprint::latency::{DeviceProfile, Kernel, decode_work, encoder_work, setup_work};
use capwright_blueprint::schema::{self, Narrowing};
use capwright_blueprint::{Checked, DecoderSpec, Target, Zoo, check, read};
use capwright_contract::Decoding;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Designs with a frozen backbone, and as many from scratch.
const EACH: usize = 6;

/// Seed of the draws: nobody should draw designs to test a profile from it.
const SEED: u64 = 0x0063_6170_7772_6967;

/// Multiply-accumulates of an image and learned values, at most: larger ones take long.
const MOST: (u64, u64) = (200_000_000, 8_000_000);

/// Times that each design is visited.
const ROUNDS: usize = 3;

const DECODING: Decoding = Decoding::of(3, 8);

/// The designs, always the same for a zoo.
pub fn calibration_designs() -> Vec<Checked> {
    let (zoo, mut rng) = (Library::default(), ChaCha8Rng::seed_from_u64(SEED));
    let target = Target { vocab: 2000, max_words: DECODING.max_words };
    let mut all = Vec::new();
    for i in 0..2 * EACH {
        let scratch = i % 2 == 0;
        let backbones = if scratch { Vec::new() } else { zoo.usual() };
        let (lstm, gru, transformer) = (i % 3 == 0, i % 3 == 1, i % 3 == 2);
        let space =
            Narrowing { backbones, scratch, sizes: Vec::new(), lstm, gru, transformer, convolution: false }
                .schema();
        let draw = || read(&schema::sample(&space, &mut rng).to_string()).ok();
        let fits = |b| check(b, &zoo, target).ok();
        let small = |c: &Checked| c.cost().macs_image <= MOST.0 && c.cost().params_trainable <= MOST.1;
        // One engine decodes recurrences and Transformers; the costs of the other are those of the trunk.
        let ours = |c: &Checked| match &c.design().decoder {
            _ if c.design().tuned.is_some() => false,
            DecoderSpec::Recurrent(_) | DecoderSpec::TopDown(_) | DecoderSpec::Transformer(_) => true,
            DecoderSpec::Convolution(_) => false,
        };
        let wanted = |c: &Checked| small(c) && ours(c);
        all.extend(std::iter::repeat_with(draw).flatten().filter_map(fits).find(wanted));
    }
    all
}

/// Whether a kind belongs to the decoder.
fn decodes(kernel: Kernel) -> bool {
    kernel >= Kernel::Setup
}

/// Scales the costs of encoder and decoder by the median of measured over estimated time of whole designs.
pub(super) fn scale(profile: &mut DeviceProfile) -> Result<(), TrainError> {
    let (photo, designs) = (photo(), calibration_designs());
    let mut models: Vec<Untrained> =
        designs.iter().map(|c| Untrained::new(c.design(), 1)).collect::<Result<_, _>>()?;
    let mut times = vec![(f64::INFINITY, f64::INFINITY); models.len()];
    // All designs in each round, so that a disturbance of seconds does not hit all rounds of one.
    for _ in 0..ROUNDS {
        for (model, (encode, whole)) in models.iter_mut().zip(&mut times) {
            *encode = encode.min(least_seconds(|| drop(std::hint::black_box(model.encode(&photo)))));
            *whole = whole.min(least_seconds(|| drop(std::hint::black_box(model.caption(&photo, DECODING)))));
        }
    }
    let (mut encoders, mut decoders) = (Vec::new(), Vec::new());
    for (checked, (encode, whole)) in designs.iter().zip(times) {
        let design = checked.design();
        let (spec, bridge) = (&design.decoder, &design.bridge);
        let words = decode_work(spec, bridge, design.target.vocab, DECODING.max_words, DECODING.beam);
        encoders.push(encode / encoder_work(design).seconds(profile));
        decoders.push((whole - encode) / (setup_work(spec, bridge) + words).seconds(profile));
    }
    // Never below 1: company does not make a kernel faster, a disturbed calibration might seem to.
    let (encoder, decoder) = (median(&mut encoders).max(1.0), median(&mut decoders).max(1.0));
    for (kernel, cost) in &mut profile.costs {
        *cost *= if decodes(*kernel) { decoder } else { encoder };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_designs_are_always_the_same_and_all_different() {
        let hashes = |all: Vec<Checked>| all.iter().map(|c| c.hash().to_string()).collect::<Vec<_>>();
        let first = hashes(calibration_designs());
        assert_eq!(first.len(), 2 * EACH);
        assert_eq!(first, hashes(calibration_designs()));
        let different: std::collections::HashSet<&String> = first.iter().collect();
        assert_eq!(different.len(), first.len());
    }

    #[test]
    fn the_decoder_begins_with_its_setup() {
        assert!(decodes(Kernel::Setup) && decodes(Kernel::Step) && decodes(Kernel::Rank));
        assert!(!decodes(Kernel::Image) && !decodes(Kernel::Memory) && !decodes(Kernel::FrozenGemm));
    }
}
