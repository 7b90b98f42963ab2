//! What the checker says of a design, without building it, is what the built network has.

use burn::tensor::{Device, Tensor, TensorData};
use capwright_backbones::Library;
use capwright_blueprint::language::ImageSize;
use capwright_blueprint::schema::{self, Narrowing};
use capwright_blueprint::{Checked, Design, Target, Zoo, check, read};
use capwright_contract::Decoding;
use capwright_train::decoder::{CaptionBatch, Session};
use capwright_train::learner::Learner;
use capwright_train::macs::counted;
use capwright_train::{Dropout, Grads, Input, Network, Teaching};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const TARGET: Target = Target { vocab: 23, max_words: 6 };

const DECODING: Decoding = Decoding::of(2, TARGET.max_words);

/// Larger designs are the same code with longer rows; they would only make the test slow.
const MOST: u64 = 6_000_000;

fn space() -> serde_json::Value {
    // With some more, for ops that the usual ones do without.
    let more = ["mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "squeezenet1_1", "densenet121"];
    let backbones = [Library::default().usual(), more.map(str::to_owned).to_vec()].concat();
    Narrowing {
        backbones,
        scratch: true,
        sizes: Vec::new(),
        lstm: true,
        gru: true,
        transformer: true,
        convolution: true,
    }
    .schema()
}

/// The first design of a random walk that fits together.
fn valid(seed: u64) -> Checked {
    let (space, zoo, mut rng) = (space(), Library::default(), ChaCha8Rng::seed_from_u64(seed));
    let draw = || read(&schema::sample(&space, &mut rng).to_string()).expect("samples are blueprints");
    let mut fitting = std::iter::repeat_with(draw).filter_map(|b| check(b, &zoo, TARGET).ok());
    fitting.find(|c| c.cost().params_trainable <= MOST).expect("the walk does not end")
}

/// The same design on the smallest images that it can read.
fn smallest(checked: &Checked) -> Checked {
    let sized = |size: &u32| {
        let mut blueprint = checked.blueprint().clone();
        blueprint.encoder.input = ImageSize(*size);
        check(blueprint, &Library::default(), TARGET).ok()
    };
    ImageSize::CHOICES.iter().find_map(sized).expect("its own size fits")
}

/// What the trained part reads: the image, or features of the frozen part.
fn input(network: &Network, design: &Design) -> Input {
    let shape = design.trunk.input_shape();
    let values: Vec<f32> = (0..2 * shape.c * shape.h * shape.w).map(|i| (i as f32 * 0.7).sin()).collect();
    let (device, cells) = (Device::flex(), shape.h * shape.w);
    if network.reads_tokens() {
        Input::Tokens(Tensor::from_data(TensorData::new(values, [2, cells, shape.c]), &device))
    } else {
        Input::Map(Tensor::from_data(TensorData::new(values, [2, shape.c, shape.h, shape.w]), &device))
    }
}

/// One step of training as the recipe has it, at the end of training.
fn step(learner: &mut Learner, checked: &Checked) -> Grads {
    let captions = CaptionBatch::new(&[vec![vec![4, 9, 5]], vec![vec![7, 22, 6, 8, 4]]]);
    let recipe = &checked.blueprint().recipe;
    let mut teaching = Teaching::of_epoch(recipe, 1, recipe.freeze_encoder.0 + 1);
    teaching.at_step(recipe, 9, 10);
    let input = input(&learner.network, checked.design());
    learner.network.step(input, &captions, &mut teaching).grads
}

/// Counts what is done once an image and for each word of captions of full length.
fn decoder_macs(network: &Network, design: &Design, checked: &Checked) -> Result<(), TestCaseError> {
    let (bridge, spec) = (&design.bridge, &design.decoder);
    let memory = network.inner().memory(input(network, design), &mut Dropout::off()).into_data();
    let (mut session, macs) = counted(|| Session::new(spec, &network.params, memory));
    prop_assert_eq!(macs, 2 * spec.macs_per_image(bridge), "once an image, {:?}", checked.blueprint());
    // No word twice: decoders may know what they have read before.
    let positions = TARGET.positions();
    let words = |place: usize| [4 + 2 * place as u32, 5 + 2 * place as u32];
    let (_, macs) = counted(|| (0..positions).for_each(|place| drop(session.step(&words(place)))));
    let each = spec.macs_per_token(bridge, TARGET.vocab, positions);
    prop_assert_eq!(macs, 2 * positions as u64 * each, "for each word, {:?}", checked.blueprint());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn static_parameter_counts_are_those_of_the_built_network(seed in any::<u64>()) {
        let checked = valid(seed);
        let small = smallest(&checked);
        let design = small.design();
        let recipe = &small.blueprint().recipe;
        let mut learner = Learner::new(design, recipe, seed, &Device::flex().autodiff());
        prop_assert_eq!(learner.network.params.elements(), small.cost().params_trainable);
        // A parameter that the forward pass does not use, or uses with another extent, has no such gradient.
        let grads = step(&mut learner, &small);
        let network = &learner.network;
        for (id, (name, shape, _)) in network.params.tensors().enumerate() {
            let size = grads.get(id).map(<[f32]>::len);
            prop_assert_eq!(size, Some(shape.iter().product()), "{} of {:?}", name, checked.blueprint());
        }
        prop_assert!(grads.norm().is_finite());
        let encode = || network.inner().memory(input(network, design), &mut Dropout::off());
        let (_, macs) = counted(encode);
        prop_assert_eq!(macs, 2 * (design.trunk.macs() + design.bridge.macs()), "{:?}", checked.blueprint());
        decoder_macs(network, design, &checked)?;
        let captions = network.inner().decode(input(network, design), DECODING);
        prop_assert_eq!(captions.len(), 2);
        prop_assert!(captions.iter().all(|c| c.len() <= TARGET.max_words), "{captions:?}");
        let norm = learner.step(&grads, recipe.lr.0);
        let learned = learner.learned();
        let finite = learned.params.tensors().all(|(.., values)| values.iter().all(|v| v.is_finite()));
        prop_assert!(norm.is_finite() && finite, "{:?}", checked.blueprint());
    }
}
