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

/// A word of a shell that means only itself.
pub(super) fn shell(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
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

    #[test]
    fn words_of_a_shell_mean_only_themselves() {
        assert_eq!(shell("cifar10:data/bin"), "cifar10:data/bin");
        assert_eq!(shell("a b;$(x)'y"), "'a b;$(x)'\\''y'");
        assert_eq!(shell(""), "''");
    }
}
