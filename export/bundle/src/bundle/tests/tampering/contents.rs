//! Files that are not those that they were, in both forms of a bundle.

use super::*;

struct Case {
    name: &'static str,
    tamper: fn(&mut Files),
    wanted: &'static str,
}

const fn case(name: &'static str, tamper: fn(&mut Files), wanted: &'static str) -> Case {
    Case { name, tamper, wanted }
}

fn flip(files: &mut Files, name: &str, at: usize) {
    files.get_mut(name).unwrap()[at] ^= 1;
}

fn in_manifest(files: &mut Files, from: &str, to: &str) {
    replace(files, MANIFEST, from, to);
}

/// Another bundle of the same description, and its certificate.
fn other_certificate() -> Vec<u8> {
    let other = Bundle::new(description(), [(MODEL.to_owned(), Bytes::from_static(b"another"))]).unwrap();
    let other = other.with_certificate(&certificate(&other, 8.0)).unwrap();
    other.file(CERTIFICATE).unwrap().bytes().to_vec()
}

/// One byte or field, one file more or less, files of another bundle.
const FILES: [Case; 21] = [
    case("a byte of the model", |f| flip(f, MODEL, 3), "model.onnx: SHA-256 is"),
    case("a byte of the weights", |f| flip(f, MODEL_DATA, 0), "model.onnx.data: SHA-256 is"),
    case("a byte of the manifest", |f| flip(f, MANIFEST, 0), "manifest.json: expected value"),
    case("a byte of the certificate", |f| flip(f, CERTIFICATE, 0), "certificate.json: not a certificate"),
    case("a byte of the signature", |f| flip(f, SIGNATURE, 0), "signature.json: "),
    case(
        "a truncated model",
        |f| f.get_mut(MODEL).unwrap().truncate(6),
        "model.onnx: has 6 bytes, but manifest.json lists 7",
    ),
    case(
        "an enlarged model",
        |f| f.get_mut(MODEL_DATA).unwrap().push(0),
        "model.onnx.data: has 12 bytes, but manifest.json lists 11",
    ),
    case("an empty manifest", |f| drop(f.insert(MANIFEST.into(), Vec::new())), "manifest.json: EOF"),
    case("no manifest", |f| drop(f.remove(MANIFEST)), "manifest.json"),
    case("no model", |f| drop(f.remove(MODEL)), "model.onnx: is listed in manifest.json, but missing"),
    case(
        "no weights",
        |f| drop(f.remove(MODEL_DATA)),
        "model.onnx.data: is listed in manifest.json, but missing",
    ),
    case(
        "a graph more",
        |f| drop(f.insert("gradient-x.onnx".into(), vec![1])),
        "gradient-x.onnx: is not listed in manifest.json",
    ),
    case(
        "a file more",
        |f| drop(f.insert("readme.txt".into(), vec![1])),
        "readme.txt: is no file of a bundle",
    ),
    case(
        "a program more",
        |f| drop(f.insert("libonnxruntime.so".into(), vec![1])),
        "libonnxruntime.so: is no file of a bundle",
    ),
    case(
        "settings more",
        |f| drop(f.insert("mimir-certify.toml".into(), vec![1])),
        "mimir-certify.toml: is no file of a bundle",
    ),
    case(
        "a certificate of another bundle",
        |f| drop(f.insert(CERTIFICATE.into(), other_certificate())),
        "certificate.json: is of another model",
    ),
    case(
        "a certificate of the model before",
        |f| {
            let weights = f.get_mut(MODEL_DATA).unwrap();
            weights[0] ^= 1;
            let digest = |bytes: &[u8]| crate::digest::digest_bytes(bytes);
            let (before, now) = (digest(b"its weights"), digest(weights));
            in_manifest(f, &before, &now);
        },
        "certificate.json: is of another model: the digest of its model is",
    ),
    case(
        "an older certificate",
        |f| replace(f, CERTIFICATE, "\"schema_version\": 4", "\"schema_version\": 3"),
        "certificate.json: certificate has schema version 3",
    ),
    case(
        "a newer certificate",
        |f| replace(f, CERTIFICATE, "\"schema_version\": 4", "\"schema_version\": 5"),
        "certificate.json: certificate has schema version 5",
    ),
    case(
        "a threat model twice",
        |f| {
            let text = f[CERTIFICATE].clone();
            f.insert("certificates/again.json".into(), text);
        },
        "certificates/again.json: is of the threat model of certificate.json: Linf, epsilon 8/255",
    ),
    case(
        "certificates exchanged with weights",
        |f| {
            let (weights, certificate) = (f[MODEL_DATA].clone(), f[CERTIFICATE].clone());
            f.insert(CERTIFICATE.into(), weights);
            f.insert(MODEL_DATA.into(), certificate);
        },
        "model.onnx.data: has",
    ),
];

#[test]
fn files_that_are_not_those_of_the_manifest() {
    refuse(&FILES);
}

/// The manifest as a text.
const TEXTS: [Case; 17] = [
    case(
        "another format",
        |f| in_manifest(f, "mimir-bundle", "other"),
        "manifest.json: format is `other`, wanted `mimir-bundle`",
    ),
    case(
        "another major version",
        |f| in_manifest(f, "\"1.0\"", "\"2.0\""),
        "format version 2.0: this program reads major version 1",
    ),
    case(
        "a version that is none",
        |f| in_manifest(f, "\"1.0\"", "\"1\""),
        "version is `1`, wanted MAJOR.MINOR",
    ),
    case("a version with a zero", |f| in_manifest(f, "\"1.0\"", "\"01.0\""), "version is `01.0`"),
    case("no version", |f| in_manifest(f, "\"version\": \"1.0\",", ""), "missing field `version`"),
    case(
        "a field more",
        |f| in_manifest(f, "{", "{\"attacks\": [],"),
        "manifest.json: unknown field `attacks`",
    ),
    case(
        "a field more inside",
        |f| in_manifest(f, "\"image\": {", "\"image\": {\"depth\": 1,"),
        "unknown field `depth`",
    ),
    case("a field less", |f| in_manifest(f, "\"output\": \"logits\",", ""), "missing field `output`"),
    case(
        "a key twice",
        |f| in_manifest(f, "\"output\": \"logits\",", "\"output\": \"logits\", \"output\": \"logits\","),
        "manifest.json: key `output` stands twice",
    ),
    case(
        "a key twice in another spelling",
        |f| in_manifest(f, "\"output\": \"logits\",", "\"output\": \"logits\", \"outpu\\u0074\": \"x\","),
        "manifest.json: key `output` stands twice",
    ),
    case(
        "a second value",
        |f| f.get_mut(MANIFEST).unwrap().extend(b"{}"),
        "manifest.json: trailing characters",
    ),
    case(
        "deep nesting",
        |f| {
            let deep = format!("{{\"x\": {}{},", "[".repeat(4000), "]".repeat(4000));
            in_manifest(f, "{", &deep);
        },
        "manifest.json: recursion limit exceeded",
    ),
    case("not a number", |f| in_manifest(f, "0.4", "NaN"), "manifest.json: expected value"),
    case("a number without bounds", |f| in_manifest(f, "0.4", "1e999"), "manifest.json: number out of range"),
    case(
        "bytes that are no text",
        |f| {
            let at = f[MANIFEST].windows(6).position(|window| window == b"logits").unwrap();
            f.get_mut(MANIFEST).unwrap()[at] = 0xff;
        },
        "manifest.json: invalid unicode",
    ),
    case(
        "a mark of the byte order",
        |f| {
            let text = [b"\xef\xbb\xbf", f[MANIFEST].as_slice()].concat();
            f.insert(MANIFEST.into(), text);
        },
        "manifest.json: begins with a byte order mark",
    ),
    case(
        "a manifest of 5 MB",
        |f| f.get_mut(MANIFEST).unwrap().extend(vec![b' '; 5 << 20]),
        "manifest.json: has",
    ),
];

#[test]
fn manifests_that_are_no_manifests() {
    refuse(&TEXTS);
}

/// Fields of the manifest that have another value.
const FIELDS: [Case; 24] = [
    case(
        "another shape",
        |f| {
            in_manifest(
                f,
                "\"architecture\": {\n    \"family\": \"vit\",\n    \"width\": 192,\n    \"depth\": 12,\n    \"heads\": 3,\n    \"image_size\": 32,\n    \"patch_size\": 4\n  }",
                "\"architecture\": null",
            );
            in_manifest(f, "\"height\": 32", "\"height\": 64");
            in_manifest(f, "\"crop\": [\n      32,\n      32\n    ]", "\"crop\": [64, 32]");
        },
        "certificate.json: the image shape is",
    ),
    case(
        "a shape that the architecture does not have",
        |f| in_manifest(f, "\"height\": 32", "\"height\": 64"),
        "manifest.json: architecture.image_size: 32, but input.image is 64 x 32",
    ),
    case(
        "a shape without bounds",
        |f| in_manifest(f, "\"height\": 32", "\"height\": 18446744073709551615"),
        "manifest.json: input.image.height: 18446744073709551615, wanted 1 to",
    ),
    case(
        "another layout",
        |f| in_manifest(f, "\"nchw\"", "\"nhwc\""),
        "certificate.json: the layout is \"nchw\", but manifest.json says \"nhwc\"",
    ),
    case(
        "another pixel type",
        |f| in_manifest(f, "\"pixel_type\": \"float\"", "\"pixel_type\": \"uint8\""),
        "certificate.json: the pixel type is",
    ),
    case(
        "another order of channels",
        |f| in_manifest(f, "\"rgb\"", "\"bgr\""),
        "certificate.json: the channel order is",
    ),
    case("another mean", |f| in_manifest(f, "0.4", "0.41"), "certificate.json: the normalisation is"),
    case(
        "another scale",
        |f| in_manifest(f, "\"scale\": 1.0", "\"scale\": 255.0"),
        "certificate.json: the normalisation is",
    ),
    case(
        "a scale that none has",
        |f| in_manifest(f, "\"scale\": 1.0", "\"scale\": 2.0"),
        "manifest.json: input.normalisation.scale: 2, wanted 1 or 255",
    ),
    case(
        "a deviation of zero",
        |f| in_manifest(f, "0.25", "0"),
        "manifest.json: input.normalisation.std: 0, wanted positive",
    ),
    case(
        "a mean too few",
        |f| in_manifest(f, "0.4,", ""),
        "manifest.json: input.normalisation: 2 means and 3 deviations",
    ),
    case(
        "another range",
        |f| in_manifest(f, "\"range\": [\n      0.0,\n      1.0", "\"range\": [\n      0.0,\n      255.0"),
        "manifest.json: input.range: [0.0, 255.0], wanted [0, 1]",
    ),
    case(
        "another rule of resizing",
        |f| in_manifest(f, "\"shorter_side\": 36", "\"shorter_side\": 32"),
        "certificate.json: the preprocessing is resized to 36",
    ),
    case(
        "another filter",
        |f| in_manifest(f, "bicubic", "bilinear"),
        "certificate.json: the preprocessing is resized to 36 (shorter side, bicubic)",
    ),
    case(
        "a crop of another size",
        |f| in_manifest(f, "\"crop\": [\n      32", "\"crop\": [\n      31"),
        "manifest.json: preprocessing: makes images of 31 x 32, but the input is 32 x 32",
    ),
    case(
        "another output",
        |f| in_manifest(f, "\"output\": \"logits\"", "\"output\": \"other\""),
        "certificate.json: the output is \"logits\"",
    ),
    case(
        "another number of classes",
        |f| {
            in_manifest(
                f,
                "\"count\": 2,\n    \"names\": [\n      \"cat\",\n      \"dog\"\n    ]",
                "\"count\": 3, \"names\": null",
            );
        },
        "certificate.json: the number of classes is 2",
    ),
    case(
        "a class twice",
        |f| in_manifest(f, "\"dog\"", "\"cat\""),
        "manifest.json: classes.names: `cat` stands twice",
    ),
    case(
        "a class too few",
        |f| in_manifest(f, "\"count\": 2", "\"count\": 3"),
        "manifest.json: classes.names: 2 names of 3 classes",
    ),
    case(
        "a class that speaks to the terminal",
        |f| in_manifest(f, "\"dog\"", "\"\\u001b[2J\""),
        "manifest.json: `\\u{1b}[2J` holds a control character",
    ),
    case(
        "a digest that is none",
        |f| in_manifest(f, &"a".repeat(64), &"A".repeat(64)),
        "manifest.json: provenance.checkpoint: `AAAA",
    ),
    case(
        "a network that there is none of",
        |f| in_manifest(f, "\"heads\": 3", "\"heads\": 5"),
        "manifest.json: architecture: heads 5",
    ),
    case(
        "a feature that is the output",
        |f| in_manifest(f, "\"name\": \"features\"", "\"name\": \"logits\""),
        "manifest.json: features: `logits` is the output",
    ),
    case(
        "a feature of no values",
        |f| in_manifest(f, "65", "0"),
        "manifest.json: features: `features` has a dimension of 0",
    ),
];

#[test]
fn manifests_that_say_something_else() {
    refuse(&FIELDS);
}

/// The list of files in the manifest.
const LISTS: [Case; 10] = [
    case(
        "a path to another folder",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"../model.onnx.data\""),
        "manifest.json: `../model.onnx.data`: leads to another folder",
    ),
    case(
        "an absolute path",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"/etc/passwd\""),
        "manifest.json: `/etc/passwd`: is an absolute path",
    ),
    case(
        "a path of another system",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"..\\\\model.onnx.data\""),
        "has the character '\\\\'",
    ),
    case(
        "a name with an end inside",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"model.onnx.data\\u0000\""),
        "`model.onnx.data\\0` holds a control character",
    ),
    case(
        "a file twice",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"model.onnx\""),
        "manifest.json: model.onnx: stands twice",
    ),
    case(
        "a name in other letters",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"Model.onnx\""),
        "manifest.json: Model.onnx: is no file of a bundle",
    ),
    case(
        "a certificate in the list",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"certificate.json\""),
        "manifest.json: files: lists certificate.json",
    ),
    case(
        "the manifest in the list",
        |f| in_manifest(f, "\"model.onnx.data\"", "\"manifest.json\""),
        "manifest.json: files: lists manifest.json",
    ),
    case(
        "a size without bounds",
        |f| in_manifest(f, "\"bytes\": 11", "\"bytes\": 99999999999"),
        "manifest.json: model.onnx.data: has 99999999999 bytes, more than",
    ),
    case(
        "another order",
        |f| {
            in_manifest(f, "\"name\": \"model.onnx.data\"", "\"name\": \"gradient-a.onnx\"");
        },
        "manifest.json: files: gradient-a.onnx stands behind model.onnx",
    ),
];

#[test]
fn manifests_that_list_something_else() {
    refuse(&LISTS);
}

/// The text of a certificate.
const CERTIFICATES_CHANGED: [Case; 7] = [
    case(
        "counts",
        |f| replace(f, CERTIFICATE, "\"still_robust\": 5", "\"still_robust\": 6"),
        "certificate.json: certificate contradicts itself",
    ),
    case(
        "a radius",
        |f| replace(f, CERTIFICATE, "\"norm\": \"linf\"", "\"norm\": \"linf\", \"norm\": \"l2\""),
        "certificate.json: not a certificate: key `norm` stands twice",
    ),
    case(
        "a key twice where keys are free",
        |f| replace(f, CERTIFICATE, "\"effective\": {", "\"effective\": {\"quiet\": true,"),
        "certificate.json: not a certificate: key `quiet` stands twice",
    ),
    case(
        "a field more",
        |f| replace(f, CERTIFICATE, "{", "{\"proof\": true,"),
        "certificate.json: not a certificate: unknown field `proof`",
    ),
    case(
        "another digest",
        |f| replace(f, CERTIFICATE, "\"model_digest\": \"", "\"model_digest\": \"0"),
        "certificate.json: certificate contradicts itself",
    ),
    case(
        "text behind it",
        |f| f.get_mut(CERTIFICATE).unwrap().extend(b"[]"),
        "certificate.json: not a certificate: trailing characters",
    ),
    case(
        "bytes that are no text",
        |f| f.get_mut(CERTIFICATE).unwrap().push(0xff),
        "certificate.json: invalid utf-8",
    ),
];

#[test]
fn certificates_that_cannot_be() {
    refuse(&CERTIFICATES_CHANGED);
}

/// Opens each case as a folder, as a file, and from memory.
fn refuse(cases: &[Case]) {
    for Case { name, tamper, wanted } in cases {
        let mut changed = files();
        tamper(&mut changed);
        let folder = tempfile::tempdir().unwrap();
        write_folder(&folder.path().join("bundle"), &changed);
        let path = folder.path().join("bundle");
        let opened = Bundle::open(&path);
        assert!(opened.as_ref().err().is_none_or(|error| error.place().starts_with(path.to_str().unwrap())));
        expect(&format!("{name}, a folder"), opened, wanted);
        let bytes = archive(&changed);
        fs::write(folder.path().join("file.mimir"), &bytes).unwrap();
        expect(&format!("{name}, a file"), Bundle::open(&folder.path().join("file.mimir")), wanted);
        expect(&format!("{name}, in memory"), Bundle::from_bytes(bytes), wanted);
    }
}

/// The cases change what they say, and nothing else is wrong with the files.
#[test]
fn unchanged_files_are_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &files());
    assert_eq!(Bundle::open(folder.path()).unwrap(), complete());
    assert_eq!(Bundle::from_bytes(archive(&files())).unwrap(), complete());
}

/// A later minor version that uses no new field is read; one that uses one is refused by the name of the field.
#[test]
fn minor_versions_are_read() {
    let mut newer = files();
    in_manifest(&mut newer, "\"1.0\"", "\"1.7\"");
    assert_eq!(Bundle::from_bytes(archive(&newer)).unwrap().manifest().version, "1.7");
}
