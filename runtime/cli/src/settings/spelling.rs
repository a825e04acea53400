//! The nearest known word to one that is not known.

/// `, did you mean …?`, or nothing where no word is near.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!(", did you mean `{near}`?"))
}

/// The words, in back quotes.
pub(super) fn listed(known: &[&str]) -> String {
    known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // The similarity above which clap, too, makes a suggestion.
    const SIMILAR: f64 = 0.7;
    let similarity = |candidate: &str| strsim::jaro_winkler(word, candidate);
    let near = known.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
    (similarity(near) > SIMILAR).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_suggested() {
        let known = ["epsilon", "steps", "seed"];
        assert_eq!(nearest("epsilom", &known), Some("epsilon"));
        assert_eq!(nearest("sede", &known), Some("seed"));
        assert_eq!(nearest("zzz", &known), None);
        assert_eq!(nearest("any", &[]), None);
    }
}
