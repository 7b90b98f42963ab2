//! A strict JSON reader that knows where each value stands, refuses doubled fields and bounds its own depth.

use crate::diagnostic::{Code, Diagnostic};
use crate::fix::escape;
use crate::read::{Document, MAX_DEPTH, Place};
use serde_json::{Map, Value};

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Whether pointers are made and places kept; both are half of the work.
    placing: bool,
    document: Document,
}

type Step<T> = Result<T, Box<Diagnostic>>;

/// Reads one JSON value and nothing else.
pub(crate) fn scan(text: &str) -> Step<Document> {
    read(text, true)
}

/// The value without its places; none where anything is wrong or doubled.
pub(crate) fn quick(text: &str) -> Option<Value> {
    read(text, false).ok().filter(|document| document.doubled.is_empty()).map(|document| document.value)
}

fn read(text: &str, placing: bool) -> Step<Document> {
    let mut scanner = Scanner { text, at: 0, placing, document: Document::default() };
    scanner.blank();
    let value = scanner.value("", None, 0)?;
    scanner.blank();
    if scanner.at < text.len() {
        return Err(scanner.error(
            scanner.at,
            "more text follows the design",
            "write one JSON object and nothing else",
        ));
    }
    scanner.document.value = value;
    Ok(scanner.document)
}

/// A diagnostic about the text itself at a byte.
pub(crate) fn text_error(text: &str, at: usize, message: &str, hint: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotJson, "", message, hint);
    Diagnostic { span: Some(letter(text, at)), ..diagnostic }
}

/// The character at a byte; empty at the end of the text.
fn letter(text: &str, at: usize) -> std::ops::Range<usize> {
    let width = text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    at..at + width
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, at: usize, message: &str, hint: &str) -> Box<Diagnostic> {
        Box::new(text_error(self.text, at, message, hint))
    }

    /// What is wrong where something else was expected, in words for the usual slips.
    fn unexpected(&self, wanted: &str) -> Box<Diagnostic> {
        let rest = self.rest();
        let begins = |words: &[&str]| words.iter().any(|word| rest.starts_with(word));
        let (message, hint) = match rest.chars().next() {
            None => ("the text ends too early".into(), "close every brace, bracket and quote".into()),
            Some('/' | '#') => ("JSON has no comments".into(), "remove the comment".into()),
            Some('\'') => ("text stands in single quotes".into(), "use double quotes".into()),
            Some('`') => ("a code fence is not JSON".into(), "write the object alone".into()),
            Some(']' | '}') if self.text[..self.at].trim_end().ends_with(',') => {
                ("a comma with nothing after it".into(), "remove the comma".into())
            }
            Some(_) if begins(&["NaN", "Infinity", "-Infinity", "inf", "nan"]) => {
                ("numbers must be finite".into(), "choose a number from the menu".into())
            }
            Some(_) if begins(&["None", "True", "False"]) => {
                ("that is Python, not JSON".into(), "write null, true or false".into())
            }
            Some(other) => {
                (format!("found {other:?} where {wanted} should be"), format!("write {wanted} here"))
            }
        };
        self.error(self.at, &message, &hint)
    }

    fn value(&mut self, pointer: &str, key: Option<std::ops::Range<usize>>, depth: usize) -> Step<Value> {
        let start = self.at;
        if depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels");
            let deep = Diagnostic::new(Code::TooDeep, pointer, message, "write one flat design");
            return Err(Box::new(Diagnostic { span: Some(letter(self.text, start)), ..deep }));
        }
        let value = match self.peek() {
            Some(b'{') => self.object(pointer, depth)?,
            Some(b'[') => self.array(pointer, depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.scalar("a number")?,
            Some(b't' | b'f' | b'n') => self.scalar("a value")?,
            _ => return Err(self.unexpected("a value")),
        };
        if self.placing {
            self.document.places.push((pointer.to_string(), Place { key, value: start..self.at }));
        }
        Ok(value)
    }

    /// A number, `true`, `false` or `null`: serde_json decides what the letters mean.
    fn scalar(&mut self, wanted: &str) -> Step<Value> {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.');
        let length = self.rest().find(|c| !part(c)).unwrap_or(self.rest().len());
        match serde_json::from_str(&self.rest()[..length]) {
            Ok(value) => {
                self.at += length;
                Ok(value)
            }
            Err(error) if error.to_string().starts_with("number out of range") => {
                Err(self.error(self.at, "the number is too large to be one", "choose a number from the menu"))
            }
            Err(_) => Err(self.unexpected(wanted)),
        }
    }

    fn string(&mut self) -> Step<String> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => {
                    let hint = "close every brace, bracket and quote";
                    return Err(self.error(start, "a quote that is never closed", hint));
                }
            }
        }
        self.at = end + 1;
        serde_json::from_str(&self.text[start..=end]).map_err(|_| {
            self.error(
                start,
                "a text with a character or escape that JSON does not allow",
                "use plain letters",
            )
        })
    }

    fn object(&mut self, pointer: &str, depth: usize) -> Step<Value> {
        let mut map = Map::new();
        self.at += 1;
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a field name in double quotes"));
            }
            let start = self.at;
            let name = self.string()?;
            let key = start..self.at;
            self.blank();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("a colon"));
            }
            self.at += 1;
            self.blank();
            let inner = if self.placing { format!("{pointer}/{}", escape(&name)) } else { String::new() };
            if map.contains_key(&name) {
                self.document.doubled.push(doubled(&inner, key.clone()));
            }
            let value = self.value(&inner, Some(key), depth + 1)?;
            map.insert(name, value);
            if !self.another(b'}', "a comma or }")? {
                return Ok(Value::Object(map));
            }
        }
    }

    fn array(&mut self, pointer: &str, depth: usize) -> Step<Value> {
        let mut items = Vec::new();
        self.at += 1;
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            let inner = if self.placing { format!("{pointer}/{}", items.len()) } else { String::new() };
            items.push(self.value(&inner, None, depth + 1)?);
            if !self.another(b']', "a comma or ]")? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// After an entry: whether another follows.
    fn another(&mut self, close: u8, wanted: &str) -> Step<bool> {
        self.blank();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.blank();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.unexpected(wanted)),
        }
    }
}

/// A field that is written a second time.
pub(crate) fn doubled(pointer: &str, span: std::ops::Range<usize>) -> Diagnostic {
    let twice =
        Diagnostic::new(Code::DuplicateKey, pointer, "the field is written twice", "remove one of them");
    Diagnostic { span: Some(span), ..twice }
}
