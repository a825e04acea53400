//! Text of strangers inside Markdown: names of files, classes and data sets come with a model.

/// A text on one line of Markdown that means only itself; an `@` calls nobody on the pages of a forge.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '(' | ')' | '#' | '|' | '~'
            | '&' | '!' | '@' => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_means_only_itself() {
        assert_eq!(
            markdown("a|b\n# <script> [x](y) `c` *d*"),
            "a\\|b \\# \\<script\\> \\[x\\]\\(y\\) \\`c\\` \\*d\\*"
        );
        assert_eq!(markdown("a\u{202e}b\u{2028}c"), "a b c");
        assert_eq!(markdown("@team \u{202e}"), "\\@team  ");
    }
}
