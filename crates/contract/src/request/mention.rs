//! Lists of names, and what is said of them before and behind: wanted, excluded, alone.

use super::lexicon::{Name, Sense};
use super::tokens::Kind;
use super::{Notes, Reading, Sentence};

/// One list of names with what is said of them.
pub(super) struct Mention {
    pub names: Vec<Name>,
    pub wanted: bool,
    pub only: bool,
    /// Said of data rather than of weights; `None` if of neither.
    pub of_data: Option<bool>,
    pub place: (usize, String),
    /// Why it may be meant otherwise.
    doubt: Option<&'static str>,
}

impl Mention {
    /// Lists it with what it was read as.
    pub fn tell(&self, notes: &mut Notes, meaning: &str, clause: &str) {
        let (start, phrase) = self.place.clone();
        let reading = Reading { phrase, meaning: meaning.to_owned(), start, clause: clause.to_owned() };
        notes.say(reading, self.doubt);
    }
}

/// A "vision transformer" or "transformer encoder".
pub(super) fn encoder(s: &Sentence<'_>, at: usize) -> Option<(usize, usize)> {
    let before = at.checked_sub(1).filter(|i| s.sense(*i) == Some(Sense::Encoder) && !s.used[*i]);
    let after = s.sense(at + 1) == Some(Sense::Encoder);
    (before.is_some() || after).then(|| (before.unwrap_or(at), at + 1 + usize::from(after)))
}

/// Names joined by "or", "and" and commas.
struct Listed {
    names: Vec<Name>,
    end: usize,
    /// Whether there is a word between two of them, and not commas alone.
    worded: bool,
    /// Names and end before the last comma that stands alone.
    before_comma: Option<(usize, usize)>,
}

fn listed(s: &Sentence<'_>, at: usize) -> Listed {
    let same = |a: Name, b: Name| std::mem::discriminant(&a) == std::mem::discriminant(&b);
    let mut list = Listed { names: Vec::new(), end: at, worded: false, before_comma: None };
    let (mut i, mut worded) = (at, false);
    while let Some(Sense::Name(name)) = s.sense(i) {
        if list.names.first().is_some_and(|first| !same(*first, name)) || (i > at && encoder(s, i).is_some())
        {
            break;
        }
        if i > at && !worded {
            list.before_comma = Some((list.names.len(), list.end));
        }
        list.worded |= worded;
        list.names.push(name);
        let mut end = i + 1;
        end += usize::from(matches!(s.word(end), "decoder" | "decoders" | "解" | "blocks" | "block"));
        end += usize::from(matches!(s.word(end), "码") && s.word(end - 1) == "解");
        end += usize::from(matches!(s.word(end), "器"));
        (list.end, i, worded) = (end, end, false);
        while matches!(s.sense(i), Some(Sense::List)) || s.word(i) == "nor" {
            worded |= !matches!(s.word(i), "," | "，" | "、");
            i += 1;
        }
        if i == end {
            break;
        }
    }
    list
}

/// The names joined from `at` on with what is said of them, if that is anything, and where the list ends.
pub(super) fn mention(s: &mut Sentence<'_>, at: usize, notes: &mut Notes) -> (Option<Mention>, usize) {
    let Listed { mut names, mut end, worded, before_comma } = listed(s, at);
    let Before { from, mut wanted, only, mut doubt } = before(s, at);
    if let Some((count, comma)) = before_comma.filter(|_| !wanted) {
        let asks =
            s.sense(end) == Some(Sense::Only) || matches!(s.word(end), "please" | "instead" | "preferably");
        if asks {
            // "no Transformers, LSTMs only": another phrase begins at the comma.
            names.truncate(count);
            end = comma;
        } else if !worded {
            doubt = Some("read as a list, all of it excluded");
        }
    }
    let needs = |i: usize| matches!(s.word(i), "need" | "needs" | "require" | "requires");
    let mut optional = !wanted && (from..at).any(needs);
    match behind(s, end) {
        Some((Behind::Denied, to)) => (wanted, end) = (false, to),
        Some((Behind::Optional, to)) => (optional, end) = (true, to),
        None => {}
    }
    if optional {
        let place = s.take(from, end);
        notes.ignore(place, "what is not needed is neither asked for nor excluded");
        return (None, end);
    }
    let mut of_data = kind_before(s, from.max(1) - 1).or(kind_before(s, at.max(1) - 1));
    if matches!(names[0], Name::Licence(_)) {
        while matches!(s.sense(end), Some(Sense::OfWeights | Sense::Join))
            || matches!(s.word(end), "weights" | "data")
        {
            of_data = of_data.or(match s.word(end) {
                "weights" => Some(false),
                "data" => Some(true),
                _ => None,
            });
            end += 1;
        }
    }
    let from =
        if of_data.is_some() && from > 0 && kind_before(s, from - 1).is_some() { from - 1 } else { from };
    let place = s.take(from, end);
    (Some(Mention { names, wanted, only, of_data, place, doubt }), end)
}

/// What is said behind names.
enum Behind {
    /// "… is forbidden", "… are not allowed", "…-free".
    Denied,
    /// "… is not needed".
    Optional,
}

fn behind(s: &Sentence<'_>, end: usize) -> Option<(Behind, usize)> {
    if s.word(end) == "free" {
        return Some((Behind::Denied, end + 1));
    }
    let verb = |i: &usize| {
        !matches!(
            s.word(*i),
            "is" | "are" | "be" | "must" | "must be" | "should" | "should be" | "may" | "can"
        )
    };
    let not = (end..s.len()).find(verb).filter(|i| s.sense(*i) == Some(Sense::Not))?;
    if matches!(s.word(not), "forbidden" | "banned" | "prohibited" | "disallowed" | "excluded") {
        return Some((Behind::Denied, not + 1));
    }
    let said = not + 1 + usize::from(s.word(not + 1) == "be");
    match s.word(said) {
        "allowed" | "permitted" | "wanted" | "used" | "welcome" | "acceptable" | "desired" | "ok"
        | "okay" => Some((Behind::Denied, said + 1)),
        "needed" | "required" | "necessary" | "mandatory" => Some((Behind::Optional, said + 1)),
        _ => None,
    }
}

/// Whether the phrase that ends at `at` says of what licences are.
fn kind_before(s: &Sentence<'_>, mut at: usize) -> Option<bool> {
    loop {
        match s.sense(at) {
            Some(Sense::OfData) => return Some(true),
            Some(Sense::OfWeights) => return Some(false),
            Some(Sense::Join | Sense::Only | Sense::Must) if at > 0 => at -= 1,
            _ => return None,
        }
    }
}

/// What is said before a name.
struct Before {
    /// Where that starts.
    from: usize,
    wanted: bool,
    only: bool,
    doubt: Option<&'static str>,
}

fn before(s: &Sentence<'_>, at: usize) -> Before {
    let mut start = at;
    let (mut only, mut apart) = (false, false);
    while start > 0 && !s.used[start - 1] {
        let word = s.word(start - 1);
        match s.sense(start - 1) {
            Some(Sense::Only) => only = true,
            Some(Sense::Must) => {
                apart |= matches!(word, "with" | "using" | "including" | "带" | "带有" | "包含")
            }
            Some(Sense::Join) if matches!(word, "a" | "an" | "the" | "的" | "一个") => {}
            // "the use of", "no need for", "any kind of".
            Some(Sense::Join) if matches!(word, "of" | "for") && start > 1 && is_use(s.word(start - 2)) => {
                start -= 1
            }
            _ if matches!(word, "any" | "plain") => {}
            _ => break,
        }
        start -= 1;
    }
    let denied = start.checked_sub(1).filter(|i| !s.used[*i] && s.sense(*i) == Some(Sense::Not));
    match denied {
        // "not only LSTM" asks for LSTM, and not for it alone.
        Some(from) if only => Before { from, wanted: true, only: false, doubt: None },
        Some(from) => Before { from, wanted: false, only: false, doubt: None },
        None => match far_denied(s, start).filter(|_| !apart) {
            Some(from) => {
                let doubt = Some("the \"not\" some words before it is read as said of it");
                Before { from, wanted: false, only: false, doubt }
            }
            None => Before { from: start, wanted: true, only, doubt: None },
        },
    }
}

fn is_use(word: &str) -> bool {
    matches!(word, "use" | "usage" | "need" | "kind" | "kinds" | "form" | "forms" | "sort" | "type" | "types")
}

/// A "no" or "not" with a few unknown words between it and a name, as in "no pretrained ResNet-18"; but not in "not too large",
/// which says something of its own.
fn far_denied(s: &Sentence<'_>, start: usize) -> Option<usize> {
    let mut unknown = 0;
    for i in (0..start).rev() {
        let word = s.word(i);
        match s.sense(i) {
            _ if s.used[i] => return None,
            Some(Sense::Not) => {
                let degree =
                    matches!(s.word(i + 1), "too" | "very" | "so" | "that" | "overly" | "necessarily");
                return (!degree).then_some(i);
            }
            Some(Sense::Join | Sense::Must) => {}
            None if s.kind(i) == Kind::Word && word.is_ascii() && unknown < 3 => {
                if matches!(word, "but" | "which" | "who" | "where" | "so" | "because") {
                    return None;
                }
                unknown += 1;
            }
            _ => return None,
        }
    }
    None
}
