//! Finds the commit that the program is built from, for its bundles. Without git, or outside a checkout, there is
//! none; whoever packages the sources sets `MIMIR_COMMIT`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=MIMIR_COMMIT");
    // The commit is marked where the sources differ from it: it is asked again when one of them changes.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["export", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", root.join(name).display());
    }
    if let Some(head) = git(&root, &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={}", root.join(head).display());
    }
    if std::env::var_os("MIMIR_COMMIT").is_none()
        && let Some(commit) =
            git(&root, &["describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=-modified"])
    {
        println!("cargo:rustc-env=MIMIR_COMMIT={commit}");
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
