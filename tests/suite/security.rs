//! Each line of docs/security.md is held by a test that exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Names of the functions in the Rust files below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            functions(&path, names);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            names.extend(lines.filter_map(|line| line.split(['(', '<']).next()).map(str::to_owned));
        }
    }
}

/// What a script fetches by itself is pinned: Python packages by their digests, programs by their version and lock file.
/// (What a comment says about an environment that its reader may make is not fetched by a script.)
#[test]
fn what_scripts_fetch_is_pinned() {
    let mut scripts = Vec::new();
    shell_scripts(&root().join("scripts"), &mut scripts);
    shell_scripts(&root().join(".ci"), &mut scripts);
    let mut fetching = 0;
    for (path, text) in scripts {
        let code = text.replace("\\\n", " ");
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let is_pinned = match line {
                _ if line.contains("-m pip install") || line.contains("-m pip download") => {
                    line.contains("--require-hashes") || text.contains("sha256")
                }
                _ if line.starts_with("cargo install") => {
                    line.contains("--version") && line.contains("--locked")
                }
                _ if line.starts_with("curl ") || line.starts_with("wget ") => text.contains("sha256"),
                _ => continue,
            };
            assert!(is_pinned, "{}: {line}", path.display());
            fetching += 1;
        }
    }
    assert!(fetching >= 5, "{fetching}");
}

/// What people are told to install is pinned too: each Python package by the digests of its files, without which pip takes none,
/// and images by theirs.
#[test]
fn what_people_are_told_to_install_is_pinned() {
    let folders = ["scripts/demo", "scripts/package", "scripts/reference"].map(|folder| root().join(folder));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut packages = 0;
    for path in paths.filter(|path| path.to_str().unwrap().ends_with("requirements.txt")) {
        let text = std::fs::read_to_string(&path).unwrap().replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let is_pinned = line.contains("==") && line.contains("--hash=sha256:");
            assert!(is_pinned, "{}: {line}", path.display());
            packages += 1;
        }
    }
    assert!(packages > 100, "{packages}");
    let text = std::fs::read_to_string(root().join("Containerfile")).unwrap();
    let bases: Vec<&str> = text.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert!(!bases.is_empty() && bases.iter().all(|base| base.contains("@${BASE}")), "{bases:?}");
}

/// The files of a folder that are shell scripts by their names, which have no end.
fn shell_scripts(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            shell_scripts(&path, found);
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && path.extension().is_none()
        {
            found.push((path, text));
        }
    }
}

/// Functions of the standard library that open a file by its path.
const OPENING: [&str; 11] = [
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions::new",
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::copy(",
    "fs::hard_link(",
    "fs::symlink(",
    "generate_to(",
];

/// Files that may, and why.
const MAY_OPEN: [(&str, &str); 2] =
    [("files/src", "the place itself"), ("ffi/build.rs", "reads the header when the library is built")];

/// Code of the product: no tests, no examples, no comments.
fn product_code(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let of_tests = [
            "tests",
            "gate_tests",
            "testing",
            "fixtures",
            "benches",
            "examples",
            "target",
            "fuzz",
            "scripts",
        ];
        if name.starts_with('.') || of_tests.contains(&name.trim_end_matches(".rs")) {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            product_code(&path, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let tests = ["\n#[cfg(test)]\nmod tests {", "\n#[cfg(all(test, unix))]\nmod tests {"];
            let end = tests.iter().filter_map(|start| text.find(start)).min().unwrap_or(text.len());
            let code = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
            let shown = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((shown, code.collect::<Vec<_>>().join("\n")));
        }
    }
}

/// Opening a FIFO waits, a device has no end, and a link leads elsewhere: `mimir-files` knows, and nothing else opens.
#[test]
fn files_are_opened_in_one_place() {
    let mut files = Vec::new();
    product_code(&root(), &mut files);
    assert!(files.len() > 300, "{}", files.len());
    let mut found = Vec::new();
    for (file, code) in &files {
        if !MAY_OPEN.iter().any(|(place, _)| file.starts_with(place)) {
            found
                .extend(OPENING.iter().filter(|name| says(code, name)).map(|name| format!("{file}: {name}")));
        }
    }
    assert!(found.is_empty(), "these open files, where `mimir-files` does:\n{}", found.join("\n"));
}

/// Whether the code has the name, and not as the end of another.
fn says(code: &str, name: &str) -> bool {
    code.match_indices(name)
        .any(|(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with('|') && !line.contains("---") && !line.contains("held by"));
    let mut known = BTreeSet::new();
    functions(&root(), &mut known);
    let mut named = 0;
    for row in rows {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test holds: {row}");
        for test in tests {
            assert!(known.contains(test), "docs/security.md names `{test}`, which no file has");
            named += 1;
        }
    }
    assert!(named > 15, "{named}");
}
