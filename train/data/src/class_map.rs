//! Which class is which: names and the indices that a model has for them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::{DataError, FilePart};
use crate::input::{open_file, read_exactly};

/// Bytes of a file of class names: ImageNet's are 35 kB.
const MAX_BYTES: u64 = 1 << 24;

/// Names of classes and their indices, as a file gives them.
#[derive(Debug, Clone)]
pub struct ClassMap {
    indices: BTreeMap<String, usize>,
    /// How the names were written, where not as they are.
    written: Option<fn(&str) -> String>,
}

/// By names and indices.
impl PartialEq for ClassMap {
    fn eq(&self, other: &Self) -> bool {
        self.indices == other.indices
    }
}

impl Eq for ClassMap {}

impl ClassMap {
    /// Of a record in which `written` gives each name, because it cannot have some of them as they are.
    pub fn of_record(indices: BTreeMap<String, usize>, written: fn(&str) -> String) -> Self {
        Self { indices, written: Some(written) }
    }

    /// Reads a map. The forms that are understood:
    ///
    /// | file | index |
    /// | --- | --- |
    /// | JSON `["cat", "dog"]` | the place, from 0 |
    /// | JSON `{"cat": 0, "dog": 1}` | the value |
    /// | JSON `{"0": "cat", "1": ["n02084071", "dog"]}` | the key; several names may stand for one class |
    /// | text, each line `NAME INDEX` | the number |
    /// | text, each line a name | the line, from 0; of ImageNet's `WNID WORDS`, the WNID counts too |
    ///
    /// # Errors
    /// When the file cannot be read, is none of these, or names a class twice.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let (mut file, stamp) = open_file(path)?;
        let refuse = |found: String| {
            let wanted =
                "names of classes: a JSON list, a JSON object of names and indices, or lines `NAME INDEX`";
            DataError::format(path, FilePart::Whole, found, wanted)
        };
        if stamp.length > MAX_BYTES {
            return Err(refuse(format!("{} bytes", stamp.length)));
        }
        let bytes = read_exactly(&mut file, stamp.length as usize, path, FilePart::Whole)?;
        let text = String::from_utf8(bytes).map_err(|_| refuse("bytes that are no UTF-8".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}');
        let names = match text.trim_start().chars().next() {
            Some('[' | '{') => from_json(text),
            Some(_) => from_lines(text),
            None => Err("no names".to_owned()),
        };
        names.and_then(unique).map(Self::from).map_err(refuse)
    }

    /// The 1,000 WordNet ids of ImageNet-1K in their order, the indices of every model trained on all of them.
    pub fn imagenet() -> Self {
        let names = include_str!("imagenet_synsets.txt").lines();
        names.enumerate().map(|(index, name)| (name.to_owned(), index)).collect::<BTreeMap<_, _>>().into()
    }

    /// The indices by name.
    pub fn indices(&self) -> &BTreeMap<String, usize> {
        &self.indices
    }

    /// The index of a class.
    pub fn index(&self, name: &str) -> Option<usize> {
        let as_written = || self.written.and_then(|written| self.indices.get(&written(name)));
        self.indices.get(name).or_else(as_written).copied()
    }
}

impl From<BTreeMap<String, usize>> for ClassMap {
    fn from(indices: BTreeMap<String, usize>) -> Self {
        Self { indices, written: None }
    }
}

fn unique(names: Vec<(String, usize)>) -> Result<BTreeMap<String, usize>, String> {
    let mut map = BTreeMap::new();
    for (name, index) in names {
        match map.insert(name.clone(), index) {
            Some(other) if other != index => {
                return Err(format!("class `{name}` with the indices {other} and {index}"));
            }
            _ => {}
        }
    }
    if map.is_empty() { Err("no names".to_owned()) } else { Ok(map) }
}

fn from_json(text: &str) -> Result<Vec<(String, usize)>, String> {
    match serde_json::from_str(text).map_err(|error| format!("JSON with an error: {error}"))? {
        Value::Array(names) => {
            let named = names.iter().enumerate().map(|(index, name)| names_of(name, index));
            Ok(named.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| match value.as_u64() {
                Some(index) => Ok(vec![(key.clone(), index as usize)]),
                None => {
                    let index = key.parse().map_err(|_| format!("key `{key}` with the value {value}"))?;
                    names_of(value, index)
                }
            };
            Ok(entries.iter().map(entry).collect::<Result<Vec<_>, _>>()?.concat())
        }
        _ => Err("neither a list nor an object".to_owned()),
    }
}

/// One name, or a list of names for the same class.
fn names_of(value: &Value, index: usize) -> Result<Vec<(String, usize)>, String> {
    let name = |value: &Value| value.as_str().map(|name| (name.to_owned(), index));
    let names = match value {
        Value::Array(names) => names.iter().map(name).collect::<Option<Vec<_>>>(),
        one => name(one).map(|name| vec![name]),
    };
    names.ok_or_else(|| format!("{value} for class {index}"))
}

fn from_lines(text: &str) -> Result<Vec<(String, usize)>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let numbered = |line: &&str| {
        let (name, index) = line.rsplit_once([' ', '\t', ','])?;
        Some((name.trim_end_matches([' ', '\t', ',']).to_owned(), index.parse::<usize>().ok()?))
    };
    if let Some(names) = lines.iter().map(numbered).collect::<Option<Vec<_>>>() {
        return Ok(names);
    }
    let mut names = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        names.push((line.to_owned(), index));
        if let Some((first, _)) = line.split_once([' ', '\t', ',']).filter(|(first, _)| is_wordnet_id(first))
        {
            names.push((first.to_owned(), index));
        }
    }
    Ok(names)
}

/// `n` and eight digits, as ImageNet names its classes.
pub(crate) fn is_wordnet_id(name: &str) -> bool {
    name.len() == 9 && name.starts_with('n') && name[1..].bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ClassMap, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map");
        std::fs::write(&path, text).unwrap();
        ClassMap::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read() {
        for text in [
            r#"["cat", "golden retriever"]"#,
            r#"{"golden retriever": 1, "cat": 0}"#,
            r#"{"0": "cat", "1": ["n02099601", "golden retriever"]}"#,
            "cat 0\ngolden retriever 1\n",
            "cat\t0\ngolden retriever\t1",
            "cat,0\r\ngolden retriever, 1",
            "\u{feff}cat\n\ngolden retriever\n",
        ] {
            let map = read(text).unwrap();
            assert_eq!((map.index("cat"), map.index("golden retriever")), (Some(0), Some(1)), "{text}");
            assert_eq!(map.index("dog"), None);
        }
        let synsets = read("n01440764 tench, Tinca tinca\nn01443537 goldfish").unwrap();
        assert_eq!((synsets.index("n01440764"), synsets.index("n01443537")), (Some(0), Some(1)));
    }

    #[test]
    fn a_record_may_write_names_otherwise() {
        let indices = BTreeMap::from([("a\\nb".to_owned(), 0), ("c".to_owned(), 1)]);
        let map = ClassMap::of_record(indices, |name| name.replace('\n', "\\n"));
        assert_eq!((map.index("a\nb"), map.index("c"), map.index("d")), (Some(0), Some(1), None));
    }

    #[test]
    fn imagenet_has_a_thousand_classes_in_order() {
        let map = ClassMap::imagenet();
        assert_eq!(map.indices().len(), 1000);
        assert!(map.indices().keys().all(|name| is_wordnet_id(name)));
        assert!(map.indices().values().is_sorted());
        // Tench, and toilet tissue.
        assert_eq!((map.index("n01440764"), map.index("n15075141")), (Some(0), Some(999)));
    }

    #[test]
    fn what_is_no_map_is_named() {
        for (text, wanted) in [
            ("", "found no names"),
            ("[1, 2]", "found 1 for class 0"),
            ("{\"a\": \"b\"}", "found key `a` with the value \"b\""),
            ("a 0\na 1", "found class `a` with the indices 0 and 1"),
            ("[\"a\"", "found JSON with an error"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
