//! Text for terminals. Names in the files of others cannot move the cursor or hide lines.

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

fn moves_cursor(letter: char) -> bool {
    // Marks that turn the direction of what follows show a line in another order than it has.
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || letter.is_control() && !matches!(letter, '\n' | '\t')
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
}
