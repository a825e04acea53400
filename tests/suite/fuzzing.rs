//! The fuzz targets over the inputs that are kept: `docs/fuzzing.md`.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz")
}

/// The files of a folder in the order of their names; none where there is none.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A panic names the target and the input.
#[test]
fn every_target_passes_its_corpus_and_what_was_found() {
    for (name, run) in bodies::TARGETS {
        let [corpus, found] = ["corpus", "found"].map(|kind| inputs(&folder().join(kind).join(name)));
        assert!(corpus.len() >= 2, "fuzz/corpus/{name} has {} inputs", corpus.len());
        for path in corpus.iter().chain(&found) {
            let bytes = fs::read(path).unwrap();
            let passed = std::panic::catch_unwind(|| run(&bytes));
            assert!(passed.is_ok(), "fuzz target {name} fails on {}", path.display());
        }
    }
}

#[test]
fn each_target_has_its_program_and_a_line_in_the_documentation() {
    let page = fs::read_to_string(folder().with_file_name("docs").join("fuzzing.md")).unwrap();
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let programs = inputs(&folder().join("fuzz_targets"));
    assert_eq!(programs.len(), bodies::TARGETS.len());
    for (name, _) in bodies::TARGETS {
        let program = folder().join("fuzz_targets").join(format!("{name}.rs"));
        assert!(programs.contains(&program), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

/// Kept inputs stay small: they are read by every test run.
#[test]
fn corpora_are_small() {
    for kind in ["corpus", "found"] {
        for (name, _) in bodies::TARGETS {
            let files = inputs(&folder().join(kind).join(name));
            let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
            assert!(
                files.len() <= 100 && bytes <= 300_000,
                "{kind}/{name}: {} files, {bytes} bytes",
                files.len()
            );
        }
    }
}

/// Many composed graphs are compared with differences, so that the comparison is not one of nothing.
#[test]
fn composed_graphs_are_classifiers() {
    let mut classifiers = 0;
    for seed in 0..60_u8 {
        let bytes: Vec<u8> = (0..120_u8)
            .map(|index| index.wrapping_mul(97).wrapping_add(seed).rotate_left(3) ^ seed)
            .collect();
        let graph = bodies::graphs::composed(&bytes, bodies::graphs::Freedom::Differentiable).unwrap();
        let file = mimir_export::onnx::write_model(&graph).unwrap();
        let read = bodies::onnx::model(&file).unwrap();
        classifiers += usize::from(bodies::onnx::every_graph(read).is_some());
    }
    assert!(classifiers >= 25, "{classifiers} of 60");
}
