//! Amounts by hand, and what the profile's reader refuses.

use super::*;
use crate::bridge::BridgeSpec;
use crate::decoder::{DecoderSpec, RecurrentSpec, TransformerSpec};
use crate::design::Target;
use crate::graph::{Activation, Conv, Graph, Op, Padding, Shape};
use crate::language::{Attention, Between, Cell, Embeddings, FeedForwardKind, ImageMode, Memory, RnnNorm};

fn profile(cost: f64) -> DeviceProfile {
    let costs = Kernel::ALL.iter().map(|k| (*k, cost)).collect();
    let version = DeviceProfile::VERSION;
    DeviceProfile { version, machine: "m".into(), cores: 1, threads: 1, costs, fit_error: 0.0 }
}

fn bridge() -> BridgeSpec {
    BridgeSpec::plain(Memory::Grid, Shape::new(8, 2, 2), 6)
}

fn lstm(attention: Attention) -> RecurrentSpec {
    RecurrentSpec {
        cell: Cell::Lstm,
        embed: 5,
        hidden: 7,
        layers: 1,
        image: ImageMode::InitialState,
        attention,
        dropout_pct: 0,
        embeddings: Embeddings::Separate,
        rnn_norm: RnnNorm::None,
        between: Between::Plain,
    }
}

#[test]
fn a_frozen_convolution_takes_up_norm_and_activation() {
    let mut graph = Graph::new(Shape::new(4, 8, 8));
    let conv = graph.add("c", Op::Conv(Conv::same(4, 16, 3)), &[0]).unwrap();
    let norm = graph.add("n", Op::BatchNorm { channels: 16, eps_micro: 10, fixed: false }, &[conv]).unwrap();
    graph.add("a", Op::Act(Activation::Silu), &[norm]).unwrap();
    let work = frozen_work(&graph);
    assert_eq!(work.of(Kernel::FrozenStep), 1.0);
    assert_eq!(work.of(Kernel::FrozenGemm), (64 * 16 * 36) as f64);
    assert_eq!(work.of(Kernel::FrozenGather), (64 * 36) as f64);
    assert_eq!(work.of(Kernel::FrozenElement), (64 * 16) as f64);
    assert_eq!(work.of(Kernel::FrozenCurve), (64 * 16) as f64);
}

#[test]
fn a_map_with_two_readers_is_not_taken_up() {
    let mut graph = Graph::new(Shape::new(4, 8, 8));
    let conv = graph.add("c", Op::Conv(Conv::pointwise(4, 4)), &[0]).unwrap();
    let act = graph.add("a", Op::Act(Activation::Relu), &[conv]).unwrap();
    graph.add("s", Op::Add, &[conv, act]).unwrap();
    let work = frozen_work(&graph);
    assert_eq!(work.of(Kernel::FrozenStep), 3.0);
    assert_eq!(work.of(Kernel::FrozenElement), (3 * 256) as f64);
    assert_eq!(work.of(Kernel::FrozenGather), 0.0);
}

#[test]
fn each_way_of_convolving_is_its_own_kind() {
    let conv = |input, output, kernel, stride, groups| Conv {
        input,
        output,
        kernel,
        width: kernel,
        stride,
        padding: Padding::symmetric(kernel / 2),
        dilation: 1,
        groups,
        bias: false,
    };
    for (conv, kernel, macs) in [
        (conv(8, 4, 1, 1, 1), Kernel::Gemm, 36 * 4 * 8),
        (conv(8, 4, 1, 2, 1), Kernel::Conv, 9 * 4 * 8),
        (conv(8, 8, 3, 1, 8), Kernel::Depthwise, 36 * 8 * 9),
        (conv(8, 8, 3, 2, 8), Kernel::Strided, 9 * 8 * 9),
        (conv(8, 8, 3, 1, 2), Kernel::Conv, 36 * 8 * 36),
    ] {
        let mut graph = Graph::new(Shape::new(8, 6, 6));
        graph.add("c", Op::Conv(conv), &[0]).unwrap();
        let work = trunk_work(&graph);
        assert_eq!(work.of(kernel), f64::from(macs), "{conv:?}");
        let other = [Kernel::Gemm, Kernel::Conv, Kernel::Depthwise, Kernel::Strided];
        assert_eq!(other.iter().map(|k| work.of(*k)).sum::<f64>(), graph.macs() as f64, "{conv:?}");
    }
}

/// Gates 28 wide from 5 words and 7 states, a vocabulary of 10 from the state.
#[test]
fn words_of_a_recurrence() {
    let spec = DecoderSpec::Recurrent(lstm(Attention::None));
    let greedy = decode_work(&spec, &bridge(), 10, 2, 1);
    assert_eq!(greedy.of(Kernel::Vector), (3 * (28 * 12 + 70)) as f64);
    assert_eq!(greedy.of(Kernel::Weights), 0.0);
    let beam = decode_work(&spec, &bridge(), 10, 2, 3);
    assert_eq!(beam.of(Kernel::Vector), (28 * 12 + 70) as f64);
    assert_eq!(beam.of(Kernel::Weights), (2 * (28 * 12 + 70)) as f64);
    assert_eq!(beam.of(Kernel::Rows), (2 * 3 * (28 * 12 + 70)) as f64);
    assert_eq!(beam.of(Kernel::Rank), (7 * 10) as f64);
    assert_eq!(setup_work(&spec, &bridge()).of(Kernel::Setup), (2 * 7 * 6) as f64);
}

/// The linear layers of one row are the multiply-accumulates that the cost counts.
#[test]
fn linear_layers_agree_with_the_cost() {
    let transformer = TransformerSpec {
        dim: 8,
        layers: 2,
        heads: 2,
        ff: 16,
        dropout_pct: 0,
        norm: Default::default(),
        ff_kind: FeedForwardKind::SwiGlu,
        positions: Default::default(),
        embeddings: Default::default(),
        layer_weights: Default::default(),
    };
    let families = [
        DecoderSpec::Recurrent(lstm(Attention::None)),
        DecoderSpec::Recurrent(lstm(Attention::Dot)),
        DecoderSpec::Transformer(transformer),
    ];
    for spec in families {
        // One step sees one word: a caption of one position.
        let work = decode_work(&spec, &bridge(), 10, 0, 1);
        let macs = work.of(Kernel::Vector) + work.of(Kernel::Attend);
        assert_eq!(macs, spec.macs_per_token(&bridge(), 10, 1) as f64, "{spec:?}");
        let setup = setup_work(&spec, &bridge()).of(Kernel::Setup);
        assert_eq!(setup, spec.macs_per_image(&bridge()) as f64, "{spec:?}");
    }
}

/// 300 states of an LSTM on 300 words: 720 000 weights, of which the nearest cache keeps 131 072.
#[test]
fn weights_that_no_cache_keeps_are_a_kind() {
    let spec = RecurrentSpec { embed: 300, hidden: 300, ..lstm(Attention::None) };
    let work = decode_work(&DecoderSpec::Recurrent(spec), &bridge(), 10, 0, 1);
    assert_eq!(work.of(Kernel::VectorFar), f64::from(4 * 300 * 600 + 3000 - 131_072));
    assert_eq!(work.of(Kernel::StepFarther), 0.0);
    assert_eq!(
        decode_work(&DecoderSpec::Recurrent(lstm(Attention::None)), &bridge(), 10, 0, 1)
            .of(Kernel::VectorFar),
        0.0
    );
}

#[test]
fn the_estimate_is_linear_in_the_costs_and_grows_with_words_and_beam() {
    let design = Design {
        image_size: 32,
        frozen: Vec::new(),
        tuned: None,
        trunk: Graph::new(Shape::new(8, 2, 2)),
        bridge: bridge(),
        decoder: DecoderSpec::Recurrent(lstm(Attention::Additive)),
        target: Target { vocab: 10, max_words: 6 },
    };
    let (one, two) = (latency(&design, &profile(1e-6), 3, 2), latency(&design, &profile(2e-6), 3, 2));
    assert!((two.total_ms - 2.0 * one.total_ms).abs() < 1e-9, "{one:?} {two:?}");
    assert!((one.total_ms - one.encoder_ms - 3.0 * one.per_word_ms).abs() < 1e-9);
    assert!(latency(&design, &profile(1e-6), 4, 2).total_ms > one.total_ms);
    assert!(latency(&design, &profile(1e-6), 3, 3).total_ms > one.total_ms);
    assert_eq!(latency(&design, &profile(1e-6), 4, 3).encoder_ms, one.encoder_ms);
}

#[test]
fn profiles_are_read_back_and_all_their_problems_named() {
    let good = profile(1e-9);
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(DeviceProfile::parse(&text), Ok(good.clone()));
    let mut bad = good;
    bad.version = 0;
    bad.costs.insert(Kernel::Gemm, -1.0);
    bad.costs.remove(&Kernel::Rank);
    let error = DeviceProfile::parse(&serde_json::to_string(&bad).unwrap()).unwrap_err().to_string();
    for part in ["version 0", "a cost of -1 for Gemm", "no cost for Rank"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(DeviceProfile::parse(&" ".repeat(DeviceProfile::MAX_TEXT + 1)).is_err());
    assert!(DeviceProfile::parse("{}").is_err());
}
