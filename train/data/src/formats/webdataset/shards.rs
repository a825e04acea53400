//! Which tar files a path means.

use std::path::{Path, PathBuf};

use crate::error::{DataError, FilePart};

/// Most files that a pattern may name.
const MAX_SHARDS: usize = 100_000;

/// The tar files of a folder, of a pattern, or the one that is named, in order: braces as they are written
/// (`{0000..0063}` keeps its zeros, `{a,b}` its order), matches of `*` and `?` by the bytes of their names. A pattern
/// is allowed in the file name only, braces anywhere.
pub(super) fn shards(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let found = if path.is_dir() {
        matches(path, "*.tar")?
    } else if path.exists() {
        vec![path.to_owned()]
    } else {
        let mut found = Vec::new();
        for text in braces(&path.to_string_lossy(), path)? {
            let file = Path::new(&text);
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.contains(['*', '?']) {
                let folder = file.parent().filter(|folder| *folder != Path::new(""));
                found.extend(matches(folder.unwrap_or(Path::new(".")), &name)?);
            } else {
                found.push(file.to_owned());
            }
        }
        found
    };
    if found.is_empty() {
        return Err(DataError::format(
            path,
            FilePart::Whole,
            "no tar files",
            "at least one that ends in .tar",
        ));
    }
    Ok(found)
}

/// The files of a folder whose names match.
fn matches(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let names =
        || std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>();
    let mut names = names().map_err(|source| DataError::io(folder, source))?;
    names.retain(|name| matches_pattern(pattern.as_bytes(), name.as_encoded_bytes()));
    names.sort_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether a name matches a pattern, where `*` is any number of bytes and `?` is one.
fn matches_pattern(pattern: &[u8], name: &[u8]) -> bool {
    // The last star, and the first byte behind what it has taken so far.
    let (mut star, mut taken) = (None, 0);
    let (mut pattern_index, mut name_index) = (0, 0);
    while name_index < name.len() {
        match pattern.get(pattern_index) {
            Some(b'*') => {
                (star, taken) = (Some(pattern_index), name_index);
                pattern_index += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[name_index] => {
                (pattern_index, name_index) = (pattern_index + 1, name_index + 1);
            }
            _ => {
                let Some(star) = star else { return false };
                taken += 1;
                (pattern_index, name_index) = (star + 1, taken);
            }
        }
    }
    pattern[pattern_index..].iter().all(|byte| *byte == b'*')
}

/// The texts that a text with braces stands for, the first brace outermost.
fn braces(text: &str, path: &Path) -> Result<Vec<String>, DataError> {
    let mut done = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let wanted = "braces such as {0000..0063} or {a,b}";
        let refuse = |found: String| DataError::format(path, FilePart::Whole, found, wanted);
        let (inside, after) = after.split_once('}').ok_or_else(|| refuse("an open brace".to_owned()))?;
        let choices = choices(inside).ok_or_else(|| refuse(format!("`{{{inside}}}`")))?;
        if done.len().saturating_mul(choices.len()) > MAX_SHARDS {
            return Err(refuse(format!("more than {MAX_SHARDS} files")));
        }
        let longer = |start: &String| -> Vec<String> {
            choices.iter().map(|choice| format!("{start}{before}{choice}")).collect()
        };
        done = done.iter().flat_map(longer).collect();
        rest = after;
    }
    done.iter_mut().for_each(|text| text.push_str(rest));
    Ok(done)
}

fn choices(inside: &str) -> Option<Vec<String>> {
    let Some((first, last)) = inside.split_once("..") else {
        return inside.contains(',').then(|| inside.split(',').map(str::to_owned).collect());
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let (start, end) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
    if end < start || end - start >= MAX_SHARDS {
        return None;
    }
    let width = first.len();
    Some((start..=end).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &[PathBuf]) -> Vec<&str> {
        found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    }

    #[test]
    fn folders_files_braces_and_stars_name_shards() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t-10.tar", "t-09.tar", "v-1.tar", "readme.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let cases: [(&str, &[&str]); 7] = [
            ("", &["t-09.tar", "t-10.tar", "v-1.tar"]),
            ("t-*.tar", &["t-09.tar", "t-10.tar"]),
            ("?-1.tar", &["v-1.tar"]),
            ("t-{08..11}.tar", &["t-08.tar", "t-09.tar", "t-10.tar", "t-11.tar"]),
            ("t-{9..10}.tar", &["t-9.tar", "t-10.tar"]),
            ("{v,t}-{1,*}.tar", &["v-1.tar", "v-1.tar", "t-1.tar", "t-09.tar", "t-10.tar"]),
            ("v-1.tar", &["v-1.tar"]),
        ];
        for (pattern, wanted) in cases {
            assert_eq!(names(&shards(&folder.path().join(pattern)).unwrap()), wanted, "{pattern}");
        }
    }

    #[test]
    fn bad_patterns_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (pattern, wanted) in [
            ("", "no tar files"),
            ("x-*.tar", "no tar files"),
            ("x-{0..", "an open brace"),
            ("x-{5..4}.tar", "`{5..4}`"),
            ("x-{-1..4}.tar", "`{-1..4}`"),
            ("x-{a}.tar", "`{a}`"),
            ("x-{0..99999999}.tar", "`{0..99999999}`"),
            ("{0..999}-{0..999}.tar", "more than 100000 files"),
        ] {
            let error = shards(&folder.path().join(pattern)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn stars_go_back() {
        for (pattern, name, wanted) in [
            ("*", "", true),
            ("a*b*c", "a--b-bc", true),
            ("a*b*c", "a--b-b", false),
            ("*ab", "aab", true),
            ("a?", "a", false),
            ("", "a", false),
            ("a", "ab", false),
        ] {
            assert_eq!(matches_pattern(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
    }
}
