//! Lists of names, and what is said of them before and behind: wanted, excluded, alone.

use super::backbones::BACKBONES;
use super::lexicon::{Name, Sense};
use super::said::{Before, Behind, Way, before, behind, may};
use super::{Notes, Reading, Sentence};

/// Names of one kind with what is said of them.
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

/// How names are joined to those before them; where several words do, the strongest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Joint {
    Comma,
    /// The comma of Chinese lists.
    Pause,
    And,
    Or,
}

/// Where the words and commas end that join names from `i` on, and how they do.
fn joint(s: &Sentence<'_>, mut i: usize) -> (usize, Joint) {
    let mut joint = Joint::Comma;
    while matches!(s.sense(i), Some(Sense::List)) || s.word(i) == "nor" {
        joint = joint.max(match s.word(i) {
            "," => Joint::Comma,
            "、" => Joint::Pause,
            "or" | "nor" | "/" | "或" | "或者" => Joint::Or,
            _ => Joint::And,
        });
        i += 1;
    }
    (i, joint)
}

/// Names of one kind, joined by "or", "and" and commas.
struct Listed {
    names: Vec<Name>,
    at: usize,
    end: usize,
    /// How they are joined to the list before.
    joint: Joint,
    /// Whether there is a word between two of them, and not commas alone.
    worded: bool,
    /// Names and end before the last comma that stands alone.
    before_comma: Option<(usize, usize)>,
}

fn listed(s: &Sentence<'_>, at: usize) -> Listed {
    let same = |a: Name, b: Name| std::mem::discriminant(&a) == std::mem::discriminant(&b);
    let mut list =
        Listed { names: Vec::new(), at, end: at, joint: Joint::Comma, worded: false, before_comma: None };
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
        list.end = end;
        let (next, how) = joint(s, end);
        (i, worded) = (next, how >= Joint::And);
        if i == end {
            break;
        }
    }
    let part = matches!(list.names.last(), Some(Name::Part(_)));
    let noun = matches!(
        s.word(list.end),
        "encoder" | "encoders" | "backbone" | "backbones" | "编码器" | "主干" | "主干网络"
    );
    list.end += usize::from(part && noun && !s.used[list.end] && !names(s, list.end + 1));
    list
}

fn names(s: &Sentence<'_>, at: usize) -> bool {
    matches!(s.sense(at), Some(Sense::Name(_)))
}

fn article(s: &Sentence<'_>, at: usize) -> bool {
    matches!(s.word(at), "a" | "an" | "the" | "any" | "一个")
}

/// Lists of different kinds that are joined to each other, as in "LSTM, GRU or attention".
fn run(s: &Sentence<'_>, at: usize) -> Vec<Listed> {
    let mut lists = vec![listed(s, at)];
    loop {
        let end = lists.last().map_or(at, |list| list.end);
        let (next, joint) = joint(s, end);
        let name = (next..s.len()).find(|i| !article(s, *i)).unwrap_or(next);
        let of_encoder =
            matches!(s.sense(name), Some(Sense::Name(Name::Family(_)))) && encoder(s, name).is_some();
        if next == end || !names(s, name) || of_encoder || s.used[name] {
            return lists;
        }
        lists.push(Listed { joint, ..listed(s, name) });
    }
}

const ALL_EXCLUDED: &str = "read as a list, all of it excluded";
const NOT_SAID: &str = "the \"no\" before it is read as not said of it";
const SAID_OF_ALL: &str = "what is said behind the list is read as said of all of it";
const SAID_OF_LAST: &str = "what is said behind the list is read as said of the last of it only";
const THESE_ALONE: &str = "what is allowed is read as: nothing else is";

/// Whether names that end at `end` are asked for by what follows, as in "no Transformers, LSTMs only".
fn asks(s: &Sentence<'_>, end: usize) -> bool {
    s.sense(end) == Some(Sense::Only) || matches!(s.word(end), "please" | "instead" | "preferably")
}

/// Whether a word joins names at `k` or later in the run, so that the commas before it are those of a list.
fn worded(run: &[Listed], k: usize) -> bool {
    run[k].worded || run[k + 1..].iter().any(|list| list.worded || list.joint >= Joint::And)
}

/// What is said before each list of a run: "no" goes on over "or", and over other joints with a doubt or not at all.
fn said_before(s: &Sentence<'_>, run: &[Listed]) -> Vec<Before> {
    let mut said: Vec<Before> = Vec::new();
    let with_article = |list: &Listed| list.at > 0 && article(s, list.at - 1);
    for (k, list) in run.iter().enumerate() {
        let mut own = before(s, list.at);
        if may(s, own.from) {
            apply(Behind::Allowed, list, &mut own);
        }
        if let Some(last) = said.last().filter(|last| last.way != Way::Wanted && own.way == Way::Wanted) {
            // In "no attention and a GRU" the article begins anew, in "without an LSTM and a GRU" it does not.
            let anew = with_article(list) && !with_article(&run[k - 1]);
            (own.way, own.doubt) = match list.joint {
                Joint::Or => (last.way, last.doubt),
                Joint::And | Joint::Pause if !anew => (last.way, Some(ALL_EXCLUDED)),
                Joint::Comma if anew || asks(s, list.end) => (Way::Wanted, None),
                Joint::Comma if worded(run, k) => (last.way, Some(ALL_EXCLUDED)),
                _ => (Way::Wanted, Some(NOT_SAID)),
            };
        }
        said.push(own);
    }
    said
}

/// Says of a run what stands behind it: of the last list, and of those before it as far as it can be meant.
fn say_behind(s: &Sentence<'_>, run: &[Listed], said: &mut [Before], what: Behind) {
    let last = run.len() - 1;
    apply(what, &run[last], &mut said[last]);
    let verb = s.word(run[last].end);
    let several = matches!(verb, "are" | "都");
    let mut doubt = None;
    for k in (0..last).rev() {
        let listed = worded(run, k + 1);
        let carries = match run[k + 1].joint {
            _ if verb == "free" => return,
            Joint::Or => true,
            // "an LSTM and attention is forbidden": of both, "are" would be said.
            Joint::And | Joint::Pause => several || (what == Behind::Denied && verb != "is"),
            Joint::Comma if !listed && !several => return,
            Joint::Comma => listed && several,
        };
        let way = said[k].way;
        if !carries {
            let doubtful = way == Way::Wanted && what != Behind::Needed;
            said[k].doubt = said[k].doubt.or(doubtful.then_some(SAID_OF_LAST));
            return;
        }
        if run[k + 1].joint != Joint::Or {
            doubt = Some(SAID_OF_ALL);
        }
        apply(what, &run[k], &mut said[k]);
        if said[k].way != way {
            said[k].doubt = said[k].doubt.or(doubt);
        }
    }
}

/// What is said of a list by what stands behind it.
fn apply(what: Behind, list: &Listed, before: &mut Before) {
    let part = |name: &Name| match name {
        Name::Part(word) => !BACKBONES.contains(word),
        Name::Scratch => true,
        Name::Family(_) | Name::Licence(_) => false,
    };
    match (what, before.way) {
        (Behind::Denied, _) => before.way = Way::Denied,
        (Behind::Optional, _) | (Behind::Needed, Way::Denied) => before.way = Way::Optional,
        (Behind::Allowed, Way::Wanted) if !before.only => {
            if list.names.iter().all(part) {
                before.way = Way::Optional;
            } else if !matches!(list.names[0], Name::Licence(_)) {
                before.doubt = before.doubt.or(Some(THESE_ALONE));
            }
        }
        (Behind::Needed | Behind::Allowed, _) => {}
    }
}

/// The names joined from `at` on with what is said of them, where that is anything, and where they end.
pub(super) fn mentions(s: &mut Sentence<'_>, at: usize, notes: &mut Notes) -> (Vec<Mention>, usize) {
    let run = run(s, at);
    let mut said = said_before(s, &run);
    let mut end = run.last().map_or(at + 1, |list| list.end);
    if let Some((what, to)) = behind(s, end) {
        say_behind(s, &run, &mut said, what);
        end = to;
    }
    let (mut found, lists) = (Vec::new(), run.len());
    for (k, (mut list, mut before)) in run.into_iter().zip(said).enumerate() {
        if let Some((count, comma)) = list.before_comma.filter(|_| before.way == Way::Denied) {
            if asks(s, list.end) {
                // "no Transformers, LSTMs only": another phrase begins at the comma.
                list.names.truncate(count);
                found.extend(mention(s, &list, before, comma, notes).0);
                return (found, comma);
            }
            if !list.worded {
                before.doubt = Some(ALL_EXCLUDED);
            }
        }
        let to = if k + 1 == lists { end } else { list.end };
        let (mention, to) = mention(s, &list, before, to, notes);
        found.extend(mention);
        end = end.max(to);
    }
    (found, end)
}

/// Takes a list up to `end` with what is said of it, if that is anything, and says where it ends.
fn mention(
    s: &mut Sentence<'_>,
    list: &Listed,
    before: Before,
    mut end: usize,
    notes: &mut Notes,
) -> (Option<Mention>, usize) {
    let Before { from, way, only, doubt } = before;
    if way == Way::Optional {
        let place = s.take(from, end);
        notes.ignore(place, "what is not needed is neither asked for nor excluded");
        return (None, end);
    }
    if way == Way::Denied {
        // "除LSTM外", "除了LSTM以外"
        end += match (s.word(end), s.word(end + 1)) {
            ("外", _) => 1,
            ("以" | "之", "外") => 2,
            _ => 0,
        };
    }
    let mut of_data = kind_before(s, from.max(1) - 1).or(kind_before(s, list.at.max(1) - 1));
    if matches!(list.names[0], Name::Licence(_)) {
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
    let names = list.names.clone();
    (Some(Mention { names, wanted: way == Way::Wanted, only, of_data, place, doubt }), end)
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
