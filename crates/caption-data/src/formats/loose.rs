//! JSON of others: what is wanted of it is kept, whatever else it holds is passed over and takes no memory.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::table::{CAPTION_COLUMNS, IMAGE_COLUMNS};

/// What is made of a JSON value of any kind; of a kind that is not wanted, nothing but that it was there.
trait Loose: Sized {
    fn other() -> Self;

    fn text(_text: &str) -> Self {
        Self::other()
    }

    fn number(_number: u64) -> Self {
        Self::other()
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::other())
    }

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::other())
    }
}

struct Any<T>(PhantomData<T>);

impl<'de, T: Loose> Visitor<'de> for Any<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::other())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::object(object)
    }
}

/// A field that is wanted where it is a text or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Text(String),
    Number(u64),
    Other,
}

impl Field {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Field::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<u64> {
        match self {
            Field::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl Loose for Field {
    fn other() -> Self {
        Field::Other
    }

    fn text(text: &str) -> Self {
        Field::Text(text.to_owned())
    }

    fn number(number: u64) -> Self {
        Field::Number(number)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A text, or an object with `raw` text.
struct Caption(Option<String>);

impl Loose for Caption {
    fn other() -> Self {
        Caption(None)
    }

    fn text(text: &str) -> Self {
        Caption(Some(text.to_owned()))
    }

    fn object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut raw = None;
        while let Some(key) = object.next_key::<String>()? {
            if key == "raw" {
                raw = Some(object.next_value()?);
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Caption(raw.and_then(|raw| if let Field::Text(text) = raw { Some(text) } else { None })))
    }
}

impl<'de> Deserialize<'de> for Caption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A text, a list of texts, or a list of objects with `raw` text; none where it is something else.
struct Captions(Option<Vec<String>>);

impl Loose for Captions {
    fn other() -> Self {
        Captions(None)
    }

    fn text(text: &str) -> Self {
        Captions(Some(vec![text.to_owned()]))
    }

    fn list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut all = Some(Vec::new());
        while let Some(Caption(text)) = list.next_element()? {
            match (&mut all, text) {
                (Some(all), Some(text)) => all.push(text),
                _ => all = None,
            }
        }
        Ok(Captions(all))
    }

    fn object<'de, A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        Ok(Captions(Caption::object(object)?.0.map(|caption| vec![caption])))
    }
}

impl<'de> Deserialize<'de> for Captions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// What an object says of an image. Of fields with one name the last holds; null is as good as none.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub id: Option<Field>,
    pub split: Option<Field>,
    names: BTreeMap<&'static str, Field>,
    captions: BTreeMap<&'static str, Option<Vec<String>>>,
}

impl Row {
    /// What is under the first of these names that has a value.
    pub fn name(&self, names: &[&str]) -> Option<&Field> {
        names.iter().find_map(|name| self.names.get(*name))
    }

    /// The captions under the first name for such that has a value, where they are a text or a list of texts.
    pub fn take_captions(&mut self) -> Option<Vec<String>> {
        CAPTION_COLUMNS.iter().find_map(|name| self.captions.remove(*name)).flatten()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Row, A::Error> {
        let mut row = Row::default();
        while let Some(key) = object.next_key::<String>()? {
            let known = |names: &[&'static str]| names.iter().copied().find(|name| *name == key);
            if let Some(name) = known(&IMAGE_COLUMNS) {
                match object.next_value::<Option<Field>>()? {
                    Some(field) => _ = row.names.insert(name, field),
                    None => _ = row.names.remove(name),
                }
            } else if let Some(name) = known(&CAPTION_COLUMNS) {
                match object.next_value::<Option<Captions>>()? {
                    Some(Captions(captions)) => _ = row.captions.insert(name, captions),
                    None => _ = row.captions.remove(name),
                }
            } else {
                match key.as_str() {
                    "split" => row.split = object.next_value()?,
                    "id" => row.id = object.next_value()?,
                    _ => _ = object.next_value::<IgnoredAny>()?,
                }
            }
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn captions_are_texts_or_have_them() {
        let said = |value: &str| row(&format!("{{\"caption\": {value}}}")).take_captions();
        let some = |all: &[&str]| Some(all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        for (value, expected) in [
            ("\"a\"", some(&["a"])),
            ("[\"a\", {\"raw\": \"b\", \"tokens\": [[1]]}]", some(&["a", "b"])),
            ("{\"id\": {\"x\": 1}, \"raw\": \"a\"}", some(&["a"])),
            ("{\"raw\": \"a\", \"raw\": \"b\"}", some(&["b"])),
            ("[]", some(&[])),
            ("[\"a\", 1]", None),
            ("[1, \"a\"]", None),
            ("[[\"a\"]]", None),
            ("[\"a\", null]", None),
            ("[{\"raw\": [1]}]", None),
            ("{\"text\": \"a\"}", None),
            ("-7", None),
            ("1e3", None),
            ("true", None),
            ("null", None),
        ] {
            assert_eq!(said(value), expected, "{value}");
        }
    }

    #[test]
    fn the_first_name_with_a_value_counts_and_of_one_name_the_last_field() {
        let mut mixed = row(
            "{\"text\": \"t\", \"captions\": null, \"path\": \"p\", \"file\": 7, \"image\": \"i\", \"image\": null, \"id\": 3}",
        );
        assert_eq!(mixed.name(&IMAGE_COLUMNS), Some(&Field::Number(7)));
        assert_eq!(mixed.name(&["path"]).and_then(Field::as_text), Some("p"));
        assert_eq!(mixed.id.as_ref().and_then(Field::as_number), Some(3));
        assert_eq!(mixed.take_captions(), Some(vec!["t".to_owned()]));
        let wrong = row("{\"text\": \"t\", \"caption\": 7}").take_captions();
        assert_eq!(wrong, None, "the first name counts also where its value is of no use");
    }

    #[test]
    fn what_is_not_wanted_is_passed_over() {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        for name in ["x", "split", "id", "image", "caption"] {
            let read = row(&format!("{{\"{name}\": {deep}, \"file_name\": \"a.jpg\", \"text\": \"t\"}}"));
            assert_eq!(read.name(&["file_name"]).and_then(Field::as_text), Some("a.jpg"), "{name}");
        }
        assert_eq!(row("{\"split\": [\"test\"]}").split, Some(Field::Other));
        let error = serde_json::from_str::<Row>("[1]").unwrap_err().to_string();
        assert!(error.contains("expected a map"), "{error}");
    }
}
