//! Upper bounds: a limit, a number, a scale and a unit.

use super::tokens::{BadNumber, Kind, Number};
use super::{Ignored, Notes, Reading, Sentence};
use crate::Budgets;

/// What a bound is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Total,
    Trainable,
    MacsImage,
    MacsToken,
    Bytes,
}

impl Measure {
    fn noun(self) -> &'static str {
        match self {
            Self::Total => "parameters in total",
            Self::Trainable => "trainable parameters",
            Self::MacsImage => "multiply-accumulates per image",
            Self::MacsToken => "multiply-accumulates per word",
            Self::Bytes => "bytes of weights",
        }
    }

    fn slot(self, budgets: &mut Budgets) -> &mut Option<u64> {
        match self {
            Self::Total => &mut budgets.params_total,
            Self::Trainable => &mut budgets.params_trainable,
            Self::MacsImage => &mut budgets.macs_image,
            Self::MacsToken => &mut budgets.macs_token,
            Self::Bytes => &mut budgets.weight_bytes,
        }
    }
}

/// Which side the words bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Upper,
    Lower,
    Near,
}

const LIMITS: &[(&[&str], Side)] = &[
    (&["less", "than"], Side::Upper),
    (&["fewer", "than"], Side::Upper),
    (&["smaller", "than"], Side::Upper),
    (&["lower", "than"], Side::Upper),
    (&["at", "most"], Side::Upper),
    (&["up", "to"], Side::Upper),
    (&["limited", "to"], Side::Upper),
    (&["under"], Side::Upper),
    (&["below"], Side::Upper),
    (&["within"], Side::Upper),
    (&["max"], Side::Upper),
    (&["maximum"], Side::Upper),
    (&["limit"], Side::Upper),
    (&["budget"], Side::Upper),
    (&["<"], Side::Upper),
    (&["≤"], Side::Upper),
    (&["more", "than"], Side::Lower),
    (&["greater", "than"], Side::Lower),
    (&["larger", "than"], Side::Lower),
    (&["bigger", "than"], Side::Lower),
    (&["at", "least"], Side::Lower),
    (&["over"], Side::Lower),
    (&["above"], Side::Lower),
    (&["exceeding"], Side::Lower),
    (&["from"], Side::Lower),
    (&["min"], Side::Lower),
    (&["minimum"], Side::Lower),
    (&[">"], Side::Lower),
    (&["≥"], Side::Lower),
    (&["about"], Side::Near),
    (&["around"], Side::Near),
    (&["roughly"], Side::Near),
    (&["approximately"], Side::Near),
    (&["exactly"], Side::Near),
    (&["between"], Side::Near),
    (&["~"], Side::Near),
    (&["≈"], Side::Near),
    (&["="], Side::Near),
];

/// Limits that stand behind the unit.
const LATE_LIMITS: &[(&[&str], Side)] = &[
    (&["or", "less"], Side::Upper),
    (&["or", "fewer"], Side::Upper),
    (&["or", "below"], Side::Upper),
    (&["at", "most"], Side::Upper),
    (&["max"], Side::Upper),
    (&["maximum"], Side::Upper),
    (&["or", "more"], Side::Lower),
    (&["or", "above"], Side::Lower),
    (&["at", "least"], Side::Lower),
    (&["min"], Side::Lower),
    (&["minimum"], Side::Lower),
];

/// Words after a bare "3M" that begin something else rather than name a unit.
const CONNECTORS: &[&str] = &[
    "", "and", "or", "with", "but", "for", "in", "on", "that", "which", "using", "no", "not", "without",
    "only",
];

/// A bound as read, before it is compared with others on the same measure.
struct Bound {
    measure: Measure,
    value: u64,
    place: (usize, String),
    doubt: Option<&'static str>,
}

/// Reads every number of the request; each is used, refused, or listed with the reason.
pub(super) fn read(s: &mut Sentence<'_>, notes: &mut Notes) -> Budgets {
    let numbers: Vec<usize> = (0..s.tokens.len()).filter(|i| s.tokens[*i].kind == Kind::Number).collect();
    let bounds: Vec<Bound> = numbers.into_iter().filter_map(|at| bound(s, notes, at)).collect();
    resolve(bounds, notes)
}

/// Whether a word states a count without digits: a spelled number, a scale, or a unit without its number.
pub(super) fn is_count_word(word: &str) -> bool {
    const SPELLED: &[&str] = &[
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "twelve",
        "twenty",
        "fifty",
        "hundred",
        "half",
        "dozen",
        "parameters",
        "parameter",
        "params",
    ];
    SPELLED.contains(&word) || (word.len() > 2 && scale(word).is_some())
}

fn scale(word: &str) -> Option<u64> {
    match word {
        "k" | "thousand" | "thousands" => Some(1_000),
        "m" | "mio" | "mn" | "million" | "millions" => Some(1_000_000),
        "b" | "bn" | "g" | "billion" | "billions" => Some(1_000_000_000),
        _ => None,
    }
}

/// Everything around one number.
struct Phrase {
    from: usize,
    to: usize,
    side: Option<Side>,
    scale: Option<u64>,
    unit: Option<(Measure, u64)>,
    /// The unit as written, where it is none that is read.
    stranger: Option<String>,
}

fn bound(s: &mut Sentence<'_>, notes: &mut Notes, at: usize) -> Option<Bound> {
    let phrase = surroundings(s, at);
    let number = Number::read(s.word(at));
    let negative = is_negative(s, at);
    let bare_scale = scale(s.word(at + 1)).filter(|_| matches!(s.word(at + 1).len(), 1 | 4..));
    let short = matches!(s.word(at + 1), "b" | "g");
    let place = s.take(phrase.from, phrase.to);
    let (unit, guessed) = match (phrase.unit, bare_scale) {
        (Some(unit), _) => (unit, false),
        (None, Some(_)) if phrase.stranger.is_none() && !short => ((Measure::Total, 1), true),
        (None, _) => {
            notes.ignore(place, no_unit(phrase.stranger.as_deref()));
            return None;
        }
    };
    match phrase.side {
        Some(Side::Lower) => {
            notes.ignore(place, "lower bounds are not supported; only upper bounds are kept");
            return None;
        }
        Some(Side::Near) => {
            notes.ignore(place, "only upper bounds are kept; say \"at most\" or \"under\"");
            return None;
        }
        Some(Side::Upper) | None => {}
    }
    let factor = phrase.scale.unwrap_or(1).checked_mul(unit.1).ok_or(BadNumber::TooLarge);
    let value = if negative { Err(BadNumber::Zero) } else { factor.and_then(|f| number?.times(f)) };
    let doubt = match (guessed, phrase.side) {
        (true, _) => Some("no unit is named: read as an upper bound on parameters"),
        (false, None) => Some("no limit is named: read as an upper bound"),
        (false, Some(_)) => None,
    };
    match value {
        Ok(value) => Some(Bound { measure: unit.0, value, place, doubt }),
        Err(why) => {
            notes.refuse(place, why.to_string());
            None
        }
    }
}

/// Whether a minus sign belongs to the number (and is no range, as in `2-5`).
fn is_negative(s: &Sentence<'_>, at: usize) -> bool {
    let Some(minus) = at.checked_sub(1).filter(|i| matches!(s.word(*i), "-" | "−")) else { return false };
    let touches = s.tokens[minus].end == s.tokens[at].start;
    let range = minus.checked_sub(1).is_some_and(|i| s.tokens[i].end == s.tokens[minus].start);
    touches && !range
}

fn surroundings(s: &Sentence<'_>, at: usize) -> Phrase {
    let (mut from, mut side) = limit_before(s, at);
    let mut to = at + 1;
    let scale = scale(s.word(to));
    to += usize::from(scale.is_some());
    if s.word(to) == "+" {
        to += 1;
        side = Some(Side::Lower);
    }
    let mut stranger = None;
    let mut unit = None;
    if let Some((measure, factor, next)) = unit_at(s, to) {
        unit = Some((measure, factor));
        to = next;
        if let Some(next) = memory_in_use(s, to).filter(|_| measure == Measure::Bytes) {
            (unit, stranger) = (None, Some("RAM".to_owned()));
            to = next;
        }
    } else if let Some((found, start)) = unit_before(s, from) {
        unit = Some(found);
        from = start;
    } else if is_word(s, to) && !s.used[to] && !CONNECTORS.contains(&s.word(to)) && !begins_limit(s, to) {
        stranger = Some(s.word(to).to_owned());
        to += 1;
    }
    if side.is_none()
        && let Some((words, late)) = LATE_LIMITS.iter().find(|(words, _)| s.has(to, words))
    {
        let next = to + words.len();
        let next = next + usize::from(s.word(next) == "of");
        if s.tokens.get(next).is_none_or(|t| t.kind != Kind::Number) {
            (side, to) = (Some(*late), to + words.len());
        }
    }
    Phrase { from, to, side, scale, unit, stranger }
}

fn is_word(s: &Sentence<'_>, at: usize) -> bool {
    s.tokens.get(at).is_some_and(|t| t.kind == Kind::Word)
}

fn begins_limit(s: &Sentence<'_>, at: usize) -> bool {
    LIMITS.iter().chain(LATE_LIMITS).any(|(words, _)| s.has(at, words))
}

/// The limit that ends before `at`, and where it starts; "no", "not" and "never" turn it round.
fn limit_before(s: &Sentence<'_>, at: usize) -> (usize, Option<Side>) {
    let minus = at.checked_sub(1).filter(|_| is_negative(s, at));
    let end = minus.unwrap_or(at);
    let end = end.checked_sub(1).filter(|i| matches!(s.word(*i), "of" | "a" | ":")).unwrap_or(end);
    for (words, side) in LIMITS {
        let Some(start) = end.checked_sub(words.len()).filter(|i| s.has(*i, words) && !s.used[*i]) else {
            continue;
        };
        let denied = start.checked_sub(1).filter(|i| matches!(s.word(*i), "no" | "not" | "never"));
        let side = match (side, denied) {
            (Side::Upper, Some(_)) => Side::Lower,
            (Side::Lower, Some(_)) => Side::Upper,
            (side, _) => *side,
        };
        return (denied.unwrap_or(start), Some(side));
    }
    (minus.unwrap_or(at), None)
}

/// A unit that stands before the limit: "trainable parameters under 5M", "params: 3M".
fn unit_before(s: &Sentence<'_>, before: usize) -> Option<((Measure, u64), usize)> {
    const BETWEEN: &[&str] =
        &[":", "=", "is", "are", "be", "must", "should", "stay", "count", "number", "budget"];
    let mut end = before;
    while end > 0 && BETWEEN.contains(&s.word(end - 1)) {
        end -= 1;
    }
    (end.saturating_sub(4)..end).find_map(|start| {
        let (measure, factor, next) = unit_at(s, start)?;
        let fits = next == end && measure != Measure::Bytes && !s.used[start..end].contains(&true);
        fits.then_some(((measure, factor), start))
    })
}

/// A unit that starts at `at`: what it measures, its factor, and where it ends.
fn unit_at(s: &Sentence<'_>, at: usize) -> Option<(Measure, u64, usize)> {
    let mut i = at;
    let mut trainable = false;
    while matches!(s.word(i), "trainable" | "trained" | "learnable" | "total" | "overall" | "of" | "model") {
        trainable |= matches!(s.word(i), "trainable" | "trained" | "learnable");
        i += 1;
    }
    let word = s.word(i);
    if matches!(word, "parameter" | "parameters" | "param" | "params") {
        let next = if s.has(i + 1, &["in", "total"]) { i + 3 } else { i + 1 };
        return Some((if trainable { Measure::Trainable } else { Measure::Total }, 1, next));
    }
    if i > at && s.word(i - 1) == "trainable" {
        return Some((Measure::Trainable, 1, i));
    }
    if i > at {
        return None;
    }
    if let Some(factor) = bytes(word) {
        let next = if s.has(i + 1, &["of", "weights"]) { i + 3 } else { i + 1 };
        return Some((Measure::Bytes, factor, next));
    }
    let (factor, next) = macs(s, i)?;
    let (measure, next) = per(s, next);
    Some((measure, factor, next))
}

fn bytes(word: &str) -> Option<u64> {
    Some(match word {
        "byte" | "bytes" => 1,
        "kb" | "kilobyte" | "kilobytes" => 1_000,
        "mb" | "megabyte" | "megabytes" => 1_000_000,
        "gb" | "gigabyte" | "gigabytes" => 1_000_000_000,
        "kib" | "kibibyte" | "kibibytes" => 1 << 10,
        "mib" | "mebibyte" | "mebibytes" => 1 << 20,
        "gib" | "gibibyte" | "gibibytes" => 1 << 30,
        _ => return None,
    })
}

/// Multiply-accumulates: their factor and where the words end.
fn macs(s: &Sentence<'_>, at: usize) -> Option<(u64, usize)> {
    if s.word(at) == "multiply" {
        let known = matches!(s.word(at + 1), "accumulate" | "accumulates" | "add" | "adds");
        let operations = matches!(s.word(at + 2), "operations" | "operation" | "ops");
        return known.then_some((1, at + 2 + usize::from(operations)));
    }
    let stem = s.word(at);
    let stem = stem
        .strip_suffix("macs")
        .or_else(|| stem.strip_suffix("mac"))
        .or_else(|| stem.strip_suffix("madds"))?;
    match stem {
        "" => Some((1, at + 1)),
        "k" | "m" | "g" => Some((scale(stem)?, at + 1)),
        "t" => Some((1_000_000_000_000, at + 1)),
        _ => None,
    }
}

/// "per image" (also if unsaid) or "per word".
fn per(s: &Sentence<'_>, at: usize) -> (Measure, usize) {
    let skip = match s.word(at) {
        "per" | "each" | "a" | "an" | "/" => 1,
        "for" if matches!(s.word(at + 1), "each" | "an" | "a" | "one") => 2,
        _ => return (Measure::MacsImage, at),
    };
    match s.word(at + skip) {
        "image" | "photo" | "picture" => (Measure::MacsImage, at + skip + 1),
        "word" | "token" => (Measure::MacsToken, at + skip + 1),
        _ => (Measure::MacsImage, at),
    }
}

/// Memory in use is no weight: where "of RAM" ends, if it stands there.
fn memory_in_use(s: &Sentence<'_>, at: usize) -> Option<usize> {
    let at = at + usize::from(s.word(at) == "of");
    let at = at + usize::from(s.word(at) == "gpu");
    matches!(s.word(at), "ram" | "memory" | "vram").then_some(at + 1)
}

fn no_unit(unit: Option<&str>) -> String {
    match unit {
        Some("ms" | "s" | "sec" | "second" | "seconds" | "milliseconds" | "us" | "fps") => {
            "time is not a budget that can be kept from a design alone; it is not used".to_owned()
        }
        Some("flops" | "flop" | "gflops" | "mflops" | "gflop" | "mflop") => {
            "operations are counted in two ways; say it in multiply-accumulates (MACs)".to_owned()
        }
        Some("RAM") => "memory in use is not a budget; \"MB\" alone bounds the weights".to_owned(),
        Some(unit) => format!(
            "{unit:?} is no unit that is read; units: parameters, trainable parameters, MACs, bytes (MB, MiB)"
        ),
        None => "a number without a unit; say parameters, MACs or MB".to_owned(),
    }
}

/// Keeps the strictest bound on each measure and lists the others.
fn resolve(bounds: Vec<Bound>, notes: &mut Notes) -> Budgets {
    let mut budgets = Budgets::default();
    for bound in &bounds {
        let slot = bound.measure.slot(&mut budgets);
        *slot = Some(slot.map_or(bound.value, |old| old.min(bound.value)));
    }
    let mut said: Vec<Measure> = Vec::new();
    for Bound { measure, value, place: (start, phrase), doubt } in bounds {
        let kept = *measure.slot(&mut budgets) == Some(value);
        let count = grouped(value);
        let noun = measure.noun();
        if kept && !said.contains(&measure) {
            said.push(measure);
            let meaning = format!("at most {count} {noun}");
            match doubt {
                None => notes.understood.push((start, Reading { phrase, meaning })),
                Some(doubt) => {
                    notes
                        .ambiguous
                        .push((start, Reading { phrase, meaning: format!("{meaning} ({doubt})") }));
                }
            }
        } else {
            let why = if kept {
                "said already".to_owned()
            } else {
                format!("another phrase bounds the {noun} more strictly; that one is kept")
            };
            notes.ignored.push((start, Ignored { phrase, why }));
        }
    }
    budgets
}

/// 1234567 as `1,234,567`.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
