//! Text of strangers inside YAML: names of files, classes and data sets come with the bundle.

use std::fmt::Write as _;

/// A text as a double-quoted scalar of YAML: what is not printable ASCII is escaped, so that no reader sees a line break,
/// a comment or another type in it.
pub(super) fn yaml(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            ' '..='~' => out.push(character),
            other => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\U{:08X}", u32::from(other));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_of_strangers_is_one_string() {
        assert_eq!(yaml("a: \"b\"\n- c # d\\"), "\"a: \\\"b\\\"\\U0000000A- c # d\\\\\"");
        assert_eq!(yaml("é\u{85}\u{1f600}\u{7f}"), "\"\\U000000E9\\U00000085\\U0001F600\\U0000007F\"");
        assert_eq!(yaml("no"), "\"no\"");
    }
}
