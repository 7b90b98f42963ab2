//! Searches against exhaustive and slow ones; what holds for every way to decode.

use super::*;
use crate::decoder::Session;
use crate::testing;
use capwright_caption_data::Vocabulary;
use capwright_contract::{Diverse, LengthPenalty};
use proptest::prelude::*;

const PENALTIES: [LengthPenalty; 4] =
    [LengthPenalty::Mean, LengthPenalty::Gnmt(0.7), LengthPenalty::Gnmt(1.5), LengthPenalty::None];

/// A decoder with its values and the memory of its images.
type Decoder = (DecoderSpec, Params, TensorData);

/// Log-probabilities of what follows `said`, read from the start; the mean of the models' probabilities.
fn next(models: &[Decoder], said: &[u32]) -> Vec<f64> {
    let one = |(spec, params, memory): &Decoder| {
        let mut session = Session::new(spec, params, memory.clone());
        let mut logits = session.step(&[Vocabulary::BOS]);
        for word in said {
            logits = session.step(&[*word]);
        }
        let sum: f64 = logits.iter().map(|v| f64::from(*v).exp()).sum();
        logits.iter().map(|v| f64::from(*v).exp() / sum).collect::<Vec<f64>>()
    };
    let all: Vec<Vec<f64>> = models.iter().map(one).collect();
    (0..all[0].len()).map(|w| (all.iter().map(|p| p[w]).sum::<f64>() / all.len() as f64).ln()).collect()
}

/// Log-probability of a caption, END included.
fn log_probability(models: &[Decoder], words: &[u32]) -> f64 {
    let said: Vec<u32> = words.iter().copied().chain([Vocabulary::EOS]).collect();
    (0..said.len()).map(|t| next(models, &said[..t])[said[t] as usize]).sum()
}

/// All captions of one to three words over the words 4 to 6.
fn all_captions() -> Vec<Vec<u32>> {
    let longer = |c: &Vec<u32>| (4..7).map(|w| c.iter().copied().chain([w]).collect()).collect::<Vec<_>>();
    let one: Vec<Vec<u32>> = longer(&vec![]);
    let two: Vec<Vec<u32>> = one.iter().flat_map(longer).collect();
    let three: Vec<Vec<u32>> = two.iter().flat_map(longer).collect();
    [one, two, three].concat()
}

/// What the models say of the images of their memory.
fn say(models: &[Decoder], decoding: &Decoding, n: usize) -> Vec<Vec<Caption>> {
    let model = |(spec, params, memory): &'_ Decoder| (*spec, params.inner(), memory.clone());
    let owned: Vec<Decoder> = models.iter().map(model).collect();
    let streams: Vec<u64> = (0..models[0].2.shape()[0] as u64).collect();
    let models = owned.iter().map(|(spec, params, memory)| Model { spec, params, memory: memory.clone() });
    captions(models.collect(), decoding, n, &streams)
}

fn words(captions: &[Caption]) -> Vec<Vec<u32>> {
    captions.iter().map(|c| c.words.clone()).collect()
}

/// A decoder for one image.
fn single(spec: DecoderSpec, vocab: usize, positions: usize, seed: u64) -> Decoder {
    let (params, memory) = testing::decoder(&spec, vocab, positions, seed);
    (spec, params, memory)
}

/// A wide beam ranks all captions as trying each does.
fn check_ranking(models: &[Decoder]) {
    let all: Vec<(Vec<u32>, f64)> =
        all_captions().into_iter().map(|c| (c.clone(), log_probability(models, &c))).collect();
    for length_penalty in PENALTIES {
        let decoding = Decoding { length_penalty, ..Decoding::of(100, 3) };
        let score = |(words, log): &(Vec<u32>, f64)| length_penalty.score(*log, words.len() + 1);
        let mut ranked: Vec<(Vec<u32>, f64)> = all.iter().map(|c| (c.0.clone(), score(c))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let found = &say(models, &decoding, 39)[0];
        assert_eq!(words(found), ranked.iter().map(|c| c.0.clone()).collect::<Vec<_>>());
        for (caption, (words, score)) in found.iter().zip(&ranked) {
            let log = all.iter().find(|c| c.0 == *words).unwrap().1;
            assert!((caption.score - score).abs() < 1e-4, "{} {score}", caption.score);
            assert!((caption.log_probability - log).abs() < 1e-4);
        }
    }
}

#[test]
fn a_wide_beam_ranks_all_captions_under_each_length_penalty() {
    for spec in testing::families() {
        check_ranking(&[single(spec, 7, 4, 3)]);
    }
}

#[test]
fn an_ensemble_ranks_all_captions_by_the_mean_probability() {
    let families = testing::families();
    check_ranking(&[
        single(families[0], 7, 4, 3),
        single(families[7], 7, 4, 5),
        single(families[5], 7, 4, 8),
    ]);
}

#[test]
fn a_beam_of_one_is_greedy() {
    for spec in testing::families() {
        let (params, memory) = testing::decoder(&spec, 9, 6, 5);
        let found = decode(&spec, &params, memory.clone(), Decoding::of(1, 5));
        let mut session = Session::new(&spec, &params, memory);
        let (mut read, mut words) = (Vocabulary::BOS, Vec::new());
        while words.len() < 5 {
            let logits = session.step(&[read]);
            let allowed = (2..9u32).filter(|w| *w != 3 && (*w != 2 || !words.is_empty()));
            read = allowed.max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize])).unwrap();
            if read == Vocabulary::EOS {
                break;
            }
            words.push(read);
        }
        assert_eq!(found, [words], "{spec:?}");
    }
}

/// Finished captions with their log-probabilities.
type Finished = Vec<(Vec<u32>, f64)>;

/// Diverse beam search as the paper writes it, each hypothesis read from the start and all continuations sorted: what
/// the groups have finished, with its log-probability.
fn slow_diverse(model: &Decoder, beam: usize, diverse: Diverse, max_words: usize) -> Finished {
    struct Open {
        said: Vec<u32>,
        log: f64,
        score: f64,
    }
    let width = beam / diverse.groups;
    let start = || vec![Open { said: Vec::new(), log: 0.0, score: 0.0 }];
    let mut groups: Vec<(Vec<Open>, Finished)> = (0..diverse.groups).map(|_| (start(), Vec::new())).collect();
    for step in 0..=max_words {
        let mut said_now: Vec<u32> = Vec::new();
        for (open, done) in &mut groups {
            let mut all = Vec::new();
            for hypothesis in open.iter() {
                let log = next(std::slice::from_ref(model), &hypothesis.said);
                for word in 2..log.len() as u32 {
                    let end = word == Vocabulary::EOS;
                    if word == Vocabulary::UNK || (end && step == 0) || (!end && step == max_words) {
                        continue;
                    }
                    let times = said_now.iter().filter(|w| **w == word).count() as f64;
                    let score = hypothesis.score + log[word as usize] - diverse.strength * times;
                    let said = [&hypothesis.said[..], &[word]].concat();
                    all.push(Open { said, log: hypothesis.log + log[word as usize], score });
                }
            }
            all.sort_by(|a, b| b.score.total_cmp(&a.score));
            open.clear();
            for (place, mut one) in all.into_iter().enumerate() {
                let word = *one.said.last().unwrap();
                if word == Vocabulary::EOS && place < width {
                    one.said.pop();
                    done.push((one.said, one.log));
                    said_now.push(word);
                } else if word != Vocabulary::EOS && open.len() < width {
                    said_now.push(word);
                    open.push(one);
                }
            }
            if done.len() >= width {
                open.clear();
            }
        }
    }
    groups.into_iter().flat_map(|group| group.1).collect()
}

#[test]
fn diverse_beams_are_those_of_the_paper() {
    let mut differ = 0;
    for (i, spec) in testing::families().into_iter().enumerate() {
        for (beam, groups, strength) in [(4, 2, 0.5), (6, 3, 3.0), (3, 3, 0.2), (4, 1, 1.0), (6, 2, 0.0)] {
            let model = single(spec, 12, 6, i as u64);
            let diverse = Diverse { groups, strength };
            let mut slow = slow_diverse(&model, beam, diverse, 5);
            slow.sort_by(|a, b| (b.1 / (b.0.len() + 1) as f64).total_cmp(&(a.1 / (a.0.len() + 1) as f64)));
            let mut seen = std::collections::HashSet::new();
            slow.retain(|(said, _)| seen.insert(said.clone()));
            let decoding = Decoding { diverse: Some(diverse), ..Decoding::of(beam, 5) };
            let found = &say(std::slice::from_ref(&model), &decoding, 100)[0];
            assert_eq!(
                words(found),
                slow.iter().map(|s| s.0.clone()).collect::<Vec<_>>(),
                "{spec:?} {diverse:?}"
            );
            let close = |(c, s): (&Caption, &(Vec<u32>, f64))| (c.log_probability - s.1).abs() < 1e-4;
            assert!(found.iter().zip(&slow).all(close));
            let plain = say(std::slice::from_ref(&model), &Decoding::of(beam, 5), 100);
            assert!(groups > 1 || *found == plain[0], "one group is plain beam search");
            differ += usize::from(*found != plain[0]);
        }
    }
    assert!(differ > 20, "groups change what is found");
}

/// Ways to decode that are no others' special case.
fn ways() -> Vec<Decoding> {
    let sample = Some(Sampling { temperature: 1.3, top_p: Some(0.95), seed: 4, ..Sampling::default() });
    vec![
        Decoding::of(1, 6),
        Decoding::of(3, 6),
        Decoding { diverse: Some(Diverse { groups: 2, strength: 0.8 }), ..Decoding::of(4, 6) },
        Decoding { sample, ..Decoding::of(1, 6) },
        Decoding {
            length_penalty: LengthPenalty::Gnmt(0.6),
            no_repeat_ngram: Some(2),
            min_words: 3,
            ..Decoding::of(3, 6)
        },
    ]
}

#[test]
fn a_batch_of_images_is_its_images_one_by_one() {
    for spec in testing::families() {
        let (params, memory) = testing::images(&spec, 30, 7, 5, 3);
        let other = testing::families()[0];
        let (others, _) = testing::images(&other, 30, 7, 6, 3);
        for decoding in ways() {
            let said = |memory: &TensorData, streams: &[u64]| {
                let model = |spec, params| Model { spec, params, memory: memory.clone() };
                captions(vec![model(&spec, &params), model(&other, &others)], &decoding, 4, streams)
            };
            let all = said(&memory, &[7, 8, 9]);
            for (i, together) in all.iter().enumerate() {
                let alone = said(&testing::image(&memory, i), &[7 + i as u64]);
                assert_eq!(words(&alone[0]), words(together), "{spec:?} {decoding:?}");
            }
            assert!(all[0] != all[1] || all[1] != all[2], "images differ");
        }
    }
}

#[test]
fn a_model_with_itself_is_the_model() {
    for spec in testing::families() {
        let (params, memory) = testing::images(&spec, 30, 7, 2, 2);
        let model = (spec, params, memory);
        let twice = [(spec, model.1.inner(), model.2.clone()), (spec, model.1.inner(), model.2.clone())];
        for decoding in ways() {
            let (one, two) = (say(std::slice::from_ref(&model), &decoding, 3), say(&twice, &decoding, 3));
            for (a, b) in one.iter().flatten().zip(two.iter().flatten()) {
                assert_eq!(a.words, b.words, "{spec:?} {decoding:?}");
                assert!(
                    (a.score - b.score).abs() < 1e-4 && (a.log_probability - b.log_probability).abs() < 1e-4
                );
            }
            assert_eq!(one.concat().len(), two.concat().len());
        }
    }
}

#[test]
fn draws_do_not_depend_on_how_many_there_are() {
    for spec in testing::families() {
        let (params, memory) = testing::images(&spec, 30, 7, 5, 3);
        let sampling = Sampling { top_p: Some(0.95), seed: 4, ..Sampling::default() };
        let draw = |memory: TensorData, n: usize, streams: &[u64]| {
            sample(&spec, &params, memory, n, sampling, 6, streams)
        };
        let all = draw(memory.clone(), 4, &[10, 11, 12]);
        assert!(all.iter().all(|drawn| drawn.len() == 4));
        for (i, together) in all.iter().enumerate() {
            let alone = draw(testing::image(&memory, i), 2, &[10 + i as u64]);
            assert_eq!(alone[0], together[..2], "{spec:?}");
        }
        let words: Vec<&Vec<u32>> = all.iter().flatten().collect();
        assert!(words.iter().all(|w| !w.is_empty() && w.len() <= 6 && w.iter().all(|id| *id > 3)));
        assert!(words.iter().any(|w| *w != words[0]), "draws differ");
        assert!(draw(memory, 0, &[10, 11, 12]).iter().all(Vec::is_empty));
    }
}

/// The log-probability of what is drawn is the model's, whatever it was drawn from.
#[test]
fn draws_are_scored_by_the_model() {
    let model = single(testing::families()[0], 12, 7, 4);
    let sample = Some(Sampling { temperature: 2.0, top_k: Some(5), ..Sampling::default() });
    let decoding = Decoding { sample, length_penalty: LengthPenalty::Gnmt(0.6), ..Decoding::of(1, 6) };
    for caption in &say(std::slice::from_ref(&model), &decoding, 5)[0] {
        let log = log_probability(std::slice::from_ref(&model), &caption.words);
        assert!((caption.log_probability - log).abs() < 1e-4);
        let score = LengthPenalty::Gnmt(0.6).score(log, caption.words.len() + 1);
        assert!((caption.score - score).abs() < 1e-4);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No n-gram twice; at least as many words as asked for, except where every word is used up; no more than allowed.
    #[test]
    fn captions_keep_their_constraints(
        family in 0usize..10, seed in 0u64..1000, vocab in 6usize..14, way in 0usize..4,
        n in prop::option::of(1usize..4), min_words in 1usize..6, length_penalty in prop::sample::select(&PENALTIES[..]),
    ) {
        let model = single(testing::families()[family], vocab, 7, seed);
        let decoding = Decoding { no_repeat_ngram: n, min_words, length_penalty, ..ways()[way] };
        let said = say(std::slice::from_ref(&model), &decoding, 4).concat();
        prop_assert!(!said.is_empty());
        for Caption { words, log_probability, .. } in said {
            prop_assert!(words.iter().all(|w| *w > Vocabulary::UNK && (*w as usize) < vocab), "{words:?}");
            prop_assert!(words.len() <= 6 && log_probability < 0.0);
            let repeats = |words: &[u32], n: usize| {
                let grams: Vec<&[u32]> = words.windows(n).collect();
                grams.iter().enumerate().any(|(i, gram)| grams[..i].contains(gram))
            };
            prop_assert!(!n.is_some_and(|n| repeats(&words, n)), "{words:?}");
            let used_up = n.is_some_and(|n| (4..vocab as u32).all(|w| repeats(&[&words[..], &[w]].concat(), n)));
            prop_assert!(words.len() >= min_words || used_up, "{words:?}");
        }
    }
}
