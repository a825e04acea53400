//! What a folder can have that is no file of a bundle.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::*;

type Tamper = fn(&Path);

/// Replaces a file by a link to the same bytes elsewhere.
fn link_away(folder: &Path, name: &str) {
    let elsewhere = folder.with_file_name("elsewhere");
    fs::rename(folder.join(name), &elsewhere).unwrap();
    symlink(&elsewhere, folder.join(name)).unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_is_no_regular_file_of_a_bundle_is_refused() {
    let cases: [(&str, Tamper, &str); 15] = [
        (
            "a link to the model",
            |f| link_away(f, MODEL),
            "model.onnx: is a symbolic link, wanted a regular file",
        ),
        ("a link to the manifest", |f| link_away(f, MANIFEST), "manifest.json: is a symbolic link"),
        ("a link to a certificate", |f| link_away(f, CERTIFICATE), "certificate.json: is a symbolic link"),
        ("a link to certificates", |f| link_away(f, CERTIFICATES), "certificates: is a symbolic link"),
        (
            "a link within the bundle",
            |f| symlink("model.onnx", f.join("gradient-x.onnx")).unwrap(),
            "gradient-x.onnx: is a symbolic link",
        ),
        (
            "a link to nowhere",
            |f| symlink("/nonexistent", f.join("gradient-x.onnx")).unwrap(),
            "gradient-x.onnx: is a symbolic link",
        ),
        // Opening it would wait for whoever writes into it.
        (
            "a pipe",
            |f| {
                fs::remove_file(f.join(MODEL_DATA)).unwrap();
                assert!(Command::new("mkfifo").arg(f.join(MODEL_DATA)).status().unwrap().success());
            },
            "model.onnx.data: is a FIFO (a named pipe), wanted a regular file",
        ),
        (
            "a socket",
            |f| drop(UnixListener::bind(f.join("gradient-x.onnx")).unwrap()),
            "gradient-x.onnx: is a socket",
        ),
        ("a folder", |f| fs::create_dir(f.join("weights")).unwrap(), "weights: is a folder"),
        (
            "a folder among certificates",
            |f| fs::create_dir(f.join("certificates/old")).unwrap(),
            "certificates/old: is a folder",
        ),
        (
            "a hidden file",
            |f| fs::write(f.join(".git"), "x").unwrap(),
            "`.git`: is empty or begins with a point",
        ),
        (
            "a name that is no text",
            |f| fs::write(f.join(OsStr::from_bytes(b"model\xff")), "x").unwrap(),
            "is a name that is not ASCII",
        ),
        (
            "a name in other letters",
            |f| fs::write(f.join("certificates/LINF-4_255.json"), "{}").unwrap(),
            "differs from `certificates/LINF-4_255.json` only in the case of letters",
        ),
        (
            "a file that is being written",
            |f| fs::write(f.join(".mimir-writing-x1"), "x").unwrap(),
            ".mimir-writing-x1: is left of a write",
        ),
        (
            "a model of 3 GB, of which nothing is read",
            |f| fs::File::create(f.join(MODEL)).unwrap().set_len(3 << 30).unwrap(),
            "model.onnx: has 3221225472 bytes, more than 2147483647",
        ),
    ];
    for (case, tamper, wanted) in cases {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("bundle");
        write_folder(&folder, &files());
        tamper(&folder);
        expect(case, Bundle::open(&folder), wanted);
    }
}

#[test]
fn what_is_no_bundle_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let error = Bundle::open(parent.path()).unwrap_err().to_string();
    assert!(error.contains("manifest.json: is missing: this is no bundle"), "{error}");
    let error = Bundle::open(&parent.path().join("none.mimir")).unwrap_err();
    assert_eq!(error.kind(), BundleErrorKind::Io);
    expect(
        "a device",
        Bundle::open(Path::new("/dev/zero")),
        "is a device, wanted a folder or a regular file",
    );
}

/// A user may name the bundle itself by a link.
#[test]
fn a_link_to_a_bundle_is_followed() {
    let parent = tempfile::tempdir().unwrap();
    write_folder(&parent.path().join("bundle"), &files());
    symlink("bundle", parent.path().join("latest")).unwrap();
    assert_eq!(Bundle::open(&parent.path().join("latest")).unwrap(), complete());
}
