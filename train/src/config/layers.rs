//! An experiment of several layers: a base file, the file itself, and one of its variants.
//!
//! ```toml
//! base = "cifar10.toml"                 # relative to this file; its tables come first
//! base_variant = "vit-tiny"             # one of the base's variants, if it has any
//! remove = ["pretrain.penalty"]         # keys of the base that are left out
//!
//! [pretrain]
//! method = "adv_mae"
//!
//! [variants.ten-steps]                  # a sweep: each variant is one experiment
//! pretrain.adversary.steps = 10
//! ```
//!
//! A key of a later layer takes the place of the earlier one; tables are merged key by key, but a table of another `kind`
//! replaces the earlier one as a whole. What the paper reached (`paper`) is not handed down: it is about one experiment.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::config::ConfigError;

/// Files on the way from an experiment to the base of its bases, at most.
const MOST_FILES: usize = 8;

/// The most bytes of an experiment's file.
const MOST_BYTES: u64 = 1 << 20;

/// The keys of a layer that are about layers. They are no part of the experiment.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerKeys {
    base: Option<PathBuf>,
    base_variant: Option<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    variants: Table,
}

const LAYER_KEYS: [&str; 4] = ["base", "base_variant", "remove", "variants"];

/// A file, or the file and one of its variants, with everything below it.
#[derive(Debug)]
pub(super) struct Layered {
    /// The merged tables.
    pub(super) table: Table,
    /// The text of the file, where it is the only layer: errors can then show the line.
    pub(super) alone: Option<String>,
}

/// Reads a file and its bases.
///
/// # Errors
/// Files that cannot be read, bases that go around in a circle or too deep, variants that are not there or not chosen, keys to
/// remove that are not there.
pub(super) fn read(path: &Path, variant: Option<&str>) -> Result<Layered, ConfigError> {
    read_below(path, variant, &mut Vec::new())
}

/// The variants of a file, in the order of their names.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn variants(path: &Path) -> Result<Vec<String>, ConfigError> {
    let (_, keys, _) = parts(path)?;
    Ok(keys.variants.keys().cloned().collect())
}

/// `files` are those that lead here.
fn read_below(path: &Path, variant: Option<&str>, files: &mut Vec<PathBuf>) -> Result<Layered, ConfigError> {
    let (text, keys, own) = parts(path)?;
    let is_base = !files.is_empty();
    let chosen = chosen(path, &keys, variant, is_base)?;
    let mut table = match &keys.base {
        None if keys.base_variant.is_some() => {
            return Err(ConfigError::no_effect("base_variant", "without base").in_file(path));
        }
        None => Table::new(),
        Some(base) => base_table(path, base, keys.base_variant.as_deref(), files)?,
    };
    let alone = (keys.base.is_none() && chosen.is_none()).then_some(text);
    add_layer(&mut table, &keys.remove, own).map_err(|error| error.in_file(path))?;
    if let Some((name, mut layer)) = chosen {
        let inside = |error: ConfigError| error.in_file(path).in_variant(&name);
        let remove = layer
            .remove("remove")
            .map_or(Ok(Vec::new()), |remove| remove.try_into().map_err(|source| parse_error(path, source)));
        add_layer(&mut table, &remove.map_err(inside)?, layer).map_err(inside)?;
    }
    Ok(Layered { table, alone })
}

/// The text of a file, its keys about layers, and its other keys.
fn parts(path: &Path) -> Result<(String, LayerKeys, Table), ConfigError> {
    let text = mimir_files::read_text(path, MOST_BYTES)
        .map_err(|source| ConfigError::Read { path: path.into(), source })?;
    let mut own: Table = toml::from_str(&text).map_err(|source| parse_error(path, source))?;
    let mut keys = Table::new();
    for name in LAYER_KEYS {
        keys.extend(own.remove_entry(name));
    }
    let keys = keys.try_into().map_err(|source| parse_error(path, source))?;
    Ok((text, keys, own))
}

fn parse_error(path: &Path, source: toml::de::Error) -> ConfigError {
    ConfigError::Parse { path: path.into(), source: Box::new(source) }
}

/// The variant that is asked for, with its name. A base need not have one chosen; an experiment with variants must.
fn chosen(
    path: &Path,
    keys: &LayerKeys,
    variant: Option<&str>,
    is_base: bool,
) -> Result<Option<(String, Table)>, ConfigError> {
    let wrong = |found: Option<&str>| ConfigError::Variant {
        path: path.into(),
        found: found.map(str::to_owned),
        known: keys.variants.keys().cloned().collect(),
    };
    match variant {
        None if keys.variants.is_empty() || is_base => Ok(None),
        None => Err(wrong(None)),
        Some(name) => match keys.variants.get(name) {
            Some(Value::Table(layer)) => Ok(Some((name.to_owned(), layer.clone()))),
            _ => Err(wrong(Some(name))),
        },
    }
}

fn base_table(
    path: &Path,
    base: &Path,
    variant: Option<&str>,
    files: &mut Vec<PathBuf>,
) -> Result<Table, ConfigError> {
    let wrong = |reason: String| ConfigError::Base { path: path.into(), base: base.into(), reason };
    if base.is_absolute() {
        return Err(wrong("wanted a path relative to this file".to_owned()));
    }
    let target = path.parent().unwrap_or(Path::new("")).join(base);
    // Without symbolic links and `..`, so that a circle is seen whatever it is called.
    files.push(path.canonicalize().map_err(|error| wrong(error.to_string()))?);
    let real = target.canonicalize().map_err(|error| wrong(error.to_string()))?;
    if files.contains(&real) {
        return Err(wrong("is a base of itself".to_owned()));
    }
    if files.len() >= MOST_FILES {
        return Err(wrong(format!("more than {MOST_FILES} files lie on each other")));
    }
    let mut table = read_below(&target, variant, files)?.table;
    table.remove("paper");
    Ok(table)
}

/// Removes keys of what is there, and puts `layer` on top.
fn add_layer(table: &mut Table, remove: &[String], layer: Table) -> Result<(), ConfigError> {
    for key in remove {
        remove_key(table, key)?;
    }
    table.remove("paper");
    merge(table, layer);
    Ok(())
}

fn remove_key(table: &mut Table, key: &str) -> Result<(), ConfigError> {
    let missing =
        || ConfigError::no_effect(format!("remove = \"{key}\""), "because no layer below has the key");
    let mut names = key.split('.').peekable();
    let mut inner = table;
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return inner.remove(name).map(drop).ok_or_else(missing);
        }
        inner = inner.get_mut(name).and_then(Value::as_table_mut).ok_or_else(missing)?;
    }
    Err(missing())
}

fn merge(table: &mut Table, layer: Table) {
    for (key, value) in layer {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(layer)) if !is_of_another_kind(inner, &layer) => {
                merge(inner, layer);
            }
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn is_of_another_kind(below: &Table, above: &Table) -> bool {
    above.get("kind").is_some_and(|kind| below.get("kind") != Some(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    const BASE: &str = "seed = 1\n[[paper]]\nsource = \"base\"\n[pretrain]\nmethod = \"mimir\"\npenalty.lambda = 1\n\
                        [finetune.attack]\nkind = \"pgd\"\nsteps = 10\n[variants.large]\nmodel.width = 768\n";

    #[test]
    fn later_layers_win_and_other_kinds_replace() {
        let child = "base = \"../base.toml\"\nbase_variant = \"large\"\nremove = [\"pretrain.penalty\"]\n\
                     [pretrain]\nmethod = \"adv_mae\"\n[finetune.attack]\nkind = \"none\"\n\
                     [variants.more]\nfinetune.attack.kind = \"pgd\"\nfinetune.attack.epsilon = 2\nremove = [\"seed\"]\n\
                     paper = [{ source = \"own\" }]\n[variants.seeded]\nseed = 4\n";
        let folder = folder(&[("base.toml", BASE), ("inside/child.toml", child)]);
        let table = |variant| read(&folder.path().join("inside/child.toml"), Some(variant)).unwrap().table;
        let wanted: Table = "model.width = 768\npretrain.method = \"adv_mae\"\n\
                             finetune.attack = { kind = \"pgd\", epsilon = 2 }\npaper = [{ source = \"own\" }]"
            .parse()
            .unwrap();
        assert_eq!(table("more"), wanted);
        let wanted: Table =
            "seed = 4\nmodel.width = 768\npretrain.method = \"adv_mae\"\nfinetune.attack.kind = \"none\""
                .parse()
                .unwrap();
        assert_eq!(table("seeded"), wanted);
        assert_eq!(variants(&folder.path().join("inside/child.toml")).unwrap(), ["more", "seeded"]);
    }

    #[test]
    fn a_file_alone_keeps_its_text_for_errors_with_lines() {
        let folder = folder(&[("a.toml", "seed = 1\n"), ("b.toml", "base = \"a.toml\"\n")]);
        assert_eq!(read(&folder.path().join("a.toml"), None).unwrap().alone.as_deref(), Some("seed = 1\n"));
        assert_eq!(read(&folder.path().join("b.toml"), None).unwrap().alone, None);
    }

    #[test]
    fn what_is_wrong_with_a_layer_is_named_with_file_and_key() {
        let cases: [(&[(&str, &str)], Option<&str>, &[&str]); 10] = [
            (&[("x.toml", "base = \"x.toml\"")], None, &["x.toml: base = \"x.toml\"", "is a base of itself"]),
            (
                &[("x.toml", "base = \"y.toml\""), ("y.toml", "base = \"./x.toml\"")],
                None,
                &["y.toml: base = \"./x.toml\"", "itself"],
            ),
            (&[("x.toml", "base = \"none.toml\"")], None, &["x.toml: base = \"none.toml\"", "No such file"]),
            (&[("x.toml", "base = \"/x.toml\"")], None, &["base = \"/x.toml\"", "relative to this file"]),
            (&[("x.toml", "base = 3")], None, &["x.toml", "base", "path string"]),
            (&[("x.toml", BASE)], None, &["x.toml", "--variant", "large"]),
            (&[("x.toml", BASE)], Some("small"), &["x.toml", "`small`", "large"]),
            (&[("x.toml", "seed = 1")], Some("small"), &["x.toml", "`small`", "has no variants"]),
            (
                &[("x.toml", "base = \"y.toml\"\nremove = [\"pretrain.penalty\"]"), ("y.toml", "seed = 1")],
                None,
                &["x.toml", "pretrain.penalty", "no layer below"],
            ),
            (&[("x.toml", "base_variant = \"large\"")], None, &["x.toml", "base_variant", "without base"]),
        ];
        for (files, variant, wanted) in cases {
            let folder = folder(files);
            let error = read(&folder.path().join("x.toml"), variant).unwrap_err().to_string();
            for text in wanted {
                assert!(error.contains(text), "{files:?}: {error} lacks {text}");
            }
        }
    }

    #[test]
    fn bases_are_not_stacked_without_end() {
        let names: Vec<String> = (0..12).map(|place| format!("{place}.toml")).collect();
        let texts: Vec<String> = (1..13).map(|next| format!("base = \"{next}.toml\"\n")).collect();
        let files: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        let folder = folder(&files);
        let error = read(&folder.path().join("0.toml"), None).unwrap_err().to_string();
        assert!(error.contains("7.toml: base = \"8.toml\": more than 8 files"), "{error}");
    }
}
