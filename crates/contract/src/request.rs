//! Reads a request in plain words, English or Chinese: bounds with units, and what designs are made of.
//!
//! What it reads, in any order and case:
//!
//! ```text
//! bound   = any order of: limit, topic, number [scale] [unit]   "under 5 M parameters", "延迟不超过 20 毫秒"
//! limit   = under | at most | no more than | or less | at least | between … and … | 不超过 | 至少 | 以内 | …
//! number  = 1.5, .5, 1,000,000, 1_000_000, 1 000 000, 5×10^6, full-width too; 1 h 30 min, 1 million 500 thousand
//!           (digits only: "five million" is not read, and said so; nor are 1/2 and 1:30)
//! scale   = k | thousand | M | million | bn | billion | 千 | 万 | 百万 | 亿
//! unit    = parameters | MACs | FLOPs (two are one MAC) | bytes, MB (powers of ten), MiB (powers of two)
//!         | µs … hours | mJ, J, Wh | % | USD | tokens | words | captions | pixels | layers | heads
//! topic   = latency, p95, memory, training, energy, BLEU-1..4, CIDEr, vocabulary, hidden size, learning rate, …
//! name    = [only | no | all but | with or without | must have …] LSTM | GRU | Transformer | a backbone | a part | a licence,
//!           joined by "or", "and", "," [is forbidden | is optional | is allowed …]
//! ```
//!
//! Bounds are inclusive, "under" too. Nothing is dropped silently: what is not used is listed with the reason.

mod around;
mod backbones;
mod compound;
mod lexicon;
mod mention;
mod names;
mod number;
mod parts;
mod quantity;
mod said;
mod target;
mod tokens;
mod wishes;

use crate::{Clause, Contract};
pub use backbones::BACKBONES;
use lexicon::{Sense, Topic};
use serde::{Deserialize, Serialize};
use tokens::{Kind, Token};

/// Longest request in bytes; a longer one is refused unread.
pub const MAX_REQUEST_BYTES: usize = 10_000;

/// What a request says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Understood {
    /// What was said, as a contract; what was not said is as in [`Contract::default`].
    pub contract: Contract,
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
    /// Where the phrase starts in the request, in bytes.
    pub start: usize,
    /// The clause that it sets: `budgets.params_total`, `ranges.hidden`.
    pub clause: String,
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
    parse_request_with(text, &mut |_| None)
}

/// As [`parse_request`]; for a number whose topic is not plain, `ask` may say which clause its phrase is about. Number,
/// scale and unit stay as written, and an answer that does not fit the unit is not used.
pub fn parse_request_with(text: &str, ask: &mut dyn FnMut(&str) -> Option<Clause>) -> Understood {
    let mut notes = Notes::default();
    let mut contract = Contract::default();
    if text.len() > MAX_REQUEST_BYTES {
        let phrase: String = text.chars().take(40).collect();
        let why = format!("the request is longer than {MAX_REQUEST_BYTES} bytes; shorten it");
        notes.errors.push((0, Ignored { phrase: format!("{phrase}…"), why }));
        return notes.finish(contract);
    }
    text.clone_into(&mut contract.request);
    let mut sentence = Sentence::new(text);
    let bounds = quantity::read(&mut sentence, &mut notes, ask);
    wishes::resolve(bounds, &mut notes, &mut contract);
    names::read(&mut sentence, &mut notes, &mut contract);
    leftovers(&sentence, &mut notes);
    notes.finish(contract)
}

/// A piece of the request: a phrase of the lexicon, or a token that it does not know.
struct Lexeme {
    kind: Kind,
    /// In lower case.
    text: String,
    sense: Option<Sense>,
    start: usize,
    end: usize,
}

/// The pieces of a request and which of them have been accounted for.
struct Sentence<'a> {
    text: &'a str,
    lexemes: Vec<Lexeme>,
    used: Vec<bool>,
}

impl<'a> Sentence<'a> {
    fn new(text: &'a str) -> Self {
        let tokens = tokens::tokens(text);
        let mut lexemes = Vec::new();
        let mut rest: &[Token] = &tokens;
        while let Some(first) = rest.first() {
            let (sense, count) = match lexicon::longest(rest) {
                Some(found) => (Some(found.sense), found.tokens),
                None if counted(&lexemes) => (None, 1),
                None => (None, tokens::grouped(text, rest)),
            };
            let joined = rest[..count].iter().map(|t| t.text.as_str()).collect::<Vec<_>>();
            let ideographs = first.text.chars().all(|c| !c.is_ascii());
            lexemes.push(Lexeme {
                kind: first.kind,
                text: joined.join(if ideographs { "" } else { " " }),
                sense,
                start: first.start,
                end: rest[count - 1].end,
            });
            rest = &rest[count..];
        }
        let used = vec![false; lexemes.len()];
        Self { text, lexemes, used }
    }

    fn len(&self) -> usize {
        self.lexemes.len()
    }

    /// The lower-case text of a piece; empty beyond the end.
    fn word(&self, at: usize) -> &str {
        self.lexemes.get(at).map_or("", |l| l.text.as_str())
    }

    /// What a piece means; `None` beyond the end, and for what the lexicon does not know.
    fn sense(&self, at: usize) -> Option<Sense> {
        self.lexemes.get(at).and_then(|l| l.sense)
    }

    fn kind(&self, at: usize) -> Kind {
        self.lexemes.get(at).map_or(Kind::Sign, |l| l.kind)
    }

    /// Whether a piece is a number, and not part of a phrase.
    fn is_number(&self, at: usize) -> bool {
        self.kind(at) == Kind::Number && self.sense(at).is_none()
    }

    /// The first piece from `at` on that means something or is unknown.
    fn past_joins(&self, at: usize) -> usize {
        (at..self.len()).find(|i| self.sense(*i) != Some(Sense::Join)).unwrap_or(self.len())
    }

    /// Whether nothing but blanks lies between two pieces.
    fn adjacent(&self, a: usize, b: usize) -> bool {
        let (Some(a), Some(b)) = (self.lexemes.get(a), self.lexemes.get(b)) else { return false };
        self.text[a.end..b.start].trim().is_empty()
    }

    /// Whether a minus sign belongs to the number (and is no range, as in `2-5`).
    fn is_negative(&self, at: usize) -> bool {
        let Some(minus) = at.checked_sub(1).filter(|i| matches!(self.word(*i), "-" | "−")) else {
            return false;
        };
        let touches = self.lexemes[minus].end == self.lexemes[at].start;
        let range = minus.checked_sub(1).is_some_and(|i| self.lexemes[i].end == self.lexemes[minus].start);
        touches && !range
    }

    /// Pieces `[from, to)` as written.
    fn text_of(&self, from: usize, to: usize) -> &'a str {
        &self.text[self.lexemes[from].start..self.lexemes[to - 1].end]
    }

    /// Marks pieces `[from, to)` and gives their text and where it starts.
    fn take(&mut self, from: usize, to: usize) -> (usize, String) {
        self.used[from..to].fill(true);
        (self.lexemes[from].start, self.text_of(from, to).to_owned())
    }
}

/// Whether these pieces end with what a small number is said of: "beam 5 100 ms" is about two numbers.
fn counted(lexemes: &[Lexeme]) -> bool {
    let said = lexemes.iter().rev().find_map(|l| l.sense.filter(|sense| *sense != Sense::Join));
    let last = lexemes.last().is_some_and(|l| l.sense.is_some());
    let small =
        matches!(said, Some(Sense::Topic(Topic::Beam | Topic::Epochs | Topic::Trials | Topic::Field(_))));
    last && small
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
    fn understand(&mut self, start: usize, phrase: String, meaning: String, clause: &str) {
        self.say(Reading { phrase, meaning, start, clause: clause.to_owned() }, None);
    }

    /// Lists what was used, with why it may be meant otherwise.
    fn say(&mut self, reading: Reading, doubt: Option<&str>) {
        match doubt {
            None => self.understood.push((reading.start, reading)),
            Some(doubt) => {
                let meaning = format!("{} ({doubt})", reading.meaning);
                self.ambiguous.push((reading.start, Reading { meaning, ..reading }));
            }
        }
    }

    fn ignore(&mut self, (start, phrase): (usize, String), why: impl Into<String>) {
        self.ignored.push((start, Ignored { phrase, why: why.into() }));
    }

    fn refuse(&mut self, (start, phrase): (usize, String), why: impl Into<String>) {
        self.errors.push((start, Ignored { phrase, why: why.into() }));
    }

    fn finish(self, contract: Contract) -> Understood {
        fn in_order<T>(mut notes: Vec<(usize, T)>) -> Vec<T> {
            notes.sort_by_key(|(start, _)| *start);
            notes.into_iter().map(|(_, note)| note).collect()
        }
        Understood {
            contract,
            understood: in_order(self.understood),
            ambiguous: in_order(self.ambiguous),
            ignored: in_order(self.ignored),
            errors: in_order(self.errors),
        }
    }
}

/// Words that carry no wish of their own.
const FILLERS: &[&str] = &[
    "that", "which", "does", "i", "me", "my", "we", "need", "would", "like", "please", "make", "build",
    "but", "all", "by", "weights", "size", "decoder", "decoders", "based", "我", "请", "给", "做", "你",
    "们", "想", "它", "吗", "吧", "了", "呢", "也", "还", "并", "就", "来", "能", "可", "以", "解", "码",
    "器",
];

/// Words that state a count without digits.
const COUNT_WORDS: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "twenty",
    "fifty", "hundred", "half", "dozen", "一", "二", "两", "三", "四", "五", "六", "七", "八", "九", "十",
    "百", "半",
];

/// Lists every run of words that nothing has used.
fn leftovers(s: &Sentence<'_>, notes: &mut Notes) {
    let free =
        |i: usize| !s.used[i] && (s.kind(i) == Kind::Word || s.sense(i).is_some_and(|x| x != Sense::List));
    let filler = |i: usize| {
        FILLERS.contains(&s.word(i))
            || matches!(s.sense(i), Some(Sense::Join | Sense::List | Sense::Must | Sense::Only))
    };
    let counts = |i: usize| {
        let spelled = COUNT_WORDS.contains(&s.word(i));
        spelled || matches!(s.sense(i), Some(Sense::Unit(..) | Sense::Scale(_)))
    };
    let mut at = 0;
    while at < s.len() {
        if !free(at) || filler(at) {
            at += 1;
            continue;
        }
        let mut end = at + 1;
        while end < s.len() && free(end) {
            end += 1;
        }
        let next = end;
        while filler(end - 1) {
            end -= 1;
        }
        let (start, stop) = (s.lexemes[at].start, s.lexemes[end - 1].end);
        let why = if (at..end).any(counts) {
            "numbers are read in digits only, as in \"5 million parameters\""
        } else {
            "no rule reads this"
        };
        notes.ignore((start, s.text[start..stop].to_owned()), why);
        at = next;
    }
}

#[cfg(test)]
mod tests;
