//! Searches against exhaustive ones, and draws against exact probabilities.

use super::*;
use crate::decoder::Session;
use crate::testing;
use capwright_caption_data::Vocabulary;

/// Mean log-probability per word of a caption, END counted.
fn mean_score(spec: &DecoderSpec, params: &Params, memory: &TensorData, words: &[u32]) -> f64 {
    let mut session = Session::new(spec, params, memory.clone());
    let said: Vec<u32> = words.iter().copied().chain([Vocabulary::EOS]).collect();
    let mut read = Vocabulary::BOS;
    let mut sum = 0.0;
    for word in &said {
        let logits = session.step(&[read]);
        sum += f64::from(logits[*word as usize]) - log_sum_exp(&logits);
        read = *word;
    }
    sum / said.len() as f64
}

/// All captions of one to three words over the words 4 to 6.
fn all_captions() -> Vec<Vec<u32>> {
    let longer = |c: &Vec<u32>| (4..7).map(|w| c.iter().copied().chain([w]).collect()).collect::<Vec<_>>();
    let one: Vec<Vec<u32>> = longer(&vec![]);
    let two: Vec<Vec<u32>> = one.iter().flat_map(longer).collect();
    let three: Vec<Vec<u32>> = two.iter().flat_map(longer).collect();
    [one, two, three].concat()
}

#[test]
fn a_wide_beam_finds_the_best_of_all_captions() {
    for spec in testing::families() {
        let (params, memory) = testing::decoder(&spec, 7, 4, 3);
        let found = decode(&spec, &params, memory.clone(), Decoding::of(100, 3));
        let score = |c: &Vec<u32>| mean_score(&spec, &params, &memory, c);
        let best = all_captions().into_iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
        assert_eq!(found, [best], "{spec:?}");
    }
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

#[test]
fn draws_do_not_depend_on_the_batch_nor_on_how_many_there_are() {
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
    }
}
