//! What is wrong with a design: stable codes, the place, and a hint that a person or a model can act on.

pub use crate::explain::Code;
use crate::explain::explain;
use crate::fix::Fix;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::Range;

impl Code {
    /// The code as printed: `CW0101`.
    pub fn as_str(self) -> &'static str {
        explain(self).code
    }

    /// The rule of that code, in either case.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::find(&text).ok_or_else(|| serde::de::Error::custom(format!("there is no rule {text}")))
    }
}

/// One thing that is wrong with a design.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The rule.
    pub code: Code,
    /// Where, as a JSON pointer; empty for the whole text.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Where in the text, in bytes; none for designs that were not read from text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Range<usize>>,
    /// A change that mends it, where there is one obvious change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn new(
        code: Code,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (pointer, message, hint) = (pointer.into(), message.into(), hint.into());
        Self { code, pointer, message, hint, span: None, fix: None }
    }

    /// The same with a change that mends it.
    pub(crate) fn mended_by(self, fix: Option<Fix>) -> Self {
        Self { fix, ..self }
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{} at {place}: {} ({})", self.code, self.message, self.hint)
    }
}
