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

/// What [`one_line`] was given: its escapes of characters that are more than text as those characters again. A name that
/// holds such an escape itself, letter by letter, cannot be told from one that holds the character, and is read as that.
pub fn as_given(line: &str) -> Cow<'_, str> {
    if !line.contains('\\') {
        return Cow::Borrowed(line);
    }
    let mut given = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        given.push_str(before);
        let (letter, length) = escaped_letter(escape).unwrap_or(('\\', 1));
        given.push(letter);
        rest = &escape[length..];
    }
    given.push_str(rest);
    Cow::Owned(given)
}

/// The letter that an escape of [`one_line`] at the beginning of the text stands for, and the length of the escape.
fn escaped_letter(text: &str) -> Option<(char, usize)> {
    let short = [("\\0", '\0'), ("\\t", '\t'), ("\\n", '\n'), ("\\r", '\r')];
    if let Some((escape, letter)) = short.into_iter().find(|(escape, _)| text.starts_with(escape)) {
        return Some((letter, escape.len()));
    }
    let (digits, _) = text.strip_prefix("\\u{")?.split_once('}')?;
    let letter = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    // Only what is written so, to the letter.
    let is_ours = is_more_than_text(letter) && text.starts_with(&letter.escape_debug().to_string());
    is_ours.then_some((letter, "\\u{}".len() + digits.len()))
}

/// A word of a shell that means only itself, for commands that are shown. What cannot be shown as it is stands as its bytes, as
/// bash, zsh and ksh read them.
pub fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    match word {
        word if word.contains(is_more_than_text) => {
            format!("$'{}'", word.chars().map(in_dollar_quotes).collect::<String>())
        }
        word if !word.is_empty() && word.chars().all(is_plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A letter between `$'` and `'`.
fn in_dollar_quotes(letter: char) -> String {
    match letter {
        '\'' | '\\' => format!("\\{letter}"),
        letter if is_more_than_text(letter) => {
            // Three digits end an escape, whatever follows it.
            letter.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\{byte:03o}")).collect()
        }
        letter => letter.to_string(),
    }
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
    fn lines_are_read_as_the_names_they_were() {
        for name in [
            "",
            "a b.onnx",
            "a\nb\tc\r\u{1b}[2J\u{85}\u{202e}\u{2028}d",
            "back\\slash \\x \\u{41} \\u{zz} \\",
            "\u{1b}a",
        ] {
            assert_eq!(as_given(&one_line(name)), name);
        }
        assert_eq!(as_given("a\\u{0001b}\\u{1B}"), "a\\u{0001b}\\u{1B}", "not as we write them");
        assert_eq!(as_given("a\\nb"), "a\nb");
    }

    #[test]
    fn words_of_a_shell_mean_only_themselves() {
        assert_eq!(shell_word("cifar10:data/bin"), "cifar10:data/bin");
        assert_eq!(shell_word("a b;$(x)'y"), "'a b;$(x)'\\''y'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("Hütte 日本"), "'Hütte 日本'");
        assert_eq!(shell_word("a'\\\n\u{202e}b c"), "$'a\\'\\\\\\012\\342\\200\\256b c'");
    }

    #[test]
    fn json_stays_json_and_the_same() {
        let value = serde_json::json!({"a\u{202e}b": ["\u{1b}[2J", "\u{9b}x\n\u{7f}", "ü", 1]});
        let shown = printable_json(serde_json::to_vec_pretty(&value).unwrap());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&shown).unwrap(), value);
        assert_eq!(printable(shown.clone()), shown);
    }
}
