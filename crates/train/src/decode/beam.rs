//! Beam search, and diverse beam search in groups (Vijayakumar et al. 2016, arXiv 1610.02424, algorithm 1).
//!
//! A hypothesis that says END among the best `beam` continuations is finished; finished ones are ranked by their score
//! under the length penalty, END counted. The search of a group ends when as many are finished as it is wide. Equal scores
//! are ordered by hypothesis, then by word: results never depend on chance.
//!
//! With groups, the costs of words that others have said add up along a hypothesis, as in the paper's algorithm; they
//! guide the search, but what is finished is ranked by the model's own log-probability.

use super::Caption;
use super::constraints::Allowed;
use super::ensemble::Ensemble;
use crate::math;
use capwright_caption_data::Vocabulary;
use capwright_contract::{Decoding, Diverse};
use std::cmp::Ordering;

struct Live {
    words: Vec<u32>,
    /// Log-probability without costs of diversity.
    log_probability: f64,
    /// What the search goes by.
    score: f64,
}

/// The search of one group for one image.
struct Group {
    width: usize,
    live: Vec<Live>,
    finished: Vec<Caption>,
}

/// A continuation of a live hypothesis.
#[derive(Clone, Copy)]
struct Candidate {
    hypothesis: usize,
    word: u32,
    log_probability: f64,
    score: f64,
}

impl Candidate {
    /// Best first.
    fn order(&self, other: &Self) -> Ordering {
        let place = |c: &Self| (c.hypothesis, c.word);
        other.score.total_cmp(&self.score).then_with(|| place(self).cmp(&place(other)))
    }
}

/// Up to `n` different captions for each image, best first.
pub(super) fn search(mut ensemble: Ensemble<'_>, decoding: &Decoding, n: usize) -> Vec<Vec<Caption>> {
    let Diverse { groups, strength } = decoding.diverse.unwrap_or(Diverse { groups: 1, strength: 0.0 });
    let (images, groups) = (ensemble.images, groups.max(1));
    let width = (decoding.beam / groups).max(1);
    let mut searches: Vec<Vec<Group>> =
        (0..images).map(|_| (0..groups).map(|_| Group::new(width)).collect()).collect();
    if groups > 1 {
        ensemble.select(&(0..images * groups).map(|row| row / groups).collect::<Vec<_>>());
    }
    let mut words = vec![Vocabulary::BOS; images * groups];
    loop {
        let logits = ensemble.step(&words);
        let mut rows = logits.chunks_exact(ensemble.vocab);
        let (mut kept, mut first) = (Vec::new(), 0);
        words.clear();
        for image in &mut searches {
            let mut said = Said { words: Vec::new(), cost: strength };
            for group in image {
                let before = group.live.len();
                let best = group.continuations(&mut rows, decoding, &said);
                kept.extend(group.advance(&best, decoding, &mut said).iter().map(|origin| first + origin));
                words.extend(group.live.iter().filter_map(|l| l.words.last()));
                first += before;
            }
        }
        if kept.is_empty() {
            break;
        }
        ensemble.select(&kept);
    }
    searches.into_iter().map(|groups| best_of(groups, n)).collect()
}

/// The best finished hypotheses of all groups; the first of equals, and none twice.
fn best_of(groups: Vec<Group>, n: usize) -> Vec<Caption> {
    let mut all: Vec<Caption> = groups.into_iter().flat_map(|group| group.finished).collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut best: Vec<Caption> = Vec::with_capacity(n.min(all.len()));
    for caption in all {
        if best.len() < n && best.iter().all(|b| b.words != caption.words) {
            best.push(caption);
        }
    }
    best
}

/// Words that earlier groups have said at this step, each as often as it was said.
struct Said {
    words: Vec<u32>,
    cost: f64,
}

impl Said {
    fn cost(&self, word: u32) -> f64 {
        self.cost * self.words.iter().filter(|w| **w == word).count() as f64
    }
}

impl Group {
    fn new(width: usize) -> Self {
        let start = Live { words: Vec::new(), log_probability: 0.0, score: 0.0 };
        Self { width, live: vec![start], finished: Vec::new() }
    }

    /// The best continuations, best first: enough for a full beam even if each hypothesis may end.
    fn continuations<'a>(
        &self,
        rows: &mut impl Iterator<Item = &'a [f32]>,
        decoding: &Decoding,
        said: &Said,
    ) -> Vec<Candidate> {
        let mut best = Best::new(2 * self.width);
        for (hypothesis, (live, logits)) in self.live.iter().zip(rows).enumerate() {
            let allowed = Allowed::after(&live.words, decoding, logits.len());
            best.offer_row(hypothesis, live, logits, &allowed, said);
        }
        best.kept
    }

    /// Moves on with the best continuations; returns for each live hypothesis the one it continues.
    fn advance(&mut self, best: &[Candidate], decoding: &Decoding, said: &mut Said) -> Vec<usize> {
        let (mut live, mut origins) = (Vec::new(), Vec::new());
        for (place, c) in best.iter().enumerate() {
            let before = &self.live[c.hypothesis].words;
            if c.word == Vocabulary::EOS {
                if place < self.width {
                    let score = decoding.length_penalty.score(c.log_probability, before.len() + 1);
                    let log_probability = c.log_probability;
                    self.finished.push(Caption { words: before.clone(), log_probability, score });
                    said.words.push(c.word);
                }
            } else if live.len() < self.width {
                let words = before.iter().copied().chain([c.word]).collect();
                live.push(Live { words, log_probability: c.log_probability, score: c.score });
                origins.push(c.hypothesis);
                said.words.push(c.word);
            }
        }
        if self.finished.len() >= self.width {
            (live, origins) = (Vec::new(), Vec::new());
        }
        self.live = live;
        origins
    }
}

/// The best candidates so far, best first.
struct Best {
    kept: Vec<Candidate>,
    most: usize,
}

impl Best {
    fn new(most: usize) -> Self {
        Self { kept: Vec::with_capacity(most + 1), most }
    }

    /// Whether a later candidate of this score comes too late: of equals, the first stays.
    fn is_beaten(&self, score: f64) -> bool {
        self.kept.len() == self.most && self.kept.last().is_some_and(|worst| score <= worst.score)
    }

    fn offer(&mut self, candidate: Candidate) {
        if !self.is_beaten(candidate.score) {
            self.kept.truncate(self.most - 1);
            let place = self.kept.partition_point(|c| c.order(&candidate) == Ordering::Less);
            self.kept.insert(place, candidate);
        }
    }

    /// Offers the continuations of one hypothesis, in the order of the words. A score grows with its logit, so a block of
    /// words is passed over where its largest logit is beaten.
    fn offer_row(&mut self, hypothesis: usize, live: &Live, logits: &[f32], allowed: &Allowed, said: &Said) {
        const BLOCK: usize = 64;
        let total = math::log_sum_exp(logits);
        let candidate = |word: u32| {
            let logit = f64::from(logits[word as usize]);
            let after = |sum: f64| sum + logit - total;
            let score = after(live.score) - said.cost(word);
            Candidate { hypothesis, word, log_probability: after(live.log_probability), score }
        };
        if allowed.end {
            self.offer(candidate(Vocabulary::EOS));
        }
        let (first, last) = (allowed.words.start as usize, allowed.words.end as usize);
        for start in (first..last).step_by(BLOCK) {
            let block = &logits[start..last.min(start + BLOCK)];
            if self.is_beaten(live.score + f64::from(math::top(block)) - total) {
                continue;
            }
            for (word, logit) in (start as u32..).zip(block) {
                if !self.is_beaten(live.score + f64::from(*logit) - total) && allowed.word(word) {
                    self.offer(candidate(word));
                }
            }
        }
    }
}
