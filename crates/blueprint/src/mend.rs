//! Applies fixes to a text until none is left, and keeps everything else as it was written.

use crate::check::Zoo;
use crate::design::Target;
use crate::fix::Fix;
use crate::read::{Document, Format, parse_as};
use serde_json::Value;

/// Rounds of fixes, at most; each round mends at least one thing.
const ROUNDS: usize = 256;

/// A text after all fixes.
#[derive(Debug, Clone, PartialEq)]
pub struct Mended {
    /// The text as it is now.
    pub text: String,
    /// What was changed, in order.
    pub fixes: Vec<Fix>,
}

/// Applies one fix at a time, checks again, and ends when no diagnostic has a fix.
///
/// Comments and layout stay, except where a fix cannot be made within the text (some TOML tables): then the whole
/// text is written anew.
pub fn mend(text: &str, format: Format, zoo: &dyn Zoo, target: Target) -> Mended {
    let mut mended = Mended { text: text.to_string(), fixes: Vec::new() };
    for _ in 0..ROUNDS {
        let Err(problems) = parse_as(&mended.text, format, zoo, target) else { break };
        let Ok(document) = Document::parse(&mended.text, format) else { break };
        if !document.doubled.is_empty() {
            break;
        }
        let step = problems.into_iter().filter_map(|p| p.fix).find_map(|fix| {
            let text = applied(&mended.text, format, &document, &fix)?;
            Some((text, fix))
        });
        let Some((text, fix)) = step else { break };
        mended.text = text;
        mended.fixes.push(fix);
    }
    mended
}

/// The text with one fix made.
fn applied(text: &str, format: Format, document: &Document, fix: &Fix) -> Option<String> {
    let mut wanted = document.value.clone();
    if !fix.apply(&mut wanted) {
        return None;
    }
    let right = |text: &String| Document::parse(text, format).is_ok_and(|d| d.value == wanted);
    edited(text, format, document, fix).filter(right).or_else(|| written(&wanted, format)).filter(right)
}

fn written(value: &Value, format: Format) -> Option<String> {
    match format {
        Format::Json => serde_json::to_string_pretty(value).ok(),
        Format::Toml => toml::to_string(value).ok(),
    }
}

/// The fix as an edit of the text; what it means is checked by the caller.
fn edited(text: &str, format: Format, document: &Document, fix: &Fix) -> Option<String> {
    let place = document.place(fix.path())?;
    let (range, with) = match fix {
        Fix::Replace { value, .. } => (place.value.clone(), value.to_string()),
        Fix::Rename { name, .. } if format == Format::Json => {
            (place.key.clone()?, Value::from(name.as_str()).to_string())
        }
        Fix::Rename { name, .. } => (place.key.clone()?, name.clone()),
        Fix::Remove { .. } => {
            let (mut start, mut end) = (place.key.as_ref()?.start, place.value.end);
            let after = text.get(end..)?;
            let before = text.get(..start)?.trim_end();
            if let Some(rest) = after.trim_start().strip_prefix(',') {
                end = text.len() - rest.trim_start_matches(' ').len();
            } else if before.ends_with(',') {
                start = before.len() - 1;
            } else if format == Format::Toml {
                end += after.find('\n').map_or(after.len(), |line| line + 1);
            }
            (start..end, String::new())
        }
    };
    Some(format!("{}{with}{}", text.get(..range.start)?, text.get(range.end..)?))
}

/// Line and column (both from 1, columns in characters) of a byte of a text.
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
