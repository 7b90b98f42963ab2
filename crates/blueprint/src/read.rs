//! From text to a blueprint: JSON or TOML, bounded, with the place of every problem in the text.

use crate::check::{Checked, Zoo, check_read};
use crate::design::Target;
use crate::diagnostic::{Code, Diagnostic};
use crate::language::Blueprint;
use crate::{read_json, read_parts, read_toml, schema};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of a blueprint's text, at most.
pub const MAX_TEXT: usize = 64 * 1024;

/// Levels of nesting in a text, at most; the language needs nine.
pub const MAX_DEPTH: usize = 32;

/// How a blueprint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, as models write it.
    Json,
    /// TOML, as people may write it.
    Toml,
}

/// Where a value stands in the text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The field's name, for values of objects.
    pub key: Option<Range<usize>>,
    /// The value.
    pub value: Range<usize>,
}

/// A text that was read: its value, and where each part of it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document {
    /// The value.
    pub value: Value,
    pub(crate) places: Vec<(String, Place)>,
    pub(crate) doubled: Vec<Diagnostic>,
}

impl Document {
    /// Reads a text of at most [`MAX_TEXT`] bytes.
    ///
    /// # Errors
    /// What keeps the text from being JSON or TOML at all.
    pub fn parse(text: &str, format: Format) -> Result<Self, Vec<Diagnostic>> {
        if text.len() > MAX_TEXT {
            let message = format!("the text has {} bytes and the limit is {MAX_TEXT}", text.len());
            return Err(vec![Diagnostic::new(Code::TooLarge, "", message, "write one compact design")]);
        }
        let read = match format {
            Format::Json => read_json::scan(text),
            Format::Toml => read_toml::scan(text),
        };
        read.map_err(|problem| vec![*problem])
    }

    /// Where the value at a pointer stands.
    pub fn place(&self, pointer: &str) -> Option<&Place> {
        self.places.iter().rev().find(|(at, _)| at == pointer).map(|(_, place)| place)
    }

    /// Gives each diagnostic its span: the value, the name of an unknown field, or the nearest thing around it.
    fn locate(&self, mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
        if problems.is_empty() {
            return problems;
        }
        // A text may have thousands of places and problems: no search from the beginning for each.
        let places: HashMap<&str, &Place> =
            self.places.iter().map(|(at, place)| (at.as_str(), place)).collect();
        for problem in problems.iter_mut().filter(|problem| problem.span.is_none()) {
            let mut at = problem.pointer.as_str();
            while !places.contains_key(at) && !at.is_empty() {
                at = at.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
            let exact = at == problem.pointer;
            problem.span = places.get(at).map(|place| match (&place.key, problem.code) {
                (Some(key), Code::UnknownField) if exact => key.clone(),
                _ => place.value.clone(),
            });
        }
        problems
    }
}

/// Reads a blueprint from JSON text.
///
/// # Errors
/// Every structural problem at once, with its place.
pub fn read(text: &str) -> Result<Blueprint, Vec<Diagnostic>> {
    let document = Document::parse(text, Format::Json)?;
    let mut problems = document.doubled.clone();
    match from_value(document.value.clone()) {
        Ok(blueprint) if problems.is_empty() => return Ok(blueprint),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    Err(document.locate(problems))
}

/// Reads a blueprint from a JSON value; see [`read`].
///
/// # Errors
/// Every structural problem at once, with its place.
pub fn from_value(value: Value) -> Result<Blueprint, Vec<Diagnostic>> {
    let problems = schema::validate(&value, schema::language());
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(value).map_err(|error| {
        let hint = "compare with the description of the language";
        vec![Diagnostic::new(Code::WrongType, "", error.to_string(), hint)]
    })
}

/// Reads and checks JSON text.
///
/// # Errors
/// Every problem at once: those of the text, and those of composition in the parts that are sound.
pub fn parse(text: &str, zoo: &dyn Zoo, target: Target) -> Result<Checked, Vec<Diagnostic>> {
    parse_as(text, Format::Json, zoo, target)
}

/// A blueprint in JSON without problems of structure; most proposals are such, and need no places.
fn quick(text: &str, format: Format) -> Option<Blueprint> {
    if format != Format::Json || text.len() > MAX_TEXT {
        return None;
    }
    let value = read_json::quick(text).filter(|value| schema::language_rule().fits(value))?;
    Blueprint::deserialize(value).ok()
}

/// Reads and checks JSON or TOML text; see [`parse`].
///
/// # Errors
/// As [`parse`].
pub fn parse_as(
    text: &str,
    format: Format,
    zoo: &dyn Zoo,
    target: Target,
) -> Result<Checked, Vec<Diagnostic>> {
    if let Some(blueprint) = quick(text, format) {
        return check_read(blueprint, zoo, target).map_err(|problems| match Document::parse(text, format) {
            Ok(document) => document.locate(problems),
            Err(_) => problems,
        });
    }
    let document = Document::parse(text, format)?;
    let mut problems = document.doubled.clone();
    match from_value(document.value.clone()) {
        Ok(blueprint) => match check_read(blueprint, zoo, target) {
            Ok(checked) if problems.is_empty() => return Ok(checked),
            Ok(_) => {}
            Err(more) => problems.extend(more),
        },
        Err(more) => {
            let beside = read_parts::check_sound(&document.value, &more, zoo, target);
            problems.extend(more);
            problems.extend(beside);
        }
    }
    Err(document.locate(problems))
}
