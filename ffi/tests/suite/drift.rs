//! Header and Rust say the same. cbindgen writes the functions as Rust has them; C allows a function to be declared twice
//! if the two are compatible, and refuses others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use cbindgen::{Config, ItemType, Language, Style};

use crate::library::root;

/// The functions as Rust has them, as C.
fn functions() -> String {
    let mut config = Config {
        language: Language::C,
        style: Style::Type,
        no_includes: true,
        usize_is_size_t: true,
        ..Config::default()
    };
    config.export.item_types = vec![ItemType::Functions];
    // It follows the modules from there.
    let builder = cbindgen::Builder::new().with_config(config).with_src(root().join("ffi/src/lib.rs"));
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// What a compiler says about the header, followed by the functions as Rust has them.
fn compared(header: &str, folder: &Path) -> Result<(), String> {
    fs::write(folder.join("mimir.h"), header).unwrap();
    fs::copy(root().join("include/mimir_config.h"), folder.join("mimir_config.h")).unwrap();
    let both = folder.join("both.c");
    fs::write(&both, format!("#include \"mimir.h\"\n{}", functions())).unwrap();
    let output = Command::new("gcc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .args([folder, &both])
        .output()
        .unwrap();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn header() -> String {
    fs::read_to_string(root().join("include/mimir.h")).unwrap()
}

#[test]
fn the_header_declares_the_functions_of_rust() {
    let folder = tempfile::tempdir().unwrap();
    compared(&header(), folder.path()).unwrap();
}

#[test]
fn all_functions_are_compared() {
    let text = functions();
    let names = text.split('(').filter_map(|before| before.rsplit([' ', '*', '\n']).next());
    let found: BTreeSet<&str> = names.filter(|name| name.starts_with("mimir_")).collect();
    let symbols = fs::read_to_string(root().join("ffi/symbols.txt")).unwrap();
    assert_eq!(found, symbols.lines().collect::<BTreeSet<_>>());
}

#[test]
fn a_difference_in_the_header_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [
        ("size_t mimir_model_class_count(", "int32_t mimir_model_class_count("),
        (
            "mimir_limits_set_timeout(mimir_limits *limits, uint64_t",
            "mimir_limits_set_timeout(mimir_limits *limits, uint32_t",
        ),
        ("mimir_model_clone(const mimir_model *", "mimir_model_clone(mimir_model *"),
        ("double epsilon, mimir_certify_options **out", "float epsilon, mimir_certify_options **out"),
    ];
    for (from, to) in changes {
        let changed = header().replace(from, to);
        assert_ne!(changed, header(), "{from}");
        let error = compared(&changed, folder.path()).unwrap_err();
        let faults = error.lines().filter(|line| line.contains(" error: "));
        assert!(
            faults.clone().count() == 1 && faults.clone().all(|line| line.contains("conflicting types")),
            "{error}"
        );
    }
}

/// Structs and enumerators have no second declaration: their numbers are held here.
#[test]
fn structs_and_numbers_are_those_of_rust() {
    use mimir_ffi::error::Code;
    use mimir_ffi::evaluation::VerdictNumber;
    use mimir_ffi::output::{mimir_interval, mimir_prediction};
    let codes = [
        ("MIMIR_ERROR_INVALID_ARGUMENT", Code::InvalidArgument),
        ("MIMIR_ERROR_IO", Code::Io),
        ("MIMIR_ERROR_FORMAT", Code::Format),
        ("MIMIR_ERROR_DIGEST_MISMATCH", Code::DigestMismatch),
        ("MIMIR_ERROR_UNSUPPORTED", Code::Unsupported),
        ("MIMIR_ERROR_POLICY", Code::Policy),
        ("MIMIR_ERROR_ENGINE", Code::Engine),
        ("MIMIR_ERROR_CANCELLED", Code::Cancelled),
        ("MIMIR_ERROR_DEADLINE", Code::Deadline),
        ("MIMIR_ERROR_LIMIT", Code::Limit),
        ("MIMIR_ERROR_INTERNAL", Code::Internal),
    ];
    let verdicts = [
        ("MIMIR_VERDICT_MISCLASSIFIED", VerdictNumber::Misclassified),
        ("MIMIR_VERDICT_BROKEN", VerdictNumber::Broken),
        ("MIMIR_VERDICT_STILL_ROBUST", VerdictNumber::StillRobust),
        ("MIMIR_VERDICT_NOT_FINITE", VerdictNumber::NotFinite),
        ("MIMIR_VERDICT_UNFINISHED", VerdictNumber::Unfinished),
    ];
    let header = header();
    let codes = codes.map(|(name, code)| (name, code as i32));
    for (name, number) in codes.into_iter().chain(verdicts.map(|(name, verdict)| (name, verdict as i32))) {
        let line = format!("    {name} = {number}");
        assert!(header.contains(&line), "{line}");
    }
    assert_eq!((size_of::<mimir_prediction>(), size_of::<mimir_interval>()), (16, 32));
    assert_eq!(std::mem::offset_of!(mimir_prediction, margin), 12);
    assert_eq!(std::mem::offset_of!(mimir_interval, confidence), 24);
}

#[test]
fn the_version_of_the_header_is_that_of_the_library() {
    let wanted = format!("#define MIMIR_VERSION \"{}\"", env!("CARGO_PKG_VERSION"));
    let numbers: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let header = header();
    assert!(header.contains(&wanted), "{wanted}");
    for (name, number) in ["MAJOR", "MINOR", "PATCH"].iter().zip(numbers) {
        let line = format!("#define MIMIR_VERSION_{name} {number}\n");
        assert!(header.contains(&line), "{line}");
    }
}
