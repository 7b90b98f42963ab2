//! Reads a request in plain words: upper bounds with units, and decoder families.
//!
//! What it reads, in any order and case:
//!
//! ```text
//! bound   = [limit] number [scale] unit [limit]        "under 5 M parameters", "5M params or less", "params <= 3M"
//! limit   = under | below | within | less/fewer/smaller than | at most | up to | max | no more than | not over | < | <= …
//! number  = digits, 1.5, 1,000,000, 1_000_000           (in digits only: "five million" is not read, and said so)
//! scale   = k | thousand | M | million | bn | billion
//! unit    = parameters | trainable parameters | MACs, GMAC, multiply-accumulates [per image | per word]
//!         | bytes, kB, MB, GB (powers of ten), KiB, MiB, GiB (powers of two)
//! family  = [only | no | not | without …] LSTM | GRU | Transformer, joined by "or", "and", "," or "/"
//! ```
//!
//! Bounds are inclusive, "under" too. Nothing is dropped silently: what is not used is listed with the reason.

mod family;
mod quantity;
mod tokens;

use crate::{Budgets, Family};
use serde::{Deserialize, Serialize};
use tokens::{Kind, Token};

/// Longest request in bytes; a longer one is refused unread.
pub const MAX_REQUEST_BYTES: usize = 10_000;

/// What a request says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Understood {
    /// Bounds that were stated.
    pub budgets: Budgets,
    /// Decoder families that are left by what was said; `None` if nothing was said of them.
    pub families: Option<Vec<Family>>,
    /// What was used as it stands.
    pub understood: Vec<Reading>,
    /// What was used too, although it could be read in another way.
    pub ambiguous: Vec<Reading>,
    /// What was not used.
    pub ignored: Vec<Ignored>,
    /// What cannot be kept; a request with any of these is to be refused.
    pub errors: Vec<Ignored>,
}

/// A phrase that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// As written.
    pub phrase: String,
    /// As read.
    pub meaning: String,
}

/// A phrase that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ignored {
    /// As written.
    pub phrase: String,
    /// Why it was not used.
    pub why: String,
}

/// Reads a request; see the module's grammar. Never fails: what it cannot use is in the answer.
pub fn parse_request(text: &str) -> Understood {
    let mut notes = Notes::default();
    if text.len() > MAX_REQUEST_BYTES {
        let phrase: String = text.chars().take(40).collect();
        let why = format!("the request is longer than {MAX_REQUEST_BYTES} bytes; shorten it");
        notes.errors.push((0, Ignored { phrase: format!("{phrase}…"), why }));
        return notes.finish(Budgets::default(), None);
    }
    let mut sentence = Sentence::new(text);
    let budgets = quantity::read(&mut sentence, &mut notes);
    let families = family::read(&mut sentence, &mut notes);
    leftovers(&sentence, &mut notes);
    notes.finish(budgets, families)
}

/// The tokens of a request and which of them have been accounted for.
struct Sentence<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    used: Vec<bool>,
}

impl<'a> Sentence<'a> {
    fn new(text: &'a str) -> Self {
        let tokens = tokens::tokens(text);
        let used = vec![false; tokens.len()];
        Self { text, tokens, used }
    }

    /// The lower-case text of a token; empty beyond either end and for `None`.
    fn word(&self, at: impl Into<Option<usize>>) -> &str {
        at.into().and_then(|i| self.tokens.get(i)).map_or("", |t| t.text.as_str())
    }

    /// Whether the words from `at` on are these.
    fn has(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(k, w)| self.word(at + k) == *w)
    }

    /// Marks tokens `[from, to)` and gives their text and where it starts.
    fn take(&mut self, from: usize, to: usize) -> (usize, String) {
        self.used[from..to].fill(true);
        let (start, end) = (self.tokens[from].start, self.tokens[to - 1].end);
        (start, self.text[start..end].to_owned())
    }
}

/// Remarks with their place in the text, so that they are listed in its order.
#[derive(Default)]
struct Notes {
    understood: Vec<(usize, Reading)>,
    ambiguous: Vec<(usize, Reading)>,
    ignored: Vec<(usize, Ignored)>,
    errors: Vec<(usize, Ignored)>,
}

impl Notes {
    fn ignore(&mut self, (start, phrase): (usize, String), why: impl Into<String>) {
        self.ignored.push((start, Ignored { phrase, why: why.into() }));
    }

    fn refuse(&mut self, (start, phrase): (usize, String), why: impl Into<String>) {
        self.errors.push((start, Ignored { phrase, why: why.into() }));
    }

    fn finish(self, budgets: Budgets, families: Option<Vec<Family>>) -> Understood {
        fn in_order<T>(mut notes: Vec<(usize, T)>) -> Vec<T> {
            notes.sort_by_key(|(start, _)| *start);
            notes.into_iter().map(|(_, note)| note).collect()
        }
        Understood {
            budgets,
            families,
            understood: in_order(self.understood),
            ambiguous: in_order(self.ambiguous),
            ignored: in_order(self.ignored),
            errors: in_order(self.errors),
        }
    }
}

/// Words that carry no wish of their own.
const FILLERS: &[&str] = &[
    "a", "an", "the", "with", "and", "or", "of", "for", "in", "on", "to", "at", "by", "that", "which", "has",
    "have", "is", "be", "it", "its", "i", "me", "my", "we", "want", "need", "would", "like", "please",
    "make", "build", "use", "using", "but", "all", "its", "weights", "size", "decoder", "decoders", "model",
    "based", "only", "should", "must",
];

/// Lists every run of words that nothing has used.
fn leftovers(sentence: &Sentence<'_>, notes: &mut Notes) {
    let free = |i: usize| !sentence.used[i] && sentence.tokens[i].kind == Kind::Word;
    let filler = |i: usize| FILLERS.contains(&sentence.word(i));
    let mut at = 0;
    while at < sentence.tokens.len() {
        if !free(at) || filler(at) {
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while end < sentence.tokens.len() && free(end) {
            end += 1;
        }
        let next = end;
        while filler(end - 1) {
            end -= 1;
        }
        let (start, stop) = (sentence.tokens[at].start, sentence.tokens[end - 1].end);
        let why = if (at..end).any(|i| quantity::is_count_word(sentence.word(i))) {
            "numbers are read in digits only, as in \"5 million parameters\""
        } else {
            "no rule reads this"
        };
        notes.ignore((start, sentence.text[start..stop].to_owned()), why);
        at = next;
    }
}

#[cfg(test)]
mod tests;
