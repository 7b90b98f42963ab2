//! Concrete mendings: the nearest choice, the word that was meant, and the change itself.

use crate::check::Zoo;
use crate::diagnostic::{Code, Diagnostic};
use crate::fits::Rule;
use crate::schema::{brief, fields, is_needed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A change to a design; pointers are JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Fix {
    /// Another value in the same place.
    Replace {
        /// The place.
        path: String,
        /// The new value.
        value: Value,
    },
    /// The field goes.
    Remove {
        /// The place.
        path: String,
    },
    /// The field is called otherwise; its value stays.
    Rename {
        /// The place under its old name.
        path: String,
        /// The new name.
        name: String,
    },
}

impl Fix {
    pub(crate) fn replace(path: &str, value: Value) -> Self {
        Self::Replace { path: path.into(), value }
    }

    /// The place that changes.
    pub fn path(&self) -> &str {
        match self {
            Self::Replace { path, .. } | Self::Remove { path } | Self::Rename { path, .. } => path,
        }
    }

    /// Changes a value; `false` where the place does not exist or a new name is taken.
    pub fn apply(&self, root: &mut Value) -> bool {
        if let Self::Replace { path, value } = self {
            return root.pointer_mut(path).map(|place| *place = value.clone()).is_some();
        }
        let Some((parent, key)) = self.path().rsplit_once('/') else { return false };
        let key = unescape(key);
        let Some(object) = root.pointer_mut(parent).and_then(Value::as_object_mut) else { return false };
        match self {
            Self::Rename { name, .. } if object.contains_key(&key) && !object.contains_key(name) => {
                let renamed = std::mem::take(object).into_iter();
                *object = renamed.map(|(k, v)| (if k == key { name.clone() } else { k }, v)).collect();
                true
            }
            Self::Rename { .. } => false,
            _ => object.shift_remove(&key).is_some(),
        }
    }
}

impl std::fmt::Display for Fix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replace { path, value } => write!(f, "{path} is now {value}"),
            Self::Remove { path } => write!(f, "{path} is removed"),
            Self::Rename { path, name } => write!(f, "{path} is now called \"{name}\""),
        }
    }
}

/// One segment of a JSON pointer for a field name.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Lower case, with the usual separators dropped: `ResNet-18` and `resnet_18` are one word.
fn plain(word: &str) -> String {
    let kept = word.trim().chars().filter(|c| !matches!(c, '-' | '_' | ' ' | '.'));
    kept.flat_map(char::to_lowercase).collect()
}

fn digits(word: &str) -> String {
    word.chars().filter(char::is_ascii_digit).collect()
}

/// A word on the menu that resembles the one that was written.
pub(crate) struct Alike<'a> {
    pub name: &'a str,
    /// It is the only one so near, and near enough to be what was meant.
    pub sure: bool,
}

/// The closest word. Sure only where numbers agree: `resnet50` is a different network, not a misspelt `resnet18`.
pub(crate) fn alike<'a>(word: &str, menu: impl IntoIterator<Item = &'a str>) -> Option<Alike<'a>> {
    if word.len() > 64 {
        return None;
    }
    let word = plain(word);
    let mut near: Vec<(usize, &str)> =
        menu.into_iter().map(|name| (distance(&word, &plain(name)), name)).collect();
    near.sort_by_key(|(far, _)| *far);
    let &(far, name) = near.first()?;
    let allowed = (word.chars().count() / 3).min(2);
    let unique = near.get(1).is_none_or(|(second, _)| *second > far);
    let sure = far <= allowed && unique && digits(&word) == digits(name);
    (far <= allowed.max(2) && unique && far < word.chars().count()).then_some(Alike { name, sure })
}

/// The word that was probably meant by one that is not among those.
pub fn did_you_mean<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    alike(word, words).map(|found| found.name)
}

/// The menu numbers on both sides of a number.
pub(crate) fn around(number: f64, menu: &[Value]) -> (Option<&Value>, Option<&Value>) {
    let at = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let below = menu.iter().filter(|v| at(v) <= number).max_by(|a, b| at(a).total_cmp(&at(b)));
    let above = menu.iter().filter(|v| at(v) > number).min_by(|a, b| at(a).total_cmp(&at(b)));
    (below, above)
}

/// The one nearest menu entry: between two entries the nearer, beyond an end that end if it is within a factor of 2.
pub(crate) fn nearest(number: f64, menu: &[Value]) -> Option<&Value> {
    match around(number, menu) {
        (Some(low), Some(high)) => {
            let (down, up) = (number - low.as_f64()?, high.as_f64()? - number);
            if (down - up).abs() < 1e-9 * (down + up) {
                None
            } else {
                Some(if down < up { low } else { high })
            }
        }
        (Some(end), None) => (number <= 2.0 * end.as_f64()?).then_some(end),
        (None, Some(end)) => (number > 0.0 && 2.0 * number >= end.as_f64()?).then_some(end),
        (None, None) => None,
    }
}

/// `4`, `4 or 8`, `2, 4 or 8`.
pub(crate) fn or_list<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Heads that do not divide a width, and the nearest that do; of two equally near the smaller is the fix.
pub(crate) fn misfit_heads(at: &str, heads: u32, dim: u32, of: &str, menu: &[u32]) -> Diagnostic {
    let fitting: Vec<u32> = menu.iter().copied().filter(|h| *h > 0 && dim.is_multiple_of(*h)).collect();
    let below = fitting.iter().copied().filter(|h| *h < heads).max();
    let above = fitting.iter().copied().filter(|h| *h > heads).min();
    let beside: Vec<u32> = [below, above].into_iter().flatten().collect();
    let message = format!("{heads} heads do not divide {of} {dim}");
    let hint = format!("use {}", or_list(&beside));
    let best = beside.iter().min_by_key(|h| h.abs_diff(heads));
    let fix = best.map(|h| Fix::replace(at, Value::from(*h)));
    Diagnostic::new(Code::Heads, at, message, hint).mended_by(fix)
}

/// A name that the zoo does not have, and the one that was probably meant.
pub(crate) fn unknown_backbone(at: &str, name: &str, zoo: &dyn Zoo) -> Diagnostic {
    let names = zoo.names();
    let found = alike(name, names.iter().map(String::as_str));
    let meant = found.as_ref().map(|a| format!("did you mean \"{}\"? ", a.name)).unwrap_or_default();
    let hint = format!("{meant}choose one of: {}", zoo.usual().join(", "));
    let fix = found.filter(|a| a.sure).map(|a| Fix::replace(at, Value::from(a.name)));
    let shown: String = name.chars().take(60).collect();
    let message = format!("there is no backbone {}", Value::from(shown));
    Diagnostic::new(Code::UnknownBackbone, at, message, hint).mended_by(fix)
}

/// A field that an object of the language does not have. It is renamed where it is plain what was meant, and goes only where
/// nothing is missing: what it says may be what a missing field should say.
pub(crate) fn unknown_field(at: &str, name: &str, object: &Map<String, Value>, schema: &Value) -> Diagnostic {
    let place = format!("{at}/{}", escape(name));
    let message = format!("there is no field {}", brief(&name.into()));
    let absent: Vec<&str> = fields(schema)
        .map(|(known, _)| known.as_str())
        .filter(|known| !object.contains_key(*known))
        .collect();
    let spelt = alike(name, absent.iter().copied());
    let claimed = claimed(name, object, schema);
    let missing = absent.iter().any(|known| is_needed(schema, known));
    let rename = |to: &str| Some(Fix::Rename { path: place.clone(), name: to.into() });
    let (meant, fix) = match (&spelt, claimed.as_slice()) {
        (Some(found), _) if found.sure => (Some(found.name), rename(found.name)),
        (_, [known]) if claims(known, object, schema) == 1 => (Some(*known), rename(known)),
        (_, [known, ..]) => (Some(*known), None),
        (found, []) => {
            let fix = (!missing).then(|| Fix::Remove { path: place.clone() });
            (found.as_ref().map(|found| found.name), fix)
        }
    };
    let question = meant.map(|name| format!("did you mean \"{name}\"? ")).unwrap_or_default();
    let known = fields(schema).map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", ");
    let hint = format!("{question}fields here: {known}");
    Diagnostic::new(Code::UnknownField, place, message, hint).mended_by(fix)
}

/// The absent fields that a longer or shorter name may stand for (`batch_size` for `batch`, `dropout` for `dropout_pct`) and whose
/// values have what is written there among them.
fn claimed<'a>(name: &str, object: &Map<String, Value>, schema: &'a Value) -> Vec<&'a str> {
    let absent = fields(schema).filter(|(known, _)| !object.contains_key(*known));
    let fits = |rule: &Value| object.get(name).is_some_and(|value| Rule::new(rule).fits(value));
    let found = absent.filter(|(known, rule)| is_said_by(known, name) && fits(rule));
    found.map(|(known, _)| known.as_str()).collect()
}

/// How many fields that the language does not have may stand for that one.
fn claims(known: &str, object: &Map<String, Value>, schema: &Value) -> usize {
    let is_known = |name: &str| fields(schema).any(|(field, _)| field == name);
    let unknown = object.keys().filter(|name| !is_known(name));
    unknown.filter(|name| claimed(name, object, schema).contains(&known)).count()
}

/// Whether a name begins with that of a field, has it among its words, or is the beginning of it.
fn is_said_by(known: &str, name: &str) -> bool {
    let words = |name: &str| -> Vec<String> {
        name.split(['_', '-', ' ', '.']).map(str::to_lowercase).filter(|word| !word.is_empty()).collect()
    };
    let (field, said) = (words(known), words(name));
    !said.is_empty()
        && (plain(name).starts_with(&plain(known))
            || said.windows(field.len()).any(|part| part == field)
            || field.starts_with(&said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_resemble_each_other_when_letters_slip_and_numbers_agree() {
        let zoo = ["efficientnet_lite0", "mobilenet_v2", "resnet18"];
        for (word, name, sure) in [
            ("res-net18", "resnet18", true),
            ("MobileNetV2", "mobilenet_v2", true),
            ("moiblenet_v2", "mobilenet_v2", true),
            ("resnet50", "resnet18", false),
            ("efficientnet_lite1", "efficientnet_lite0", false),
        ] {
            let found = alike(word, zoo).unwrap_or_else(|| panic!("{word} resembles nothing"));
            assert_eq!((found.name, found.sure), (name, sure), "{word}");
        }
        assert!(alike("vit_b16", zoo).is_none());
        assert!(alike("s64", ["s8", "s16", "s32"]).is_none());
        assert!(!alike("s4", ["s8", "s16"]).is_some_and(|a| a.sure));
    }

    #[test]
    fn numbers_have_a_nearest_choice_unless_they_are_far_or_halfway() {
        let menu = [json!(64), json!(128), json!(256)];
        for (number, expected) in [
            (100.0, Some(128)),
            (90.0, Some(64)),
            (96.0, None),
            (500.0, Some(256)),
            (600.0, None),
            (40.0, Some(64)),
            (3.0, None),
        ] {
            assert_eq!(nearest(number, &menu), expected.map(Value::from).as_ref(), "{number}");
        }
    }

    #[test]
    fn a_rename_keeps_the_place_and_takes_no_name_twice() {
        let mut value = json!({"a": {"b": 1, "c/d": 2}});
        let fix = Fix::Rename { path: "/a/c~1d".into(), name: "e".into() };
        assert!(fix.apply(&mut value));
        assert_eq!(value.to_string(), r#"{"a":{"b":1,"e":2}}"#);
        assert!(!Fix::Rename { path: "/a/e".into(), name: "b".into() }.apply(&mut value));
        assert!(!Fix::Remove { path: "/a/x".into() }.apply(&mut value));
    }
}
