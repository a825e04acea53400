//! Text of strangers inside Markdown and YAML: names of files, classes and data sets come with the bundle.

use std::fmt::Write as _;

/// A text on one line of Markdown that means only itself.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '(' | ')' | '#' | '|' | '~'
            | '&' | '!' => {
                out.push('\\');
                out.push(character);
            }
            control if control.is_control() || is_invisible(control) => out.push(' '),
            plain => out.push(plain),
        }
    }
    out
}

/// Characters that break lines or change the order of what is shown.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

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
    fn markdown_of_strangers_means_itself() {
        assert_eq!(
            markdown("a|b\n# <script> [x](y) `c` *d*"),
            "a\\|b \\# \\<script\\> \\[x\\]\\(y\\) \\`c\\` \\*d\\*"
        );
        assert_eq!(markdown("a\u{202e}b\u{2028}c"), "a b c");
    }

    #[test]
    fn yaml_of_strangers_is_one_string() {
        assert_eq!(yaml("a: \"b\"\n- c # d\\"), "\"a: \\\"b\\\"\\U0000000A- c # d\\\\\"");
        assert_eq!(yaml("é\u{85}\u{1f600}\u{7f}"), "\"\\U000000E9\\U00000085\\U0001F600\\U0000007F\"");
        assert_eq!(yaml("no"), "\"no\"");
    }
}
