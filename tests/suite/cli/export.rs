//! `mimir-export CHECKPOINT -o …` from the outside.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use mimir_bundle::Normalisation;
use mimir_bundle::architecture::{Architecture, Family, Pooling};
use mimir_bundle::bundle::{Bundle, BundleFile};
use mimir_bundle::checkpoint::{CheckpointHeader, METADATA_KEY, Stage};
use mimir_bundle::digest::digest_bytes;
use mimir_export::network::Network;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use super::export;

/// A folder with a checkpoint, with or without a header of `mimir-train`.
struct Made {
    folder: TempDir,
}

impl Made {
    fn new(header: Option<&CheckpointHeader>) -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(made.path("best.safetensors"), checkpoint(header, |_, _| ())).unwrap();
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        let mut command = export();
        command.current_dir(self.folder.path()).env("SOURCE_DATE_EPOCH", "1800000000");
        command.arg("best.safetensors").args(arguments).assert()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn architecture() -> Architecture {
    Architecture { family: Family::Vit, width: 32, depth: 1, heads: 2, image_size: 8, patch_size: 4 }
}

fn header() -> CheckpointHeader {
    CheckpointHeader {
        pooling: Some(Pooling::Mean),
        classes: Some(3),
        class_names: Some(["cat", "dog", "owl"].map(str::to_owned).to_vec()),
        normalisation: Some(Normalisation::new([0.5; 3], [0.25; 3])),
        experiment: Some("ab".repeat(32)),
        ..CheckpointHeader::new(Stage::Finetune, architecture())
    }
}

/// The bytes of a checkpoint; `change` may change name and elements of each tensor.
fn checkpoint(header: Option<&CheckpointHeader>, change: impl Fn(&mut String, &mut Vec<f32>)) -> Vec<u8> {
    let network = Network::new(architecture(), Pooling::Mean, 3);
    let mut tensors = Vec::new();
    for (mut name, dims) in network.parameters() {
        let count: usize = dims.iter().product();
        let mut values: Vec<f32> = (0..count).map(|index| (index * 37 % 101) as f32 / 400.0 - 0.12).collect();
        change(&mut name, &mut values);
        tensors.push((name, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
    }
    let views: HashMap<&str, TensorView<'_>> = tensors
        .iter()
        .map(|(name, dims, data)| {
            (name.as_str(), TensorView::new(safetensors::Dtype::F32, dims.clone(), data).unwrap())
        })
        .collect();
    let metadata = header
        .map(|header| HashMap::from([(METADATA_KEY.to_owned(), serde_json::to_string(header).unwrap())]));
    safetensors::serialize(views, metadata).unwrap()
}

fn digest(path: &Path) -> String {
    digest_bytes(&std::fs::read(path).unwrap())
}

#[test]
fn a_checkpoint_of_mimir_train_needs_no_flag() {
    let made = Made::new(Some(&header()));
    let shown = made.run(&["-o", "bundle"]).success().stderr("");
    shown.stdout(starts_with("bundle: vit, width 32").and(contains("next: mimir-certify bundle --data")));
    let bundle = Bundle::open(&made.path("bundle")).unwrap();
    let manifest = bundle.manifest();
    assert_eq!(manifest.architecture, Some(architecture()));
    assert_eq!(manifest.input.normalisation, header().normalisation);
    assert_eq!(manifest.classes.names, header().class_names);
    assert_eq!(manifest.provenance.checkpoint, Some(digest(&made.path("best.safetensors"))));
    assert_eq!(manifest.provenance.experiment, header().experiment);
    assert_eq!(manifest.provenance.tool.name, "mimir-export");
    assert_eq!(manifest.provenance.created_at.as_deref(), Some("2027-01-15T08:00:00Z"));
    // The same again, in one file, has the same content; nothing else is left in the folder.
    made.run(&["-o", "bundle.mimir"]).success();
    assert_eq!(Bundle::open(&made.path("bundle.mimir")).unwrap(), bundle);
    assert_eq!(made.names(), ["best.safetensors", "bundle", "bundle.mimir"]);
}

#[test]
fn the_model_alone_is_the_one_of_the_bundle() {
    let made = Made::new(Some(&header()));
    made.run(&["-o", "bundle"]).success();
    made.run(&["-o", "alone.onnx"]).success();
    let odd = made.run(&["-o", "it's $(alone).onnx"]).success();
    odd.stdout(contains("next: mimir-certify './it'\\''s $(alone).onnx' --data"));
    assert_eq!(digest(&made.path("alone.onnx")), digest(&made.path("bundle/model.onnx")));
    made.run(&["-o", "beside.onnx", "--external-data"]).success().stdout(contains("beside.onnx.data: "));
    let mut command = export();
    command.current_dir(made.folder.path()).args(["diff", "alone.onnx", "beside.onnx"]);
    command.assert().success().stdout(starts_with("equal\n"));
    let mut command = export();
    command.current_dir(made.folder.path()).args(["show", "bundle"]);
    command
        .assert()
        .success()
        .stdout(starts_with("{\n  \"format\": \"mimir-bundle\"").and(contains("\ngraph (opset 20)\n")));
}

#[test]
fn opset_precision_and_gradients_arrive() {
    let made = Made::new(Some(&header()));
    let flags =
        ["--opset", "17", "--precision", "float16", "--gradient", "cross-entropy,margin", "--feature"];
    made.run(&[&["-o", "bundle"], &flags[..]].concat()).success();
    let bundle = Bundle::open(&made.path("bundle")).unwrap();
    let names: Vec<&str> = bundle.files().map(BundleFile::name).collect();
    let wanted = [
        "gradient-cross-entropy.onnx",
        "gradient-margin.onnx",
        "manifest.json",
        "model.onnx",
        "model.onnx.data",
    ];
    assert_eq!(names, wanted);
    assert_eq!(bundle.manifest().features[0].shape, [5, 32]);
    let mut command = export();
    command.args(["show"]).arg(made.path("bundle/model.onnx"));
    command.assert().success().stdout(starts_with("graph (opset 17)\n").and(contains(": f16[")));
}

#[test]
fn what_is_there_is_replaced_only_as_a_whole_and_on_request() {
    let made = Made::new(Some(&header()));
    for (output, file) in [("bundle", "bundle/manifest.json"), ("b.mimir", "b.mimir"), ("m.onnx", "m.onnx")] {
        made.run(&["-o", output]).success();
        let before = digest(&made.path(file));
        made.run(&["-o", output, "--opset", "18"]).code(2).stderr(contains("--force replaces it"));
        assert_eq!(digest(&made.path(file)), before);
        made.run(&["-o", output, "--opset", "18", "--force"]).success();
        assert_ne!(digest(&made.path(file)), before, "{output}");
    }
    // A folder of something else, one with a manifest of something else, and a bundle with something else in it.
    for (folder, file) in [("photos", "holiday.jpg"), ("extension", "manifest.json"), ("bundle", "notes.txt")]
    {
        std::fs::create_dir_all(made.path(folder)).unwrap();
        std::fs::write(made.path(folder).join(file), "{}").unwrap();
        made.run(&["-o", folder, "--force"]).code(2).stderr(contains("no bundle: name another path"));
        assert_eq!(std::fs::read(made.path(folder).join(file)).unwrap(), b"{}");
    }
    std::fs::write(made.path("n.onnx.data"), "precious").unwrap();
    made.run(&["-o", "n.onnx"]).code(2).stderr(contains("n.onnx.data is there"));
    assert!(made.names().iter().all(|name| !name.starts_with(".mimir-writing")), "{:?}", made.names());
}

#[test]
fn a_timm_file_needs_only_what_it_does_not_say() {
    let made = Made::new(None);
    std::fs::write(made.path("names.txt"), "cat\ndog\nowl\n").unwrap();
    let flags = ["-o", "b", "--heads", "2", "--classes", "names.txt", "--mean", "0.5", "--std", "1/4"];
    let preprocessing = ["--resize", "9", "--crop", "8", "--interpolation", "bicubic"];
    made.run(&[&flags[..], &preprocessing].concat()).success().stderr("");
    let bundle = Bundle::open(&made.path("b")).unwrap();
    let manifest = bundle.manifest();
    assert_eq!(manifest.classes.names.as_ref().unwrap()[2], "owl");
    assert_eq!(manifest.input.normalisation, Some(Normalisation::new([0.5], [0.25])));
    assert_eq!(manifest.preprocessing.unwrap().crop, Some([8, 8]));
    // Without a normalisation the program says what that means.
    made.run(&["-o", "plain", "--heads", "2"]).success().stderr(contains("warning: no normalisation"));
}

#[test]
fn flags_that_contradict_are_refused_by_name() {
    let made = Made::new(Some(&header()));
    std::fs::write(made.path("names.txt"), "a\nb\nc\n").unwrap();
    let cases: [(&[&str], &str); 10] = [
        (&["--mean", "0.4", "--std", "0.25"], "--mean and --std contradict the header"),
        (&["--mean", "0.4"], "--mean without --std"),
        (&["--classes", "4"], "classes 4 is asked for"),
        (&["--classes", "names.txt"], "--classes: the names differ"),
        (&["--classes", "missing.txt"], "--classes missing.txt: is neither a number nor a file"),
        (&["--architecture", "vit_tiny"], "width"),
        (&["--image-size", "10"], "10"),
        (&["--resize", "9"], "give --crop 8 too"),
        (&["--resize", "9", "--crop", "7"], "the network takes 8 x 8"),
        (&["--interpolation", "bicubic"], "--interpolation has no effect"),
    ];
    for (flags, wanted) in cases {
        made.run(&[&["-o", "out"], flags].concat()).code(2).stdout("").stderr(contains(wanted));
        assert!(!made.path("out").exists(), "{flags:?}");
    }
    made.run(&["-o", "m.onnx", "--gradient", "dlr"]).code(2).stderr(contains("--gradient needs a bundle"));
    let plain = Made::new(None);
    let graph = plain.run(&["-o", "b", "--heads", "2", "--normalisation", "graph"]);
    graph.code(2).stderr(contains("--normalisation graph: there is none"));
}

#[test]
fn hostile_checkpoints_are_refused_and_nothing_is_written() {
    let made = Made::new(Some(&header()));
    let good = std::fs::read(made.path("best.safetensors")).unwrap();
    let renamed = checkpoint(Some(&header()), |name, _| {
        *name = name.replace("blocks.0.mlp.fc1", "blocks.0.mlp.fc9").replace("head.bias", "tail.bias");
    });
    let nan = checkpoint(Some(&header()), |name, values| {
        if name == "head.bias" {
            values[1] = f32::NAN;
        }
    });
    let mut endless = good.clone();
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let cases: [(&str, &[u8], &[&str]); 6] = [
        ("cut", &good[..good.len() - 1], &["best.safetensors"]),
        ("empty", &[], &["best.safetensors"]),
        ("endless header", &endless, &["best.safetensors", "header"]),
        ("no checkpoint", b"\x08\x00\x00\x00\x00\x00\x00\x00{\"a\":1}}", &["best.safetensors"]),
        ("NaN", &nan, &["head.bias", "NaN"]),
        // All of them in one message.
        (
            "other keys",
            &renamed,
            &["blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc9.bias", "head.bias", "tail.bias"],
        ),
    ];
    for (name, bytes, wanted) in cases {
        std::fs::write(made.path("best.safetensors"), bytes).unwrap();
        let output = made.run(&["-o", "out"]).code(2).stdout("").get_output().clone();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.starts_with("error: ") && wanted.iter().all(|part| error.contains(part)),
            "{name}: {error}"
        );
        assert_eq!(made.names(), ["best.safetensors"], "{name}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn bundles_differ_by_what_their_descriptions_and_gradient_graphs_say() {
    use mimir_bundle::bundle::BundleManifest;
    use mimir_bundle::certificate::{Interpolation, Preprocessing, Resize};
    use mimir_bundle::{ChannelOrder, Layout};
    let made = Made::new(Some(&header()));
    made.run(&["-o", "a", "--gradient", "dlr"]).success();
    let before = Bundle::open(&made.path("a")).unwrap();
    let files = || before.files().filter(|file| file.name() != "manifest.json");
    let diff = |other: &str, flags: &[&str]| {
        let mut command = export();
        command.arg("diff").args(flags).arg(made.path("a")).arg(made.path(other)).assert()
    };
    diff("a", &[]).code(0).stdout(starts_with("equal\n").and(contains("gradient-dlr.onnx: equal\n")));
    type Change = fn(&mut BundleManifest);
    let cases: [(Change, &str); 8] = [
        (|m| m.input.normalisation = None, "manifest input.normalisation: {"),
        (|m| m.input.channel_order = ChannelOrder::Bgr, "manifest input.channel_order: \"rgb\" → \"bgr\""),
        (|m| m.classes.names.as_mut().unwrap().swap(0, 1), "manifest classes.names[0]: \"cat\" → \"dog\""),
        (|m| m.classes.names = None, "manifest classes.names[2]: \"owl\" → none"),
        (
            |m| {
                let crop = Some([8, 8]);
                let interpolation = Interpolation::Bicubic;
                m.preprocessing =
                    Some(Preprocessing { resize: Some(Resize::ShorterSide(9)), crop, interpolation });
            },
            "manifest preprocessing",
        ),
        (|m| m.architecture = None, "manifest architecture"),
        (|m| m.provenance.parent = Some("0".repeat(64)), "equal\n"),
        (|m| m.provenance.created_at = None, "equal\n"),
    ];
    for (index, (change, wanted)) in cases.into_iter().enumerate() {
        let mut description = before.manifest().clone();
        change(&mut description);
        let name = format!("other-{index}");
        let files = files().map(|file| (file.name().to_owned(), file.bytes().clone()));
        Bundle::new(description, files).unwrap().write_new(&made.path(&name)).unwrap();
        let equal = wanted == "equal\n";
        diff(&name, &[]).code(i32::from(!equal)).stdout(contains(wanted));
        let output = diff(&name, &["--json"]).code(i32::from(!equal)).get_output().stdout.clone();
        let json: serde_json::Value = serde_json::from_slice(&output).unwrap();
        assert_eq!(json["equal"], equal);
        assert_eq!(json["bundle"]["description"].as_array().unwrap().is_empty(), equal, "{wanted}");
    }
    // The layout is not that of the model: such a bundle is none.
    let mut flat = before.manifest().clone();
    flat.input.layout = Layout::Flat;
    let all = files().map(|file| (file.name().to_owned(), file.bytes().clone()));
    Bundle::new(flat, all).unwrap().write_new(&made.path("flat")).unwrap();
    diff("flat", &[])
        .code(2)
        .stderr(contains("but manifest.json says one row of 192 values an image (flat)"));

    made.run(&["-o", "margin", "--gradient", "margin"]).success();
    let only = contains("gradient-dlr.onnx: a gradient graph → none");
    diff("margin", &[]).code(1).stdout(only.and(contains("gradient-margin.onnx: none → a gradient graph")));
    // Another graph under the same name.
    made.run(&["-o", "both", "--gradient", "dlr", "--gradient", "cross-entropy"]).success();
    let both = Bundle::open(&made.path("both")).unwrap();
    let taken = both.file("gradient-cross-entropy.onnx").unwrap().bytes().clone();
    let exchanged = files().map(|file| match file.name() {
        "gradient-dlr.onnx" => (file.name().to_owned(), taken.clone()),
        name => (name.to_owned(), file.bytes().clone()),
    });
    Bundle::new(before.manifest().clone(), exchanged).unwrap().write_new(&made.path("exchanged")).unwrap();
    diff("exchanged", &[])
        .code(1)
        .stdout(contains("gradient-dlr.onnx: different\n").and(contains("  nodes: ")));
    // Only one is a bundle.
    made.run(&["-o", "model.onnx"]).success();
    let file = export().arg("diff").arg(made.path("a")).arg(made.path("model.onnx")).assert();
    file.stderr(contains("only one of the two is a bundle"));
}
