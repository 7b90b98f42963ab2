//! Greedy and beam search over a batch of images.
//!
//! Padding, BEGIN and UNKNOWN are never said, and a caption has at least one word; log-probabilities are those of
//! the full softmax. A hypothesis that says END is finished; finished ones are ranked by mean log-probability per
//! word, END counted. A hypothesis of `max_words` words can only say END. The search for an image ends when `beam`
//! hypotheses are finished. Equal scores are ordered by hypothesis, then by word: results never depend on chance.

use crate::decoder::Session;
use crate::params::Params;
use burn::tensor::TensorData;
use capwright_blueprint::DecoderSpec;
use capwright_caption_data::Vocabulary;
use capwright_contract::Decoding;
use std::cmp::Ordering;

struct Live {
    words: Vec<u32>,
    score: f64,
}

/// The search for one image.
struct Search {
    live: Vec<Live>,
    finished: Vec<(Vec<u32>, f64)>,
}

/// A continuation of a live hypothesis.
#[derive(Clone, Copy)]
struct Candidate {
    hypothesis: usize,
    word: u32,
    score: f64,
}

impl Candidate {
    /// Best first.
    fn order(&self, other: &Self) -> Ordering {
        let place = |c: &Self| (c.hypothesis, c.word);
        other.score.total_cmp(&self.score).then_with(|| place(self).cmp(&place(other)))
    }
}

/// Words of the best caption for each image of `memory` `[images, tokens, dim]`, END left out.
///
/// # Panics
/// Where `max_words` is more than the positions that a Transformer has learned: a bug of the caller.
pub fn decode(spec: &DecoderSpec, params: &Params, memory: TensorData, decoding: Decoding) -> Vec<Vec<u32>> {
    let images = memory.shape()[0];
    let (beam, vocab) = (decoding.beam.max(1), params.values("decoder.out.bias").len());
    let mut session = Session::new(spec, params, memory);
    let mut searches: Vec<Search> = (0..images).map(|_| Search::new()).collect();
    let mut words = vec![Vocabulary::BOS; images];
    for step in 0..=decoding.max_words {
        let logits = session.step(&words);
        let mut rows = logits.chunks_exact(vocab);
        let (mut kept, mut first) = (Vec::new(), 0);
        words.clear();
        for search in &mut searches {
            let width = search.live.len();
            let allowed = Allowed { end: step > 0, words: step < decoding.max_words };
            let candidates = search.continuations(&mut rows, beam, allowed);
            kept.extend(search.advance(&candidates, beam).into_iter().map(|origin| first + origin));
            words.extend(search.live.iter().filter_map(|l| l.words.last()));
            first += width;
        }
        if kept.is_empty() {
            break;
        }
        session.select(&kept);
    }
    searches.into_iter().map(Search::best).collect()
}

/// What may be said at a step.
#[derive(Clone, Copy)]
struct Allowed {
    end: bool,
    words: bool,
}

impl Search {
    fn new() -> Self {
        Self { live: vec![Live { words: Vec::new(), score: 0.0 }], finished: Vec::new() }
    }

    /// The best continuations, best first: enough for a full beam even if `beam` of them end.
    fn continuations<'a>(
        &self,
        rows: &mut impl Iterator<Item = &'a [f32]>,
        beam: usize,
        allowed: Allowed,
    ) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (hypothesis, (live, logits)) in self.live.iter().zip(rows).enumerate() {
            let total = log_sum_exp(logits);
            let score = |word: u32| live.score + f64::from(logits[word as usize]) - total;
            let words = if allowed.words { Vocabulary::UNK + 1..logits.len() as u32 } else { 0..0 };
            let end = allowed.end.then_some(Vocabulary::EOS);
            let mut own: Vec<Candidate> = end
                .into_iter()
                .chain(words)
                .map(|word| Candidate { hypothesis, word, score: score(word) })
                .collect();
            if own.len() > 2 * beam {
                own.select_nth_unstable_by(2 * beam, Candidate::order);
                own.truncate(2 * beam);
            }
            all.append(&mut own);
        }
        all.sort_by(Candidate::order);
        all
    }

    /// Moves on with the best `beam` continuations; returns for each live hypothesis the one it continues.
    fn advance(&mut self, candidates: &[Candidate], beam: usize) -> Vec<usize> {
        let (mut live, mut origins) = (Vec::new(), Vec::new());
        for (place, c) in candidates.iter().enumerate() {
            let before = &self.live[c.hypothesis].words;
            if c.word == Vocabulary::EOS {
                if place < beam {
                    self.finished.push((before.clone(), c.score / (before.len() + 1) as f64));
                }
            } else if live.len() < beam {
                let words = before.iter().copied().chain([c.word]).collect();
                live.push(Live { words, score: c.score });
                origins.push(c.hypothesis);
            }
        }
        if self.finished.len() >= beam {
            (live, origins) = (Vec::new(), Vec::new());
        }
        self.live = live;
        origins
    }

    /// The finished hypothesis of the highest mean; the first of equals.
    fn best(self) -> Vec<u32> {
        let mut best: Option<(Vec<u32>, f64)> = None;
        for (words, score) in self.finished {
            if best.as_ref().is_none_or(|b| score > b.1) {
                best = Some((words, score));
            }
        }
        best.map(|b| b.0).unwrap_or_default()
    }
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let top = logits.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    f64::from(top) + logits.iter().map(|v| f64::from((v - top).exp())).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

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
        let longer =
            |c: &Vec<u32>| (4..7).map(|w| c.iter().copied().chain([w]).collect()).collect::<Vec<_>>();
        let one: Vec<Vec<u32>> = longer(&vec![]);
        let two: Vec<Vec<u32>> = one.iter().flat_map(longer).collect();
        let three: Vec<Vec<u32>> = two.iter().flat_map(longer).collect();
        [one, two, three].concat()
    }

    #[test]
    fn a_wide_beam_finds_the_best_of_all_captions() {
        for spec in testing::families() {
            let (params, memory) = testing::decoder(&spec, 7, 4, 3);
            let found = decode(&spec, &params, memory.clone(), Decoding { beam: 100, max_words: 3 });
            let score = |c: &Vec<u32>| mean_score(&spec, &params, &memory, c);
            let best = all_captions().into_iter().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap();
            assert_eq!(found, [best], "{spec:?}");
        }
    }

    #[test]
    fn a_beam_of_one_is_greedy() {
        for spec in testing::families() {
            let (params, memory) = testing::decoder(&spec, 9, 6, 5);
            let found = decode(&spec, &params, memory.clone(), Decoding { beam: 1, max_words: 5 });
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
}
