use super::super::weights::{Tensor32, Weights};
use super::*;
use capwright_blueprint::language::Augment;
use capwright_blueprint::{Conv, Graph, Op, Padding};
use capwright_caption_data::{Dataset, SceneOptions, make_scenes, mirrored};

/// One pixel of each quarter of the image, each colour times its number.
pub(crate) fn net() -> FrozenNet {
    scaled(1.0)
}

/// The same times a factor.
pub(crate) fn scaled(factor: f32) -> FrozenNet {
    let mut graph = Graph::new(Shape::new(3, 32, 32));
    let padding = Padding::symmetric(0);
    let conv = Conv {
        input: 3,
        output: 3,
        kernel: 1,
        width: 1,
        stride: 16,
        padding,
        dilation: 1,
        groups: 3,
        bias: false,
    };
    graph.add("tap", Op::Conv(conv), &[0]).unwrap();
    let weight = Tensor32 { shape: vec![3, 1, 1, 1], values: [1.0, 2.0, 3.0].map(|w| w * factor).to_vec() };
    FrozenNet::load(&graph, &Weights::from_tensors([("tap.weight".into(), weight)])).unwrap()
}

pub(crate) fn spec() -> FeatureSpec {
    let preprocess = Preprocess::new(32, [0.0; 3], [1.0; 3]);
    FeatureSpec {
        weights_sha256: "ab".into(),
        backbone: "tap".into(),
        graph_sha256: None,
        cut: Cut::S16,
        cuts: 1,
        side: 2,
        preprocess,
        variant: Variant::PLAIN,
    }
}

/// Features of one image under a variant, by the network itself.
pub(crate) fn by_hand(image: &ImageRecord, variant: Variant) -> Vec<f32> {
    let preprocess = spec().preprocess;
    let whole = preprocess.load_rgb(&image.path).unwrap();
    let mut pixels = vec![0.0; preprocess.numel()];
    preprocess.to_chw(&variant.apply(&whole, 32, &image.sha256).unwrap(), &mut pixels);
    net().forward_image(&pixels).into_iter().map(|x| f16::from_f32(x).to_f32()).collect()
}

#[test]
fn features_are_those_of_the_network_and_are_computed_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = SceneOptions { train: 4, val: 1, test: 1, size: 32, seed: 1 };
    make_scenes(dir.path().join("data"), &options).unwrap();
    let data = Dataset::load(dir.path().join("data")).unwrap();
    let (images, spec, net) = (data.images(), spec(), net());
    let mut heard = Vec::new();
    let mut open = |images: &[ImageRecord], spec: &FeatureSpec| {
        heard.clear();
        let features = FeatureCache::open_or_compute(dir.path(), spec, images, &net, &mut |n, all| {
            heard.push((n, all));
        });
        (features.unwrap(), heard.clone())
    };
    let (features, heard) = open(images, &spec);
    assert_eq!((heard.first(), heard.last()), (Some(&(0, 6)), Some(&(6, 6))));
    assert_eq!(features.shape(), Shape::new(3, 2, 2));
    let mut pixels = vec![0.0; spec.preprocess.numel()];
    spec.preprocess.load_chw(&images[2].path, &mut pixels).unwrap();
    let expected = net.forward_image(&pixels);
    let (batch, tokens) = (features.batch(&[0, 2]), features.tokens(&[2]));
    for (i, value) in expected.iter().enumerate() {
        assert!((batch[12 + i] - value).abs() < 2e-3, "{i}");
        assert_eq!(tokens[i % 4 * 3 + i / 4], batch[12 + i], "{i}");
    }
    assert_eq!(open(images, &spec).1, [(6, 6)], "a second opening computes nothing");
    let other = FeatureSpec { weights_sha256: "ac".into(), ..spec.clone() };
    assert_eq!(open(images, &other).1.first(), Some(&(0, 6)), "other weights, other features");
    assert_eq!(open(&images[1..], &spec).1.first(), Some(&(0, 5)), "other images, other features");
}

#[test]
fn variants_have_features_and_caches_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let options = SceneOptions { train: 4, val: 1, test: 1, size: 32, seed: 1 };
    make_scenes(dir.path().join("data"), &options).unwrap();
    let data = Dataset::load(dir.path().join("data")).unwrap();
    let images = data.images();
    let open = |variant| {
        let spec = FeatureSpec { variant, ..spec() };
        FeatureCache::open_or_compute(dir.path(), &spec, images, &net(), &mut |_, _| {}).unwrap()
    };
    let all: Vec<Features> = Variant::of(Augment::FlipCrop).map(open).collect();
    for (variant, features) in Variant::of(Augment::FlipCrop).zip(&all) {
        for (i, image) in images.iter().enumerate() {
            assert_eq!(features.batch(&[i]), by_hand(image, variant), "{variant:?} of image {i}");
        }
    }
    let mut pixels = vec![0.0; spec().preprocess.numel()];
    let whole = spec().preprocess.load_rgb(&images[0].path).unwrap();
    spec().preprocess.to_chw(&mirrored(&whole, 32).unwrap(), &mut pixels);
    let wanted: Vec<f32> = net().forward_image(&pixels).iter().map(|x| f16::from_f32(*x).to_f32()).collect();
    assert_eq!(all[1].batch(&[0]), wanted);
    let folders = std::fs::read_dir(dir.path()).unwrap().count() - 1;
    assert_eq!(folders, 4, "one cache each");
    let [plain, mirrored] = [Variant::PLAIN, Variant::of(Augment::Flip).last().unwrap()].map(open);
    let both = plain.followed_by(mirrored);
    assert_eq!(both.len(), 12);
    assert_eq!(both.tokens(&[7, 1]), [all[1].tokens(&[1]), all[0].tokens(&[1])].concat());
}

/// The key as the first version with this number made it: caches that lie on disk stay in use.
#[test]
fn features_of_images_as_they_are_keep_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let options = SceneOptions { train: 1, val: 1, test: 1, size: 32, seed: 1 };
    make_scenes(dir.path().join("data"), &options).unwrap();
    let mut image = Dataset::load(dir.path().join("data")).unwrap().images()[0].clone();
    image.sha256 = [7; 32];
    let key: String = spec().key(&[image]).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(key, "564aa36982b5efbe09c775bcc3efdc054f7f4185d9f3340aacbef3b06983745d");
}

/// The name and the weights of a backbone of one's own may stay where its graph is another.
#[test]
fn another_graph_of_one_s_own_has_another_key() {
    let key = |graph: Option<&str>| {
        let graph_sha256 = graph.map(str::to_owned);
        FeatureSpec { graph_sha256, ..spec() }.key(&[])
    };
    assert_eq!(key(Some("ab")), key(Some("ab")));
    assert_ne!(key(Some("ab")), key(Some("ac")));
    assert_ne!(key(Some("ab")), key(None));
}

/// Training would meet infinity, and blame the learning rate.
#[test]
fn features_that_16_bits_cannot_hold_are_an_error() {
    assert!(can_be_kept(&[65_504.0, -65_504.0]) && can_be_kept(&[]));
    assert!([65_536.0, -1e9, f32::INFINITY, f32::NAN].iter().all(|x| !can_be_kept(&[0.0, *x])));
    let dir = tempfile::tempdir().unwrap();
    let options = SceneOptions { train: 1, val: 1, test: 1, size: 32, seed: 1 };
    make_scenes(dir.path().join("data"), &options).unwrap();
    let data = Dataset::load(dir.path().join("data")).unwrap();
    let images = &data.images()[..1];
    let open = |net: &FrozenNet| {
        FeatureCache::open_or_compute(dir.path(), &spec(), images, net, &mut |_, _| {}).map(|all| all.len())
    };
    let told = open(&scaled(1e30)).unwrap_err().to_string();
    let path = images[0].path.display().to_string();
    assert!([path.as_str(), "tap cut at s16", "65504"].iter().all(|part| told.contains(*part)), "{told}");
    assert_eq!(open(&net()).unwrap(), 1, "nothing of it was kept");
}

#[test]
fn a_network_of_another_size_is_refused() {
    let mut spec = spec();
    spec.preprocess.size = 64;
    let root = tempfile::tempdir().unwrap();
    let error = FeatureCache::open_or_compute(root.path(), &spec, &[], &net(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("3×32×32"), "{error}");
}
