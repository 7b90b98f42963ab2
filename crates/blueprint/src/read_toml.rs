//! TOML with the place of each value.

use crate::diagnostic::{Code, Diagnostic};
use crate::fix::escape;
use crate::read::{Document, MAX_DEPTH, Place};
use crate::read_json::{doubled, text_error};
use serde_json::{Map, Value};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Reads a TOML document.
pub(crate) fn scan(text: &str) -> Result<Document, Box<Diagnostic>> {
    let table = DeTable::parse(text).map_err(|error| Box::new(refused(text, &error)))?;
    let mut document = Document::default();
    document.places.push((String::new(), Place { key: None, value: 0..text.len() }));
    document.value = object(table.get_ref(), "", 0, &mut document.places)?;
    Ok(document)
}

fn refused(text: &str, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    if error.message().contains("duplicate key") {
        return doubled("", span);
    }
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let problem = text_error(text, span.start, &message, "write one TOML document and nothing else");
    Diagnostic { span: Some(span), ..problem }
}

fn object(
    table: &DeTable<'_>,
    at: &str,
    depth: usize,
    places: &mut Vec<(String, Place)>,
) -> Result<Value, Box<Diagnostic>> {
    let mut map = Map::new();
    for (key, inner) in table {
        let pointer = format!("{at}/{}", escape(key.get_ref()));
        let value = value(inner.get_ref(), &pointer, inner.span(), depth + 1, places)?;
        places.push((pointer, Place { key: Some(key.span()), value: inner.span() }));
        map.insert(key.get_ref().to_string(), value);
    }
    Ok(Value::Object(map))
}

fn value(
    value: &DeValue<'_>,
    at: &str,
    span: Range<usize>,
    depth: usize,
    places: &mut Vec<(String, Place)>,
) -> Result<Value, Box<Diagnostic>> {
    if depth > MAX_DEPTH {
        let message = format!("more than {MAX_DEPTH} levels");
        let deep = Diagnostic::new(Code::TooDeep, at, message, "write one flat design");
        return Err(Box::new(Diagnostic { span: Some(span), ..deep }));
    }
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.to_string()), Value::from),
        // Infinities and NaN have no JSON number; as text they are refused with their type.
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        DeValue::Array(items) => {
            let mut list = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let pointer = format!("{at}/{i}");
                list.push(self::value(item.get_ref(), &pointer, item.span(), depth + 1, places)?);
                places.push((pointer, Place { key: None, value: item.span() }));
            }
            Value::Array(list)
        }
        DeValue::Table(table) => object(table, at, depth, places)?,
    })
}
