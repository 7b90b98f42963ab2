//! Every metric equals its upstream: pycocoevalcap 1.2 (BLEU, ROUGE-L, CIDEr-D), METEOR 1.5's jar with the same
//! stages and word lists, NLTK (LEMUR's BLEU), and the original CIDEr as computed from the paper by an independent
//! script.
//!
//! The expected numbers come from `tests/fixtures/metrics/make.py`; the rules here repeat the ones there.

mod common;

use capwright_caption_metrics::{Cider, Interner, Meteor, MeteorData, MeteorStats};
use capwright_caption_metrics::{bleu, lemur_bleu, rouge_l, rouge_l_of_corpus};
use common::{Corpus, Draw, Sentence, coco_groups, corrupted, fixture};
use serde::Deserialize;
use std::collections::BTreeMap;

const FUNCTION_WORDS: &str = "a the of on is with";
const SYNONYMS: [(&str, &[u32]); 6] =
    [("dog", &[1]), ("dogs", &[1]), ("hound", &[1, 2]), ("fox", &[2]), ("ball", &[3]), ("orb", &[3, 4])];
const PARAPHRASES: [(&str, &str); 5] =
    [("red ball", "orb"), ("in front of", "before"), ("dog", "red dog"), ("a b", "b a"), ("run", "go on")];
const VOCABULARY: &str = "a a a the the of on is with dog dogs hound fox ball orb red run runs running go in front before \
    b jumps jumped people person's happily happy";

#[derive(Deserialize)]
struct Expected {
    bleu: [f64; 4],
    rouge_l: [f64; 2],
    cider: [f64; 2],
    cider_d: [f64; 2],
    meteor_exact_stem: [f64; 2],
    lemur_bleu: [f64; 2],
}

#[derive(Deserialize)]
struct DrawnFixture {
    images: usize,
    expected: Expected,
    meteor: AllStages,
}

#[derive(Deserialize)]
struct AllStages {
    corpus: f64,
    images: Vec<f64>,
}

#[derive(Deserialize)]
struct CocoFixture {
    sha256: String,
    images: usize,
    expected: BTreeMap<String, Expected>,
}

#[test]
fn drawn_sentences_score_as_upstream() {
    let fixture: DrawnFixture = serde_json::from_str(&fixture("metrics/drawn.json")).unwrap();
    let corpus = drawn(fixture.images);
    assert!(corpus.hyps.iter().any(Vec::is_empty) && corpus.hyps.iter().any(|h| h.len() == 1));
    assert_scores("drawn", &corpus, &fixture.expected, 1e-9);

    let data = MeteorData {
        synonyms: SYNONYMS.iter().map(|(word, sets)| ((*word).to_owned(), sets.to_vec())).collect(),
        paraphrases: PARAPHRASES.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        ..function_words()
    };
    assert_eq!(data.name(), "meteor");
    let (scores, total) = meteor(&corpus, &data);
    for (image, (ours, theirs)) in scores.iter().zip(&fixture.meteor.images).enumerate() {
        assert!((ours - theirs).abs() < 1e-9, "image {image}: {ours}, the jar has {theirs}");
    }
    assert_close("meteor with all stages", total, fixture.meteor.corpus);
}

#[test]
fn coco_val2017_scores_as_upstream() {
    let fixture: CocoFixture = serde_json::from_str(&fixture("metrics/coco.json")).unwrap();
    let Some(groups) = coco_groups(&fixture.sha256) else { return };
    let groups: Vec<Vec<Sentence>> = groups.iter().map(|g| g[..g.len().min(5)].to_vec()).collect();
    assert_eq!(groups.len(), fixture.images);
    let first: Vec<Sentence> = groups.iter().map(|g| g[0].clone()).collect();
    let rest: Vec<Vec<Sentence>> = groups.iter().map(|g| g[1..].to_vec()).collect();
    let mut swapped = first.clone();
    swapped.rotate_left(1);
    let truncated = first.iter().enumerate().map(|(i, s)| s[..s.len().min(1 + i % 9)].to_vec()).collect();
    let damaged = first.iter().enumerate().map(|(i, s)| corrupted(i, s)).collect();
    let cases = [
        ("swapped", swapped, rest.as_slice()),
        ("truncated", truncated, &rest),
        ("corrupted", damaged, &rest),
        ("mixed", mixed(&groups), &groups),
        ("first", first, &rest),
    ];
    assert_eq!(fixture.expected.len(), cases.len());
    for (name, hyps, refs) in cases {
        // Doubled words make many equally good alignments.
        let meteor_tolerance = if name == "corrupted" { 5e-5 } else { 1e-9 };
        assert_scores(name, &Corpus { hyps, refs: refs.to_vec() }, &fixture.expected[name], meteor_tolerance);
    }
}

/// METEOR has its own tolerance: upstream breaks some ties between equally good alignments in a way of its own.
fn assert_scores(name: &str, corpus: &Corpus, expected: &Expected, meteor_tolerance: f64) {
    let Corpus { hyps, refs } = corpus;
    let ours = bleu(hyps, refs).unwrap().scores;
    (0..4).for_each(|n| assert_close(&format!("{name}: BLEU-{}", n + 1), ours[n], expected.bleu[n]));

    assert_close(&format!("{name}: ROUGE-L"), rouge_l_of_corpus(hyps, refs).unwrap(), expected.rouge_l[0]);
    let images: Vec<f64> = hyps.iter().zip(refs).map(|(h, r)| rouge_l(h, r)).collect();
    assert_images(&format!("{name}: ROUGE-L"), &images, &expected.rouge_l);

    let mut words = Interner::default();
    let refs_ids: Vec<Vec<Vec<u32>>> =
        refs.iter().map(|r| r.iter().map(|s| words.ids(s)).collect()).collect();
    let cider = Cider::new(&refs_ids).unwrap();
    let scores: Vec<_> = (0..hyps.len()).map(|image| cider.score(image, &words.ids(&hyps[image]))).collect();
    let images: Vec<f64> = scores.iter().map(|s| s.cider).collect();
    assert_images(&format!("{name}: CIDEr"), &images, &expected.cider);
    let images: Vec<f64> = scores.iter().map(|s| s.cider_d).collect();
    assert_images(&format!("{name}: CIDEr-D"), &images, &expected.cider_d);

    let images: Vec<f64> = hyps.iter().zip(refs).map(|(h, r)| lemur_bleu(h, r)).collect();
    assert_images(&format!("{name}: LEMUR's BLEU"), &images, &expected.lemur_bleu);

    let (images, total) = meteor(corpus, &function_words());
    let mean = images.iter().sum::<f64>() / images.len() as f64;
    for (ours, theirs) in [total, mean].iter().zip(expected.meteor_exact_stem) {
        let apart = (ours - theirs).abs();
        assert!(apart < meteor_tolerance, "{name}: METEOR, exact and stem, is {ours}, the jar has {theirs}");
    }
}

fn assert_close(what: &str, ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-9, "{what} is {ours}, upstream has {theirs}");
}

/// Mean and mean square of the images' scores.
fn assert_images(what: &str, images: &[f64], expected: &[f64]) {
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / images.len() as f64;
    assert_close(&format!("{what}, mean"), mean(&mut images.iter().copied()), expected[0]);
    assert_close(&format!("{what}, mean square"), mean(&mut images.iter().map(|v| v * v)), expected[1]);
}

fn function_words() -> MeteorData {
    let function_words = FUNCTION_WORDS.split_whitespace().map(str::to_owned).collect();
    MeteorData { function_words, ..MeteorData::default() }
}

/// METEOR of the images and of the corpus.
fn meteor(corpus: &Corpus, data: &MeteorData) -> (Vec<f64>, f64) {
    let mut words = Interner::default();
    let hyps: Vec<_> = corpus.hyps.iter().map(|h| words.ids(h)).collect();
    let refs: Vec<Vec<_>> = corpus.refs.iter().map(|r| r.iter().map(|s| words.ids(s)).collect()).collect();
    let meteor = Meteor::new(data, &words);
    let mut total = MeteorStats::default();
    let stats: Vec<MeteorStats> = hyps.iter().zip(&refs).map(|(h, r)| meteor.stats(h, r)).collect();
    stats.iter().for_each(|s| total += *s);
    (stats.iter().map(MeteorStats::score).collect(), total.score())
}

/// Sentences with many repeated words; some are empty or one word long.
fn drawn(images: usize) -> Corpus {
    let vocabulary: Vec<&str> = VOCABULARY.split_whitespace().collect();
    let mut draw = Draw(2014);
    let mut corpus = Corpus { hyps: Vec::new(), refs: Vec::new() };
    for _ in 0..images {
        let length = draw.below(13);
        let base: Vec<&str> = (0..length).map(|_| vocabulary[draw.below(vocabulary.len())]).collect();
        let captions = 2 + draw.below(4);
        let mut captions = (0..captions).map(|_| varied(&base, &vocabulary, &mut draw));
        corpus.hyps.extend(captions.next());
        corpus.refs.push(captions.collect());
    }
    corpus
}

fn varied(base: &[&str], vocabulary: &[&str], draw: &mut Draw) -> Sentence {
    let mut caption = Sentence::new();
    for word in base {
        match draw.below(8) {
            0 => caption.push(vocabulary[draw.below(vocabulary.len())].to_owned()),
            1 => caption.insert(draw.below(caption.len() + 1), (*word).to_owned()),
            2 => (),
            _ => caption.push((*word).to_owned()),
        }
    }
    caption
}

/// A hypothesis for each image made of references: corrupted, another image's, one word, or none.
fn mixed(groups: &[Vec<Sentence>]) -> Vec<Sentence> {
    let hyp = |(i, group): (usize, &Vec<Sentence>)| {
        let (own, other) = (&group[i % group.len()], &groups[(i + 1) % groups.len()][0]);
        match (i % 50, i % 3) {
            (0, _) => Vec::new(),
            (1, _) => own[1..own.len().min(2)].to_vec(),
            (_, 0) => other.clone(),
            (_, 1) => corrupted(i, own),
            _ => [&own[..own.len() / 2], &other[other.len() / 2..]].concat(),
        }
    };
    groups.iter().enumerate().map(hyp).collect()
}
