//! The arrows between the modules of each crate: no two files import each other in a circle, and the modules at the top
//! of a crate stand in the order of `docs/architecture.md`, each importing only from those before it.
//!
//! File A imports from file B where A, tests apart, names an item that B defines. A re-export is looked through to the
//! item itself, and is no import of the file that makes it; nor is a `mod` line.

mod circles;
mod names;
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use circles::circles;
use names::imports;
use tree::Tree;

/// The crates, by package name, and the folder of their sources.
const CRATES: [(&str, &str); 11] = [
    ("mimir-files", "files/src"),
    ("mimir-bundle", "export/bundle/src"),
    ("mimir-export", "export/src"),
    ("mimir-export-cli", "export/cli/src"),
    ("mimir-data", "train/data/src"),
    ("mimir-train", "train/src"),
    ("mimir-runtime", "runtime/src"),
    ("mimir-certify", "runtime/certify/src"),
    ("mimir-views", "runtime/views/src"),
    ("mimir-certify-cli", "runtime/cli/src"),
    ("mimir-ffi", "ffi/src"),
];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut found = Vec::new();
    for (name, folder) in CRATES {
        let tree = Tree::read(&root().join(folder));
        for circle in circles(&imports(&tree)) {
            let files: Vec<String> = circle.iter().map(|file| tree.shown(*file)).collect();
            found.push(format!("{name}, {} files: {}", files.len(), files.join(", ")));
        }
    }
    assert!(found.is_empty(), "these files import each other:\n{}", found.join("\n"));
}

#[test]
fn modules_import_only_those_before_them_in_the_documentation() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut found = Vec::new();
    for (name, folder) in CRATES {
        let tree = Tree::read(&root().join(folder));
        let order = documented_order(&text, name);
        let modules: BTreeSet<String> = tree.top_modules().collect();
        let listed: BTreeSet<String> = order.iter().cloned().collect();
        assert_eq!(listed, modules, "docs/architecture.md lists other modules of {name} than it has");
        let place = |module: &String| order.iter().position(|listed| listed == module);
        let arrows: BTreeSet<(String, String)> = imports(&tree)
            .into_iter()
            .filter_map(|(from, to)| Some((tree.top_module(from)?, tree.top_module(to)?)))
            .collect();
        let upwards = arrows.iter().filter(|(from, to)| place(from) < place(to));
        found.extend(upwards.map(|(from, to)| format!("{name}: {from} imports {to}")));
    }
    assert!(found.is_empty(), "against the order in docs/architecture.md:\n{}", found.join("\n"));
}

/// The line of a crate in the table "Modules, lowest first".
fn documented_order(text: &str, name: &str) -> Vec<String> {
    let table = text.split("## Modules, lowest first").nth(1).unwrap_or_default();
    let line = table.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
    let cell = line.split('|').nth(2).unwrap_or_default();
    cell.split(',').map(|module| module.trim().trim_matches('`').to_owned()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A crate of one paragraph, written to a folder of its own.
fn sample(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let tree = Tree::read(folder.path());
    (folder, tree)
}

fn arrows(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let (_folder, tree) = sample(files);
    let shown = imports(&tree).into_iter().map(|(from, to)| (tree.shown(from), tree.shown(to)));
    shown.collect()
}

#[test]
fn imports_are_found_wherever_they_are_written() {
    let b = ("b.rs", "pub struct Item; pub fn make() -> Item { Item } pub const SIZE: usize = 1;");
    for code in [
        "use crate::b::Item;",
        "use crate::b::{make as made};",
        "use crate::b; fn f() { b::make(); }",
        "fn f() -> crate::b::Item { loop {} }",
        "fn f() { println!(\"{}\", crate::b::SIZE); }",
        "use super::b::*; fn f() { make(); }",
        "use crate::Item;",
        "mod inner { use super::super::b::make; }",
    ] {
        let files = [("lib.rs", "mod a; mod b; pub use b::Item;"), ("a.rs", code), b];
        assert_eq!(arrows(&files), [("a.rs".to_owned(), "b.rs".to_owned())], "{code}");
    }
}

#[test]
fn what_is_no_import_is_not_counted() {
    let b = ("b.rs", "pub struct Item;");
    for code in [
        "// crate::b::Item",
        "#[cfg(test)] mod tests { use crate::b::Item; }",
        "pub use crate::b::Item;",
        "fn f() -> &'static str { \"crate::b::Item\" }",
        "use std::b::Item;",
        "struct Item; fn f() -> Item { Item }",
    ] {
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", code), b];
        assert!(arrows(&files).is_empty(), "{code}: {:?}", arrows(&files));
    }
}

#[test]
fn a_circle_through_three_files_is_found() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c/mod.rs", "mod inner; pub use inner::C;"),
        ("c/inner.rs", "use crate::a::A; pub struct C;"),
        ("d.rs", "use crate::a::A;"),
    ];
    let (_folder, tree) = sample(&files);
    let found = circles(&imports(&tree));
    let shown: Vec<Vec<String>> =
        found.iter().map(|circle| circle.iter().map(|file| tree.shown(*file)).collect()).collect();
    assert_eq!(shown, [["a.rs", "b.rs", "c/inner.rs"]]);
}
