//! Text for terminals, and names of others on a line of it. They cannot move the cursor, hide lines or begin new ones.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text as a terminal may have it: every control character but line breaks and tabs is written as its escape. Bytes
/// that are no UTF-8 are left alone.
pub fn printable(text: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(text) {
        Err(bytes) => bytes.into_bytes(),
        Ok(text) if !text.chars().any(moves_cursor) => text.into_bytes(),
        Ok(text) => {
            let shown = text.chars().map(|letter| match moves_cursor(letter) {
                true => letter.escape_debug().to_string(),
                false => letter.to_string(),
            });
            shown.collect::<String>().into_bytes()
        }
    }
}

/// A name of others as part of a line of ours: line breaks and tabs are escaped too. What is plain stays what it is, so that
/// doing it twice is doing it once.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_more_than_text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_more_than_text(letter) {
            true => shown.extend(letter.escape_debug()),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// JSON as a terminal may have it: what [`printable`] would escape is escaped as JSON does, so that the text stays JSON. UTF-8 is
/// taken for granted.
pub fn printable_json(text: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(text) else { return Vec::new() };
    if !text.contains(moves_cursor) {
        return text.into_bytes();
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match moves_cursor(letter) {
            // Writing to a string does not fail, and none of them is beyond U+FFFF.
            true => drop(write!(shown, "\\u{:04x}", u32::from(letter))),
            false => shown.push(letter),
        }
    }
    shown.into_bytes()
}

/// Whether a letter in a name does something to what stands around it: controls, ends of lines, and marks that turn the
/// direction of what follows, so that a line shows in another order than it has.
pub fn is_more_than_text(letter: char) -> bool {
    let turns = matches!(
        letter,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || matches!(letter, '\u{2028}' | '\u{2029}') || letter.is_control()
}

fn moves_cursor(letter: char) -> bool {
    is_more_than_text(letter) && !matches!(letter, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_move_the_cursor() {
        let shown = |text: &str| String::from_utf8(printable(text.into())).unwrap();
        assert_eq!(shown("PASS\n\tü 1 × 2\n"), "PASS\n\tü 1 × 2\n");
        assert_eq!(shown("FAIL\u{1b}[2J\rPASS"), "FAIL\\u{1b}[2J\\rPASS");
        assert_eq!(shown("\u{9b}2J\u{202e}x"), "\\u{9b}2J\\u{202e}x");
        assert_eq!(printable(vec![0xff, 0x1b]), [0xff, 0x1b]);
    }

    #[test]
    fn names_stay_on_their_line() {
        for plain in ["", "/blocks.11/Add_1 (x) `y` \\n", "mañana 日本 שלום 👩\u{200d}🔬"] {
            assert!(matches!(one_line(plain), Cow::Borrowed(same) if same == plain));
        }
        let shown = one_line("a\nPASS\t\0\u{1b}[2J\u{85}\u{7f}\u{2028}\u{202e}\u{61c}b");
        assert_eq!(shown, "a\\nPASS\\t\\0\\u{1b}[2J\\u{85}\\u{7f}\\u{2028}\\u{202e}\\u{61c}b");
        assert_eq!(one_line(&shown), shown);
    }

    #[test]
    fn json_stays_json_and_the_same() {
        let value = serde_json::json!({"a\u{202e}b": ["\u{1b}[2J", "\u{9b}x\n\u{7f}", "ü", 1]});
        let shown = printable_json(serde_json::to_vec_pretty(&value).unwrap());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&shown).unwrap(), value);
        assert_eq!(printable(shown.clone()), shown);
    }
}
