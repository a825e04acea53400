//! JSON as a format for records: one text has one meaning.
//!
//! Readers of JSON differ in what they make of an object that has a key twice, so that a signed or digested text could
//! say one thing to one program and another to the next. Here such a text is refused, as are text behind the value, more
//! than 128 levels of nesting, numbers that no float64 holds, strings that are not UTF-8, and control characters in strings.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Reads a value of a text.
///
/// # Errors
/// With line and column: when a key stands twice in an object, or the text is no JSON of that type.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(serde_json::Error::custom("begins with a byte order mark; wanted UTF-8 without one"));
    }
    serde_json::from_slice::<UniqueKeys>(text)?;
    serde_json::from_slice(text)
}

/// Any value, in which no object has a key twice.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<UniqueKeys, E> {
        expect_printable(text)?;
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<UniqueKeys, A::Error> {
        while values.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueKeys, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("key `{}` stands twice", key.escape_debug())));
            }
            expect_printable(&key)?;
            seen.insert(key);
            entries.next_value::<UniqueKeys>()?;
        }
        Ok(UniqueKeys)
    }
}

/// Text that is shown must not move the cursor, hide lines or begin new ones.
fn expect_printable<E: Error>(text: &str) -> Result<(), E> {
    match text.find(char::is_control) {
        Some(at) => Err(E::custom(format_args!("`{}` holds a control character", around(text, at)))),
        None => Ok(()),
    }
}

/// What stands around that byte, escaped: a payload of megabytes is no line of an error.
fn around(text: &str, at: usize) -> String {
    const SHOWN: usize = 32;
    let begin = text[..at].char_indices().rev().nth(SHOWN - 1).map_or(0, |(index, _)| index);
    let end = text[at..].char_indices().nth(SHOWN).map_or(text.len(), |(index, _)| at + index);
    let (before, after) = (if begin > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{}{after}", text[begin..end].escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_one_meaning() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let long = format!("\"{}\\n{}\"", "x".repeat(99), "y".repeat(99));
        let cases: [(&[u8], &str); 14] = [
            (br#"{"a": "x\u001b[2J"}"#, "`x\\u{1b}[2J` holds a control character"),
            (br#"{"a\nb": 1}"#, "`a\\nb` holds a control character"),
            (br#"{"a": 1, "a": 2}"#, "key `a` stands twice at line 1 column 12"),
            (br#"{"a": 1, "\u0061": 2}"#, "key `a` stands twice"),
            (br#"[{"x": {"b": 1, "c": 2, "b": 1}}]"#, "key `b` stands twice"),
            (b"{} {}", "trailing characters"),
            (b"{}\0", "trailing characters"),
            (deep.as_bytes(), "recursion limit exceeded"),
            (b"NaN", "expected value"),
            (b"1e999", "number out of range"),
            (b"\"\xff\"", "invalid unicode"),
            (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
            (
                long.as_bytes(),
                "`…xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…` holds a control character",
            ),
            (br#"{"a": "\ud800"}"#, "hex escape"),
        ];
        for (text, wanted) in cases {
            let error = from_slice::<serde_json::Value>(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{}: {error}", String::from_utf8_lossy(text));
        }
        let value: serde_json::Value =
            from_slice(br#"{"a": [1, -2, 0.5, null, true, "x"], "b": {"a": 1}}"#).unwrap();
        assert_eq!(value["a"][2], 0.5);
    }
}
