//! The arrows between the crates, and the libraries that only one crate each may know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// The table of `docs/architecture.md`, which a test compares with this one.
const MAY_DEPEND_ON: [(&str, &[&str]); 11] = [
    ("mimir-files", &[]),
    ("mimir-bundle", &["mimir-files"]),
    ("mimir-export", &["mimir-bundle", "mimir-files"]),
    ("mimir-export-cli", &["mimir-bundle", "mimir-export", "mimir-files"]),
    ("mimir-data", &["mimir-files"]),
    ("mimir-train", &["mimir-bundle", "mimir-data", "mimir-files"]),
    ("mimir-runtime", &["mimir-bundle", "mimir-files"]),
    ("mimir-certify", &["mimir-bundle", "mimir-data", "mimir-export", "mimir-files", "mimir-runtime"]),
    ("mimir-views", &["mimir-bundle", "mimir-runtime"]),
    (
        "mimir-certify-cli",
        &["mimir-bundle", "mimir-certify", "mimir-data", "mimir-files", "mimir-runtime", "mimir-views"],
    ),
    ("mimir-ffi", &["mimir-bundle", "mimir-certify", "mimir-data", "mimir-runtime"]),
];

/// Crates that look at everything and that nothing looks at.
const OBSERVERS: [&str; 2] = ["mimir-tests", "mimir-benches"];

/// Libraries behind one crate: nothing else may depend on them.
const BEHIND: [(&str, &str); 6] = [
    ("ort", "mimir-runtime"),
    ("rten", "mimir-runtime"),
    ("rten-onnx", "mimir-runtime"),
    ("rten-tensor", "mimir-runtime"),
    ("tch", "mimir-train"),
    ("torch-sys", "mimir-train"),
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn normal_dependencies(package: &Package) -> BTreeSet<&str> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn arrows_are_those_of_the_table() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.into_iter().collect();
    for package in &metadata().packages {
        let name = package.name.as_str();
        let ours: BTreeSet<&str> = normal_dependencies(package)
            .into_iter()
            .filter(|dependency| dependency.starts_with("mimir-"))
            .collect();
        match allowed.get(name) {
            _ if OBSERVERS.contains(&name) => {}
            Some(allowed) => {
                let extra: Vec<_> = ours.iter().filter(|dependency| !allowed.contains(dependency)).collect();
                assert!(extra.is_empty(), "{name} must not depend on {extra:?}: see docs/architecture.md");
            }
            None => panic!("{name} has no line in docs/architecture.md and in this test"),
        }
        let observed = OBSERVERS.iter().find(|observer| ours.contains(*observer));
        assert_eq!(observed, None, "{name} depends on an observer");
    }
}

#[test]
fn the_table_is_the_one_in_the_documentation() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for (name, allowed) in MAY_DEPEND_ON {
        let short: Vec<&str> =
            allowed.iter().filter_map(|dependency| dependency.strip_prefix("mimir-")).collect();
        let cell = if short.is_empty() { "–".to_owned() } else { short.join(", ") };
        let line = text.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
        assert_eq!(
            line.split('|').nth(3).map(str::trim),
            Some(cell.as_str()),
            "docs/architecture.md: {name}: {line}"
        );
    }
}

#[test]
fn engines_stay_behind_their_crate() {
    for package in &metadata().packages {
        for (library, owner) in BEHIND {
            // Development dependencies included: a test that names `ort` tests another program than ours.
            let names_it = package.dependencies.iter().any(|dependency| dependency.name == library);
            assert!(!names_it || package.name == owner, "{} depends on {library}", package.name);
        }
    }
}

#[test]
fn each_engine_is_named_by_its_own_files() {
    for (paths, owner) in [
        (&["ort::"][..], "session/onnx_runtime"),
        (&["rten::", "rten_onnx::", "rten_tensor::"], "session/rten"),
    ] {
        let naming = naming(paths);
        assert!(!naming.is_empty(), "nothing names {paths:?}");
        for file in naming {
            let own = file.with_extension("").starts_with(owner);
            assert!(own, "{} names {paths:?}, which only {owner} does", file.display());
        }
    }
}

/// The files that say one of these paths, those of the runtime relative to it.
fn naming(paths: &[&str]) -> Vec<PathBuf> {
    let source = root().join("runtime/src");
    let mut naming: Vec<PathBuf> = rust_files(&root())
        .into_iter()
        .filter(|path| std::fs::read_to_string(path).unwrap().lines().any(|line| names(line, paths)))
        .map(|path| path.strip_prefix(&source).map(Path::to_owned).unwrap_or(path))
        .collect();
    naming.sort();
    naming
}

/// Whether a line of code (not of comment) says one of the paths as one of its own.
fn names(line: &str, paths: &[&str]) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let says = |path: &&str| {
        code.match_indices(*path).any(|(position, _)| {
            let before = |before: char| before.is_alphanumeric() || ['_', '"', ':'].contains(&before);
            !code[..position].ends_with(before)
        })
    };
    paths.iter().any(says)
}

/// Source files that git would track, by folder: build output and hidden folders are skipped.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && name != "target" {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
