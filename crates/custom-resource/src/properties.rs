//! Parsing of properties. CloudFormation sends scalars as strings, and does not check names.
//!
//! A `bool` accepts `true` and `"true"`, a number accepts `30` and `"30"`, and a `String` accepts
//! both. Unknown names are rejected, so derive `Deserialize` on plain structs, without
//! `#[serde(flatten)]`.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// Properties that CloudFormation adds and no provider declares.
const PLATFORM: [&str; 2] = ["ServiceToken", "ServiceTimeout"];

/// The treatment of names that the type does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownNames {
    /// Reject them, so that a misspelt name does not pass silently.
    Reject,
    /// Skip them: a Delete has to work with what an older version accepted.
    Ignore,
}

/// An invalid property.
#[derive(Debug, thiserror::Error)]
#[error("property `{path}`: {problem}")]
pub struct PropertyError {
    path: String,
    problem: String,
}

impl PropertyError {
    /// Returns the property's path, for example `Options.IgnoreHeader`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Parses the properties of a request.
///
/// `secret` lists the top-level properties whose values no error repeats.
///
/// # Errors
/// The first property that is unknown, missing or of another type, with its path.
pub fn parse<T: DeserializeOwned>(
    properties: &Map<String, Value>,
    unknown: UnknownNames,
    secret: &[&str],
) -> Result<T, PropertyError> {
    let own: Map<String, Value> = properties
        .iter()
        .filter(|(name, _)| !PLATFORM.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let value = Value::Object(own);
    serde_path_to_error::deserialize(Lenient { value: &value, unknown }).map_err(|error| {
        let path = error.path().to_string();
        let top = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let problem = if secret.contains(&top.as_str()) {
            "the value is not of the expected form (it is a secret and not shown)".to_owned()
        } else {
            error.into_inner().to_string()
        };
        let path = if path == "." { "(the properties as a whole)".to_owned() } else { readable(&path, 120) };
        PropertyError { path, problem }
    })
}

#[derive(Debug)]
struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Problem {}
impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
    fn missing_field(field: &'static str) -> Self {
        Self(format!("`{field}` is required and missing"))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("expected one of {}, found \"{}\"", expected.join(", "), readable(variant, 60)))
    }
}

/// Returns a text of the template for an error: invisible characters escaped, and shortened to
/// `max_chars` characters.
pub(crate) fn readable(text: &str, max_chars: usize) -> String {
    let mut shown = String::new();
    let mut room = max_chars;
    for character in text.chars() {
        let escaped = character.escape_default();
        let length = if character.is_control() { escaped.len() } else { 1 };
        if length > room {
            shown.push('…');
            break;
        }
        room -= length;
        if character.is_control() {
            shown.extend(escaped);
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A deserializer that converts scalars to the target type.
#[derive(Clone, Copy)]
struct Lenient<'a> {
    value: &'a Value,
    unknown: UnknownNames,
}

/// Returns a value as it stands in the template, shortened.
fn escape(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        // With JSON's quotes and escapes, which leave some control characters as they are.
        Value::String(_) => {
            let text = readable(&value.to_string(), 60);
            let end = if text.ends_with('…') { "\"" } else { "" };
            format!("the string {text}{end}")
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

impl<'a> Lenient<'a> {
    fn wrong<T>(self, expected: &dyn fmt::Display) -> Result<T, Problem> {
        Err(Problem(format!("expected {expected}, found {}", escape(self.value))))
    }

    fn integer(self) -> Option<i128> {
        match self.value {
            Value::Number(number) => {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
            }
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            match self.integer().and_then(|wide| <$type>::try_from(wide).ok()) {
                Some(number) => visitor.$visit(number),
                None => self.wrong(&format_args!(
                    "a whole number from {} to {}", <$type>::MIN, <$type>::MAX
                )),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Lenient<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Number(number) => number.visit_with(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") => visitor.visit_bool(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => visitor.visit_bool(false),
            _ => self.wrong(&"true or false"),
        }
    }

    integers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let number = match self.value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse::<f64>().ok().filter(|number| number.is_finite()),
            _ => None,
        };
        match number {
            Some(number) => visitor.visit_f64(number),
            None => self.wrong(&"a number"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Bool(flag) => visitor.visit_string(flag.to_string()),
            Value::Number(number) => visitor.visit_string(number.to_string()),
            _ => self.wrong(&"a string"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::String(text) if text.chars().count() == 1 => visitor.visit_borrowed_str(text),
            Value::Number(number) if number.to_string().len() == 1 => {
                visitor.visit_string(number.to_string())
            }
            _ => self.wrong(&"one character"),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items { rest: items.iter(), unknown: self.unknown }),
            _ => self.wrong(&"a list"),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Array(items) if items.len() != len => {
                Err(Problem(format!("expected a list of {len}, found a list of {}", items.len())))
            }
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.value {
            Value::Object(map) => visitor.visit_map(Entries::new(map, None, self.unknown)),
            _ => self.wrong(&"a map"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let Value::Object(map) = self.value else { return self.wrong(&"a map") };
        if self.unknown == UnknownNames::Reject
            && let Some(stranger) = map.keys().find(|name| !fields.contains(&name.as_str()))
        {
            let stranger = readable(stranger, 60);
            return Err(Problem(format!("`{stranger}` is unknown, expected one of {}", fields.join(", "))));
        }
        visitor.visit_map(Entries::new(map, Some(fields), self.unknown))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.value {
            Value::String(text) => {
                let reader: StrDeserializer<'_, Problem> = text.as_str().into_deserializer();
                visitor.visit_enum(reader)
            }
            _ => self.wrong(&format_args!("one of {}", variants.join(", "))),
        }
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct identifier ignored_any }
}

/// `serde_json::Number` calls a visitor only with its own error type.
trait NumberExt {
    fn visit_with<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Problem>;
}

impl NumberExt for serde_json::Number {
    fn visit_with<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Problem> {
        if let Some(number) = self.as_u64() {
            visitor.visit_u64(number)
        } else if let Some(number) = self.as_i64() {
            visitor.visit_i64(number)
        } else {
            visitor.visit_f64(self.as_f64().unwrap_or(f64::NAN))
        }
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Value>,
    unknown: UnknownNames,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        let unknown = self.unknown;
        self.rest.next().map(|value| seed.deserialize(Lenient { value, unknown })).transpose()
    }
}

struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    known: Option<&'static [&'static str]>,
    value: Option<&'a Value>,
    unknown: UnknownNames,
}

impl<'a> Entries<'a> {
    fn new(
        map: &'a Map<String, Value>,
        known: Option<&'static [&'static str]>,
        unknown: UnknownNames,
    ) -> Self {
        Self { rest: map.iter(), known, value: None, unknown }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        for (name, value) in self.rest.by_ref() {
            if self.known.is_some_and(|known| !known.contains(&name.as_str())) {
                continue;
            }
            self.value = Some(value);
            let reader: StrDeserializer<'_, Problem> = name.as_str().into_deserializer();
            return seed.deserialize(reader).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        let value = self.value.take().unwrap_or(&Value::Null);
        seed.deserialize(Lenient { value, unknown: self.unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase")]
    struct Sample {
        name: String,
        #[serde(default)]
        flag: bool,
        #[serde(default)]
        count: Option<u16>,
        #[serde(default)]
        ratio: Option<f64>,
        #[serde(default)]
        mark: Option<char>,
        #[serde(default)]
        list: Vec<String>,
        #[serde(default)]
        nested: Option<Nested>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        raw: Option<Value>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase")]
    struct Nested {
        inner: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Kind {
        Csv,
        Json,
    }

    fn read(value: Value) -> Result<Sample, String> {
        let Value::Object(map) = value else { panic!("a map") };
        parse(&map, UnknownNames::Reject, &["Secret", "Count"]).map_err(|e| e.to_string())
    }

    #[test]
    fn string_and_native_scalar_parse_to_the_same_value() {
        let text = read(
            json!({"Name": "n", "Flag": "true", "Count": "30", "Ratio": "0.5", "Mark": "|", "Kind": "Csv",
            "List": ["a", "1"], "Nested": {"Inner": "7"}, "ServiceToken": "t", "ServiceTimeout": "60"}),
        );
        let native =
            read(json!({"Name": "n", "Flag": true, "Count": 30, "Ratio": 0.5, "Mark": "|", "Kind": "Csv",
            "List": ["a", 1], "Nested": {"Inner": 7}}));
        assert_eq!(text.as_ref().unwrap().count, Some(30));
        assert_eq!(text, native);
    }

    #[test]
    fn raw_values_keep_their_structure() {
        let raw = json!({"Sid": "a", "Deep": [1, true, null, {"x": "y"}]});
        assert_eq!(read(json!({"Name": "n", "Raw": raw})).unwrap().raw, Some(raw));
    }

    #[test]
    fn wrong_type_is_rejected_with_path_expectation_and_value() {
        for (value, sentence) in [
            (json!({"Name": ["x"]}), "property `Name`: expected a string, found a list"),
            (
                json!({"Name": "n", "Flag": "yes"}),
                "property `Flag`: expected true or false, found the string \"yes\"",
            ),
            (
                json!({"Name": "n", "Ratio": "inf"}),
                "property `Ratio`: expected a number, found the string \"inf\"",
            ),
            (
                json!({"Name": "n", "List": "a,b"}),
                "property `List`: expected a list, found the string \"a,b\"",
            ),
            (json!({"Name": "n", "List": [{}]}), "property `List[0]`: expected a string, found a map"),
            (
                json!({"Name": "n", "Nested": "x"}),
                "property `Nested`: expected a map, found the string \"x\"",
            ),
            (
                json!({"Name": "n", "Nested": {"Inner": "300"}}),
                "property `Nested.Inner`: expected a whole number from 0 to 255, found the string \"300\"",
            ),
            (
                json!({"Name": "n", "Nested": {"Inner": "1", "Inna": "2"}}),
                "property `Nested`: `Inna` is unknown, expected one of Inner",
            ),
            (
                json!({"Name": "n", "Kind": "Xml"}),
                "property `Kind`: expected one of Csv, Json, found \"Xml\"",
            ),
            (json!({"Name": "n", "Kind": []}), "property `Kind`: expected one of Csv, Json, found a list"),
            (
                json!({"Name": "n", "Mark": "ab"}),
                "property `Mark`: expected one character, found the string \"ab\"",
            ),
            (json!({}), "property `(the properties as a whole)`: `Name` is required and missing"),
        ] {
            assert_eq!(read(value).unwrap_err(), sentence);
        }
    }

    #[test]
    fn unknown_name_is_rejected_or_ignored() {
        let map = json!({"Name": "n", "Nmae": "x"});
        let error = read(map.clone()).unwrap_err();
        assert!(error.contains("`Nmae` is unknown, expected one of Name, Flag"), "{error}");
        let Value::Object(map) = map else { panic!("a map") };
        let lenient: Sample = parse(&map, UnknownNames::Ignore, &[]).unwrap();
        assert_eq!(lenient.name, "n");
    }

    #[test]
    fn value_of_a_secret_property_is_not_repeated() {
        let error = read(json!({"Name": "n", "Count": "hunter2"})).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(error.contains("`Count`"), "{error}");
    }

    #[test]
    fn long_value_is_shortened_between_characters() {
        let error = read(json!({"Name": "n", "Flag": "🦀".repeat(500)})).unwrap_err();
        assert!(error.chars().count() < 140, "{error}");
    }
}
