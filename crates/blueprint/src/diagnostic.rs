//! What is wrong with a design: stable codes, the place, and a hint that a person or a model can act on.

use serde::{Deserialize, Serialize};

/// Stable code of a rule. `CW00xx`: the text is no blueprint; `CW01xx`: the design does not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Code {
    /// The text is not JSON.
    #[serde(rename = "CW0001")]
    NotJson,
    /// A value has the wrong type.
    #[serde(rename = "CW0002")]
    WrongType,
    /// A field is missing.
    #[serde(rename = "CW0003")]
    MissingField,
    /// A field is not part of the language.
    #[serde(rename = "CW0004")]
    UnknownField,
    /// A value is not on its menu.
    #[serde(rename = "CW0005")]
    NotOnMenu,
    /// A list is too short or too long.
    #[serde(rename = "CW0006")]
    ListLength,
    /// The text is too large.
    #[serde(rename = "CW0007")]
    TooLarge,
    /// The zoo has no such backbone.
    #[serde(rename = "CW0101")]
    UnknownBackbone,
    /// The backbone cannot be cut there.
    #[serde(rename = "CW0102")]
    NoSuchCut,
    /// The image is too small for what follows.
    #[serde(rename = "CW0103")]
    MapTooSmall,
    /// A residual body changes the shape.
    #[serde(rename = "CW0104")]
    ResidualShape,
    /// Branches that are added differ in shape.
    #[serde(rename = "CW0105")]
    AddShapes,
    /// Branches that are concatenated differ in height or width.
    #[serde(rename = "CW0106")]
    ConcatShapes,
    /// Heads do not divide the width.
    #[serde(rename = "CW0107")]
    Heads,
    /// The grid has too many tokens.
    #[serde(rename = "CW0108")]
    TooManyTokens,
    /// A map has more values than any design may have.
    #[serde(rename = "CW0109")]
    MapTooLarge,
}

impl Code {
    /// The code as printed: `CW0101`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "CW0001",
            Self::WrongType => "CW0002",
            Self::MissingField => "CW0003",
            Self::UnknownField => "CW0004",
            Self::NotOnMenu => "CW0005",
            Self::ListLength => "CW0006",
            Self::TooLarge => "CW0007",
            Self::UnknownBackbone => "CW0101",
            Self::NoSuchCut => "CW0102",
            Self::MapTooSmall => "CW0103",
            Self::ResidualShape => "CW0104",
            Self::AddShapes => "CW0105",
            Self::ConcatShapes => "CW0106",
            Self::Heads => "CW0107",
            Self::TooManyTokens => "CW0108",
            Self::MapTooLarge => "CW0109",
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
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
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn new(
        code: Code,
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { code, pointer: pointer.into(), message: message.into(), hint: hint.into() }
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{} at {place}: {} ({})", self.code, self.message, self.hint)
    }
}
