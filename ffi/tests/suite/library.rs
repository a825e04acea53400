//! The library that was built with this test, and its symbols.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A folder with the library under the names that an installation gives it.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        // Cargo builds all kinds of the crate's library for its tests, beside these.
        let built = std::env::current_exe().unwrap().parent().unwrap().join("libmimir_ffi.so");
        let name = format!("libmimir_runtime.so.{}", abi_version());
        std::fs::copy(&built, folder.path().join(&name)).unwrap();
        std::os::unix::fs::symlink(&name, folder.path().join("libmimir_runtime.so")).unwrap();
        folder
    });
    folder.path()
}

/// `MIMIR_ABI_VERSION` of the header.
pub(crate) fn abi_version() -> u32 {
    let header = std::fs::read_to_string(root().join("include/mimir.h")).unwrap();
    let line = header.lines().find_map(|line| line.strip_prefix("#define MIMIR_ABI_VERSION "));
    line.unwrap().trim().parse().unwrap()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn exported_symbols_are_those_of_the_list() {
    let library = folder().join("libmimir_runtime.so");
    let symbols = output("nm", &["-D", "--defined-only", "--format=posix", library.to_str().unwrap()]);
    let found: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    let path = root().join("ffi/symbols.txt");
    if std::env::var_os("MIMIR_BLESS").is_some() {
        let text: String = found.iter().flat_map(|name| [name, "\n"]).collect();
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let listed: BTreeSet<&str> = text.lines().collect();
    assert_eq!(found, listed, "ffi/symbols.txt: run with MIMIR_BLESS=1");
    assert!(found.iter().all(|name| name.starts_with("mimir_")), "{found:?}");
}

#[test]
fn the_header_declares_the_symbols_of_the_list() {
    let header = std::fs::read_to_string(root().join("include/mimir.h")).unwrap();
    let code: Vec<&str> = header.split("*/").filter_map(|part| part.split("/*").next()).collect();
    let code = code.join(" ");
    let words = code
        .split(|character: char| !character.is_ascii_alphanumeric() && character != '_' && character != '(');
    let declared: BTreeSet<&str> = words
        .filter_map(|word| word.split_once('(').map(|(name, _)| name))
        .filter(|name| name.starts_with("mimir_"))
        .collect();
    let text = std::fs::read_to_string(root().join("ffi/symbols.txt")).unwrap();
    assert_eq!(declared, text.lines().collect::<BTreeSet<_>>());
}

#[test]
fn the_soname_has_the_number_of_the_abi() {
    let library = folder().join("libmimir_runtime.so");
    let dynamic = output("readelf", &["-d", library.to_str().unwrap()]);
    let wanted = format!("Library soname: [libmimir_runtime.so.{}]", abi_version());
    assert!(dynamic.contains(&wanted), "{dynamic}");
    // ONNX Runtime is looked for when it is needed, and no other library of ours is.
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    for line in needed {
        let is_of_the_system =
            ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"].iter().any(|name| line.contains(name));
        assert!(is_of_the_system, "{line}");
    }
}

/// What the script says about a header. None where there is no abidiff.
fn abi_check(header: &str) -> Option<(bool, String)> {
    Command::new("abidiff").arg("--version").output().ok()?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mimir.h");
    std::fs::write(&path, header).unwrap();
    let output = Command::new(root().join("scripts/abi-check")).env("MIMIR_HEADER", &path).output().unwrap();
    Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn the_abi_is_the_committed_one_and_a_change_of_it_is_found() {
    let header = std::fs::read_to_string(root().join("include/mimir.h")).unwrap();
    let Some((holds, text)) = abi_check(&header) else { return };
    assert!(
        holds && text.contains("the ABI is that of"),
        "describe additions with scripts/abi-check --bless: {text}"
    );
    for (from, to) in [
        ("MIMIR_ERROR_LIMIT = 10", "MIMIR_ERROR_LIMIT = 12"),
        ("    int32_t abstained;", "    int64_t abstained;"),
        ("mimir_limits *limits, uint64_t milliseconds", "mimir_limits *limits, uint32_t milliseconds"),
    ] {
        let (holds, text) = abi_check(&header.replace(from, to)).unwrap();
        assert!(!holds && text.contains("breaks ABI version"), "{from}: {text}");
    }
}
