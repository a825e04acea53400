//! Where the names of a legend go: side by side, in as many rows as they need.

/// Length of the line in front of a name, and the space between them, in pixels.
pub(super) const LINE: i32 = 28;
/// Width of a character of 12 pixels in the widest of the common sans-serif fonts, on average.
const CHARACTER: i32 = 7;
/// Space behind a name.
const GAP: i32 = 18;
/// Longest name.
const NAME_CHARACTERS: usize = 60;

/// One name of a legend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Shortened where it is long.
    pub(super) name: String,
    /// Its row, from 0.
    pub(super) row: usize,
    /// Where its line begins, in pixels from the left.
    pub(super) left: i32,
}

/// Places the names in rows of `width` pixels.
pub(super) fn entries<'a>(names: impl Iterator<Item = &'a str>, width: i32) -> Vec<Entry> {
    let (mut row, mut left) = (0, 0);
    names
        .map(|name| {
            let name = shortened(name);
            let length = LINE + name.chars().count() as i32 * CHARACTER + GAP;
            if left > 0 && left + length > width {
                (row, left) = (row + 1, 0);
            }
            let entry = Entry { name, row, left };
            left += length;
            entry
        })
        .collect()
}

/// How many rows they take.
pub(super) fn rows(entries: &[Entry]) -> usize {
    entries.last().map_or(0, |entry| entry.row + 1)
}

/// The end of a name tells runs apart more often than its beginning.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    if count <= NAME_CHARACTERS {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(count + 1 - NAME_CHARACTERS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legends_wrap() {
        let names: Vec<String> = (0..12).map(|index| format!("a run with a long name {index}")).collect();
        let entries = entries(names.iter().map(String::as_str), 688);
        // 28 + 24·7 + 18 pixels each, or a digit more: three in a row.
        assert_eq!([2, 3, 11].map(|index| entries[index].row), [0, 1, 3]);
        assert_eq!((entries[3].left, entries[4].left, rows(&entries)), (0, 214, 4));
        assert_eq!(rows(&[]), 0);
    }

    #[test]
    fn long_names_keep_their_ends() {
        let name = format!("{}end", "é".repeat(200));
        let found = shortened(&name);
        assert_eq!(found.chars().count(), NAME_CHARACTERS);
        assert!(found.starts_with('…') && found.ends_with("éend"), "{found}");
        assert_eq!(shortened("short"), "short");
    }
}
