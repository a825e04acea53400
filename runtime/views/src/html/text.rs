//! Text of strangers on a page: cut to a length, without what could hide or turn it. The template escapes the rest.

use mimir_bundle::one_line;

/// At most so many letters, with `…` where some were left out.
pub(super) fn clipped(text: &str, letters: usize) -> String {
    // Cut twice: what is not shown need not be looked at, and escapes are longer than what they stand for.
    let first: String = text.chars().take(letters + 1).collect();
    let shown = one_line(&first).into_owned();
    match shown.char_indices().nth(letters) {
        None => shown,
        Some((end, _)) => format!("{}…", &shown[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_turns_nothing() {
        assert_eq!(clipped("äöü", 2), "äö…");
        assert_eq!(clipped("a\u{202e}b\nc", 20), "a\\u{202e}b\\nc");
    }
}
