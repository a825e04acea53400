//! A file in parts, and parts that are not the right ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::parts::{PartsError, join, split};

/// What happens to a part or an index, and what the message must say.
type Damage<'a, T> = (&'a dyn Fn(&mut T), &'a str);

struct SplitFile {
    folder: tempfile::TempDir,
    content: Vec<u8>,
    index: PathBuf,
}

impl SplitFile {
    /// 2500 bytes in parts of 1000.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..2500u32).map(|i| (i * i % 251) as u8).collect();
        let file = folder.path().join("state.safetensors");
        fs::write(&file, &content).unwrap();
        let index = split(&file, folder.path(), 1000).unwrap();
        Self { folder, content, index }
    }

    fn part(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("state.safetensors.part-{number:03}"))
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("joined")
    }

    /// The error of a join that must leave nothing behind.
    fn fails(&self) -> PartsError {
        let error = join(&self.index, &self.out()).unwrap_err();
        let hidden = Path::new(".joined.partial");
        assert!(!self.out().exists() && !self.folder.path().join(hidden).exists());
        error
    }
}

#[test]
fn a_file_comes_back_from_its_parts() {
    let split_file = SplitFile::new();
    let lengths = [1, 2, 3].map(|number| fs::metadata(split_file.part(number)).unwrap().len());
    assert_eq!(lengths, [1000, 1000, 500]);
    assert!(!split_file.part(4).exists());
    assert_eq!(split_file.index.file_name().unwrap(), "state.safetensors.parts.json");
    join(&split_file.index, &split_file.out()).unwrap();
    assert_eq!(fs::read(split_file.out()).unwrap(), split_file.content);
}

#[test]
fn sizes_that_divide_evenly_and_an_empty_file() {
    for (length, parts) in [(2000, 2), (1, 1), (0, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, vec![5; length]).unwrap();
        let index = split(&file, folder.path(), 1000).unwrap();
        let count = fs::read_dir(folder.path()).unwrap().count() - 2;
        assert_eq!(count, parts, "{length}");
        fs::remove_file(&file).unwrap();
        join(&index, &file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), vec![5; length]);
    }
}

#[test]
fn a_part_that_is_not_there_is_named() {
    let split_file = SplitFile::new();
    fs::remove_file(split_file.part(2)).unwrap();
    let text = split_file.fails().to_string();
    assert!(text.contains("part-002 is missing: part 2 of 3"), "{text}");
}

#[test]
fn a_part_that_changed_is_named() {
    let split_file = SplitFile::new();
    let cases: [Damage<Vec<u8>>; 3] = [
        (&|bytes| bytes[17] ^= 1, "digest "),
        (&|bytes| bytes.truncate(999), "it has 999 bytes of 1000"),
        (&|bytes| bytes.push(0), "it is longer than 1000 bytes"),
    ];
    for (damage, wanted) in cases {
        let whole = fs::read(split_file.part(2)).unwrap();
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(split_file.part(2), bytes).unwrap();
        let text = split_file.fails().to_string();
        assert!(text.contains("part-002 is not part 2: ") && text.contains(wanted), "{text}");
        fs::write(split_file.part(2), whole).unwrap();
    }
    join(&split_file.index, &split_file.out()).unwrap();
}

#[test]
fn parts_in_another_order_are_told_apart() {
    let split_file = SplitFile::new();
    let (first, second) = (fs::read(split_file.part(1)).unwrap(), fs::read(split_file.part(2)).unwrap());
    fs::write(split_file.part(1), second).unwrap();
    fs::write(split_file.part(2), first).unwrap();
    let text = split_file.fails().to_string();
    assert!(text.contains("part-001 is not part 1: it is part 2"), "{text}");
}

#[test]
fn an_index_that_was_changed_is_refused() {
    let split_file = SplitFile::new();
    let text = fs::read_to_string(&split_file.index).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&text).unwrap();
    let write = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = index.clone();
        change(&mut changed);
        fs::write(&split_file.index, changed.to_string()).unwrap();
        split_file.fails().to_string()
    };
    let cases: [Damage<serde_json::Value>; 5] = [
        (&|index| index["parts"].as_array_mut().unwrap().swap(0, 1), "the whole has digest"),
        (&|index| index["bytes"] = 7.into(), "not 7 bytes together"),
        (&|index| index["parts_version"] = 2.into(), "parts version 2, wanted 1"),
        (&|index| index["parts"][0]["file"] = "../secret".into(), "`../secret`, wanted a file name"),
        (&|index| index["extra"] = 1.into(), "unknown field `extra`"),
    ];
    for (change, wanted) in cases {
        let found = write(change);
        assert!(found.contains(wanted), "{found} lacks {wanted}");
    }
    index["file"] = "renamed".into();
    fs::write(&split_file.index, index.to_string()).unwrap();
    join(&split_file.index, &split_file.out()).unwrap();
}
