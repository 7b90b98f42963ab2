//! Abbreviations and acronyms that keep their full stop.

use super::lexer::{Found, Kind};
use super::text::{END, Text, is_blank, is_digit};
use super::web::tag;

/// Before names: a word that follows directly or behind a hyphen joins them (`mr.-x`).
const TITLES: &[&str] = &[
    "adj", "adm", "adv", "alex", "assoc", "asst", "atty", "attys", "ave", "brig", "capt", "cf", "cie",
    "cmdr", "col", "comdr", "cpl", "dept", "det", "dr", "drs", "elec", "ens", "ft", "gen", "gov", "govs",
    "hon", "insp", "invt", "jos", "lieut", "lt", "maj", "messrs", "mfg", "mlle", "mme", "mr", "mrs", "ms",
    "msgr", "mt", "mtg", "natl", "pfc", "ph", "pres", "prof", "profs", "pvt", "rep", "reps", "rev", "sen",
    "sens", "sfc", "sgt", "spc", "st", "ste", "supt", "supts", "treas", "vs", "wm",
];

/// Months, days, states, companies and what else may end a sentence.
const OTHERS: &[&str] = &[
    "al", "ala", "apr", "ariz", "assn", "aug", "bhd", "bldg", "blvd", "bros", "calif", "co", "colo", "conn",
    "corp", "cos", "ct", "dak", "dec", "ed.d", "esq", "est", "etc", "ext", "feb", "fla", "fri", "ga", "inc",
    "ind", "intl", "jan", "jr", "jul", "jun", "kan", "kans", "ky", "ltd", "mar", "md", "mich", "minn", "mo",
    "mon", "mont", "neb", "nev", "nov", "oct", "okla", "penn", "ph.d", "plc", "ppte", "pptes", "ppty",
    "pptys", "pte", "ptes", "pty", "ptys", "rd", "rt", "sep", "sept", "seq", "sq", "sr", "sys", "tel",
    "tenn", "thu", "thurs", "tue", "tues", "univ", "va", "vt", "wed", "wis", "wisc", "wyo",
];

/// States whose name is also a word: only with a capital.
const CAPITALISED: &[&str] = &["ark", "az", "del", "ill", "la", "mass", "miss", "ore", "pa", "tex", "wash"];

/// Only before a number.
const NUMBERED: &[&str] = &["art", "ca", "fig", "figs", "no", "nos", "op", "pp", "prop"];

/// Words at which the tokenizer sees a new sentence behind an acronym.
const OPENERS: &[&str] = &[
    "a",
    "about",
    "according",
    "after",
    "an",
    "as",
    "at",
    "but",
    "he",
    "her",
    "here",
    "however",
    "if",
    "in",
    "it",
    "last",
    "many",
    "more",
    "now",
    "once",
    "one",
    "other",
    "our",
    "she",
    "since",
    "so",
    "some",
    "such",
    "that",
    "the",
    "their",
    "then",
    "there",
    "these",
    "they",
    "this",
    "we",
    "what",
    "when",
    "while",
    "yet",
    "you",
];

/// All abbreviations and acronyms that start at `i`.
pub(super) fn offer(text: Text, i: usize, found: &mut Found) {
    let first = text.byte(i);
    let end = text.run(i, is_folded);
    if end == i {
        return;
    }
    if let Some(end) = text.has(i, "cont'd.").then_some(i + 7) {
        found.offer(end, Kind::Plain);
    }
    if text.byte(end) != b'.' {
        return;
    }
    if end == i + 1 && first != 0 {
        acronym(text, i, found);
    }
    if end > i + 7 {
        return;
    }
    if title(text, i, end) {
        found.offer(end + 1, Kind::Plain);
    }
    let stop = if text.byte(end + 2) == b'.' && (text.has(i, "ph.d.") || text.has(i, "ed.d.")) {
        end + 2
    } else {
        end
    };
    let word = &text.s[i..stop];
    if listed(OTHERS, word) || first.is_ascii_uppercase() && listed(CAPITALISED, word) {
        let mut seen = stop + 1;
        for _ in 0..2 {
            seen += if text.at(seen) == END { 1 } else { text.at(seen).len_utf8() };
        }
        found.offer_seen(stop + 1, seen, Kind::Plain);
    }
    if listed(NUMBERED, word) {
        let space = end + 1 + if is_blank(text.at(end + 1)) { text.at(end + 1).len_utf8() } else { 0 };
        if is_digit(text.at(space)) {
            found.offer_seen(end + 1, space + text.at(space).len_utf8(), Kind::Plain);
        }
    }
}

/// Is this a title, whose full stop a hyphen may follow?
pub(super) fn title(text: Text, i: usize, end: usize) -> bool {
    end <= i + 7 && listed(TITLES, &text.s[i..end])
}

/// Single letters with full stops: `k.`, `u.s.`, `a.k.a.`. A single letter loses its stop before a new sentence.
fn acronym(text: Text, i: usize, found: &mut Found) {
    let end = letters_with_stops(text, i);
    if end == i + 2
        && let Some(seen) = sentence_start(text, end)
    {
        found.offer_seen(i + 1, seen, Kind::Plain);
    }
    found.offer(end, Kind::Plain);
}

/// Behind the last full stop of a run of letters that each have one.
pub(super) fn letters_with_stops(text: Text, mut i: usize) -> usize {
    while text.byte(i).is_ascii_alphabetic() && text.byte(i + 1) == b'.' {
        i += 2;
    }
    i
}

/// Behind the space at `i` and a word or tag that starts a sentence. The next caption is taken to do so.
fn sentence_start(text: Text, i: usize) -> Option<usize> {
    let word = text.run(i, is_blank);
    if text.at(word) == END {
        return Some(word + 3);
    }
    if word == i {
        return None;
    }
    let end = match text.byte(word) {
        b'<' => tag(text, word)?,
        b'M' if text.has(word, "mr.") || text.has(word, "ms.") => word + 3,
        b'A'..=b'Z' => Some(text.run(word, is_folded)).filter(|&end| listed(OPENERS, &text.s[word..end]))?,
        _ => return None,
    };
    let behind = text.at(end);
    (is_blank(behind) || behind == END).then_some(end + behind.len_utf8())
}

/// Letters that the lists are compared in: those of ASCII and the long s, which counts as an s.
fn is_folded(c: char) -> bool {
    c.is_ascii_alphabetic() || c == 'ſ'
}

/// Is the word in the sorted list, in any case? One letter of `mfg.`, `mtg.`, `pte.` and `pty.` has to be small.
fn listed(list: &[&str], word: &str) -> bool {
    let folded = || word.chars().map(|c| if c == 'ſ' { 's' } else { c.to_ascii_lowercase() });
    let Ok(at) = list.binary_search_by(|w| w.chars().cmp(folded())) else { return false };
    match list[at] {
        "mfg" | "mtg" => word.contains(['f', 't']),
        "ppte" | "pptes" | "ppty" | "pptys" | "pte" | "ptes" | "pty" | "ptys" => word.contains(['e', 'y']),
        _ => true,
    }
}
