//! Writing some texts at once, token by token.

use std::time::Instant;

use llguidance::Matcher;
use rayon::prelude::*;
use toktrie::{SimpleVob, TokenId};

use super::sampler::Sampler;
use super::transformer::{Fed, Memory, OutOfTime, Transformer};
use super::vocabulary::Vocabulary;
use crate::Finish;

/// Tokens are few where they are less than one of so many.
const FEW: usize = 8;

/// A text that is being written.
pub(super) struct Text {
    memory: Memory,
    matcher: Option<Matcher>,
    sampler: Sampler,
    written: Vec<TokenId>,
    /// What was decided but not yet fed: a sampled token goes in together with those it forces.
    pending: Vec<TokenId>,
    finish: Option<Finish>,
}

/// Why writing ended without a text.
pub(super) enum Stopped {
    OutOfTime,
    Engine(String),
}

impl Stopped {
    fn engine(error: impl std::fmt::Display) -> Self {
        Self::Engine(error.to_string())
    }
}

impl From<OutOfTime> for Stopped {
    fn from(_: OutOfTime) -> Self {
        Self::OutOfTime
    }
}

/// Which tokens may come next, and those of them that are few.
#[derive(Default)]
struct Next {
    mask: Option<SimpleVob>,
    /// A grammar often leaves a handful of tokens: then only their rows of the output matrix are read.
    rows: Option<Vec<TokenId>>,
}

impl Text {
    /// A text that follows what the memory has and this token.
    pub(super) fn new(memory: Memory, last: TokenId, matcher: Option<Matcher>, sampler: Sampler) -> Self {
        Self { memory, matcher, sampler, written: Vec::new(), pending: vec![last], finish: None }
    }

    /// The tokens of a text that is complete.
    pub(super) fn complete(self) -> Option<(Vec<TokenId>, Finish)> {
        Some((self.written, self.finish?))
    }

    /// Takes the tokens that the grammar forces; what may follow, `None` where the text ends there.
    fn advance(&mut self, limit: usize, vocabulary: usize) -> Result<Option<Next>, Stopped> {
        let mut next = Next::default();
        if let Some(matcher) = &mut self.matcher {
            let forced = matcher.compute_ff_tokens();
            matcher.consume_tokens(&forced).map_err(Stopped::engine)?;
            self.written.extend_from_slice(&forced);
            self.pending.extend_from_slice(&forced);
            if matcher.is_stopped() && self.written.len() <= limit {
                self.finish = Some(Finish::Stop);
                return Ok(None);
            }
            if self.written.len() < limit {
                let mask = matcher.compute_mask().map_err(Stopped::engine)?;
                next.rows = (mask.num_set() < vocabulary / FEW).then(|| mask.iter().collect());
                next.mask = Some(mask);
            }
        }
        if self.written.len() >= limit {
            self.written.truncate(limit);
            self.finish = Some(Finish::Length);
            return Ok(None);
        }
        Ok(Some(next))
    }

    /// Takes one of the tokens that may come next by their scores.
    fn take(&mut self, next: &Next, mut scores: Vec<f32>, vocabulary: &Vocabulary) -> Result<(), Stopped> {
        self.pending.clear();
        if let Some(rows) = &next.rows {
            let found = rows.iter().zip(std::mem::take(&mut scores));
            scores = vec![f32::NEG_INFINITY; vocabulary.len()];
            found.for_each(|(token, score)| scores[*token as usize] = score);
        }
        // Some models pad their embeddings beyond the tokens that exist.
        scores.truncate(vocabulary.len());
        let token = self
            .sampler
            .pick(&scores, next.mask.as_ref())
            .ok_or_else(|| Stopped::Engine("the grammar allows no token here".into()))?;
        if vocabulary.is_stop(token) {
            self.finish = Some(Finish::Stop);
            return Ok(());
        }
        if let Some(matcher) = &mut self.matcher {
            matcher.consume_token(token).map_err(Stopped::engine)?;
        }
        self.written.push(token);
        self.pending.push(token);
        Ok(())
    }
}

/// Writes until the model or the grammar stops each text, or `limit` tokens of it stand. Time that runs out is no error once a text is
/// complete.
pub(super) fn write(
    texts: &mut [Text],
    transformer: &Transformer,
    vocabulary: &Vocabulary,
    limit: usize,
    until: Instant,
) -> Result<(), Stopped> {
    let all = texts.len();
    loop {
        // What a grammar allows takes about as long as a step of a small model.
        let open: Result<Vec<Option<(&mut Text, Next)>>, Stopped> = texts
            .par_iter_mut()
            .filter(|text| text.finish.is_none())
            .map(|text| Ok(text.advance(limit, vocabulary.len())?.map(|next| (text, next))))
            .collect();
        let mut open: Vec<(&mut Text, Next)> = open?.into_iter().flatten().collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut fed: Vec<Fed> = open
            .iter_mut()
            .map(|(text, next)| Fed {
                memory: &mut text.memory,
                tokens: &text.pending,
                wanted: next.rows.as_deref(),
            })
            .collect();
        let scores = match transformer.feed(&mut fed, until) {
            Err(OutOfTime) if open.len() < all => return Ok(()),
            scores => scores?,
        };
        open.par_iter_mut()
            .zip(scores)
            .try_for_each(|((text, next), scores)| text.take(next, scores, vocabulary))?;
    }
}
