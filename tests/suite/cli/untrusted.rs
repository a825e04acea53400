//! Files that are no files, and files without end, in the place of every file that the programs open.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command as System;
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

use super::{Demo, certify, export, root};

/// No case takes a second on a quiet machine. Without a limit, opening a FIFO would wait for ever.
const LONGEST: Duration = Duration::from_secs(60);

/// More than any file that is read may have.
const ENDLESS: u64 = 70 << 30;

/// What stands where a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hostile {
    Fifo,
    LinkToFifo,
    Folder,
    Socket,
    Device,
    Sparse,
}

impl Hostile {
    const ALL: [Self; 6] =
        [Self::Fifo, Self::LinkToFifo, Self::Folder, Self::Socket, Self::Device, Self::Sparse];

    fn put(self, path: &Path, elsewhere: &Path) {
        match self {
            Self::Fifo => assert!(System::new("mkfifo").arg(path).status().unwrap().success()),
            Self::LinkToFifo => {
                Self::Fifo.put(elsewhere, elsewhere);
                symlink(elsewhere, path).unwrap();
            }
            Self::Folder => fs::create_dir(path).unwrap(),
            // Its file stays when it is closed.
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Device => symlink("/dev/zero", path).unwrap(),
            Self::Sparse => File::create(path).unwrap().set_len(ENDLESS).unwrap(),
        }
    }
}

/// A place where a file of others is opened.
struct Place {
    /// The file, in the folder of the case.
    file: &'static str,
    /// The command, given that folder.
    command: fn(&Case) -> Command,
}

/// A folder with what the commands need, but for the hostile file.
struct Case {
    folder: TempDir,
}

impl Case {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn model(&self) -> PathBuf {
        root().join("examples/demo/model.onnx")
    }

    /// A short run on that data.
    fn run(&self, data: &str) -> Command {
        let mut command = certify();
        command.arg(self.model()).args(["--config", "/dev/null", "--data", data, "--epsilon", "1/255"]);
        command.args(["--first", "1", "--attacks", "fgsm", "--mean", "0.5", "--std", "0.25"]);
        command
    }

    fn demo_images(&self) -> String {
        format!("npz:{}", root().join("examples/demo/images.npz").display())
    }

    fn data(&self, scheme: &str, name: &str) -> Command {
        self.run(&format!("{scheme}:{}", self.path(name).display()))
    }
}

const PLACES: [Place; 34] = [
    Place { file: "m.onnx", command: |case| arg(certify(), "check", case.path("m.onnx")) },
    Place { file: "m.onnx", command: |case| arg(export(), "show", case.path("m.onnx")) },
    Place {
        file: "m.onnx",
        command: |case| {
            let mut command = arg(export(), "diff", case.path("m.onnx"));
            command.arg(case.model());
            command
        },
    },
    Place {
        file: "m.onnx",
        command: |case| {
            let mut command = arg(export(), "bundle", case.path("m.onnx"));
            command.arg("-o").arg(case.path("made"));
            command
        },
    },
    Place {
        file: "external/weights",
        command: |case| arg(certify(), "check", case.path("external/model.onnx")),
    },
    Place { file: "b.mimir", command: |case| arg(certify(), "check", case.path("b.mimir")) },
    Place { file: "bundle/manifest.json", command: |case| arg(certify(), "check", case.path("bundle")) },
    Place { file: "bundle/model.onnx", command: |case| arg(certify(), "check", case.path("bundle")) },
    Place { file: "bundle/signature.json", command: |case| arg(certify(), "check", case.path("bundle")) },
    Place { file: "bundle/certificate.json", command: |case| arg(certify(), "check", case.path("bundle")) },
    Place {
        file: "settings.toml",
        command: |case| {
            let mut command = arg(certify(), "check", case.model());
            command.arg("--config").arg(case.path("settings.toml"));
            command
        },
    },
    Place {
        file: "policy.toml",
        command: |case| {
            let mut command = arg(certify(), "check", case.path("sound"));
            command.arg("--policy").arg(case.path("policy.toml"));
            command
        },
    },
    Place {
        file: "certificate.json",
        command: |case| {
            let mut command = arg(certify(), "verify", case.path("certificate.json"));
            command.arg(case.model());
            command
        },
    },
    Place {
        file: "certificate.json",
        command: |case| {
            let mut command = arg(certify(), "replay", case.folder.path());
            command.arg(case.model());
            command
        },
    },
    Place {
        file: "old.key",
        command: |case| {
            let mut command = arg(certify(), "sign", case.path("sound"));
            command.arg("--key").arg(case.path("old.key"));
            command
        },
    },
    Place {
        file: "old.pub",
        command: |case| {
            let mut command = arg(certify(), "verify", case.path("sound"));
            command.arg("--trust").arg(case.path("old.pub"));
            command
        },
    },
    Place {
        file: "baseline.json",
        command: |case| {
            let mut command = case.run(&case.demo_images());
            command.arg("--baseline").arg(case.path("baseline.json"));
            command
        },
    },
    Place {
        file: "classes.json",
        command: |case| {
            let mut command = case.data("folder", "pictures");
            command.arg("--class-map").arg(case.path("classes.json"));
            command
        },
    },
    Place { file: "x.npz", command: |case| case.data("npz", "x.npz") },
    Place { file: "mnist/t10k-images-idx3-ubyte", command: |case| case.data("mnist", "mnist") },
    Place { file: "mnist/t10k-labels-idx1-ubyte", command: |case| case.data("mnist", "mnist") },
    Place { file: "cifar/test_batch.bin", command: |case| case.data("cifar10", "cifar") },
    Place { file: "cifar100/test.bin", command: |case| case.data("cifar100", "cifar100") },
    Place { file: "pictures/cat/a.png", command: |case| case.data("folder", "pictures") },
    Place { file: "pictures/cat/a.jpg", command: |case| case.data("folder", "pictures") },
    Place { file: "shards/x.tar", command: |case| case.data("webdataset", "shards") },
    Place { file: "prepared/prepared.json", command: |case| case.data("prepared", "prepared") },
    Place { file: "prepared/images-00000.bin", command: |case| case.data("prepared", "prepared") },
    Place { file: "tiny/val/val_annotations.txt", command: |case| case.data("tiny-imagenet", "tiny") },
    Place {
        file: "out/journal.bin",
        command: |case| {
            let mut command = case.run(&case.demo_images());
            command.arg("--resume").arg("--report").arg(case.path("out"));
            command
        },
    },
    Place {
        file: "out/journal.bin",
        command: |case| {
            let mut command = case.run(&case.demo_images());
            command.arg("--report").arg(case.path("out"));
            command
        },
    },
    Place {
        file: "weights.safetensors",
        command: |case| {
            let mut command = export();
            command.arg(case.path("weights.safetensors")).arg("-o").arg(case.path("made"));
            command
        },
    },
    Place {
        file: "names.txt",
        command: |case| {
            let mut command = export();
            command.arg(case.path("sound.safetensors")).arg("--classes").arg(case.path("names.txt"));
            command.arg("-o").arg(case.path("made"));
            command
        },
    },
    Place { file: "x.tar", command: |case| case.data("webdataset", "x.tar") },
];

fn arg(mut command: Command, word: &str, path: impl AsRef<Path>) -> Command {
    command.arg(word).arg(path.as_ref());
    command
}

impl Case {
    /// The files around the hostile one, as far as they are read before it.
    fn new(place: &Place, hostile: Hostile, sound: &Path) -> Self {
        let case = Self { folder: tempfile::tempdir().unwrap() };
        let file = case.path(place.file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        copy(&sound.join("bundle"), &case.path("sound"));
        if place.file.starts_with("bundle/") {
            copy(&sound.join("bundle"), &case.path("bundle"));
            let _ = fs::remove_file(&file);
        }
        if place.file.starts_with("external/") {
            fs::copy(sound.join("external.onnx"), case.path("external/model.onnx")).unwrap();
        }
        if place.file.starts_with("mnist/") {
            // Empty files: whichever is hostile is opened before the other is judged.
            for name in ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
                fs::write(case.path("mnist").join(name), idx(name)).unwrap();
            }
            fs::remove_file(&file).unwrap();
        }
        if place.file == "prepared/images-00000.bin" {
            fs::write(case.path("prepared/prepared.json"), PREPARED).unwrap();
        }
        if place.file == "classes.json" {
            fs::create_dir_all(case.path("pictures/cat")).unwrap();
        }
        fs::write(case.path("sound.safetensors"), [2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']).unwrap();
        hostile.put(&file, &case.path("elsewhere"));
        case
    }
}

/// One prepared image.
const PREPARED: &str = r#"{"version": 1, "source": "folder:x", "split": "test", "side": 8, "channels": 3, "images": 1,
    "images_in_shard": 4, "class_names": null, "listing": 0}"#;

/// One image of 3 × 2 levels, and its label.
fn idx(name: &str) -> Vec<u8> {
    match name.contains("images") {
        true => [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2][..], &[7; 6]].concat(),
        false => vec![0, 0, 8, 1, 0, 0, 0, 1, 0],
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A bundle, and a model whose weights are in the file `weights` beside it.
fn sound() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = root().join("examples/demo/model.onnx");
    let mut command = arg(export(), "bundle", &model);
    command.args(["--mean", "0.5", "--std", "0.25", "-o"]).arg(folder.path().join("bundle"));
    command.assert().success();
    fs::write(folder.path().join("external.onnx"), with_external_data()).unwrap();
    folder
}

/// `y = x · W`, whose weights [4, 2] are the file `weights`.
fn with_external_data() -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        assert!(bytes.len() < 128);
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }
    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }
    let value = |name: &[u8], width: u8| {
        let dims = [field(1, &number(1, 1)), field(1, &number(1, width))].concat();
        let tensor = field(1, &[number(1, 1), field(2, &dims)].concat());
        [field(1, name), field(2, &tensor)].concat()
    };
    let node = [field(1, b"x"), field(1, b"W"), field(2, b"y"), field(4, b"MatMul")].concat();
    let location = [field(1, b"location"), field(2, b"weights")].concat();
    let weights =
        [number(1, 4), number(1, 2), number(2, 1), field(8, b"W"), field(13, &location), number(14, 1)]
            .concat();
    let graph = [
        field(1, &node),
        field(2, b"g"),
        field(5, &weights),
        field(11, &value(b"x", 4)),
        field(12, &value(b"y", 2)),
    ];
    let graph = graph.concat();
    let mut length = vec![];
    let mut left = graph.len();
    while left >= 128 {
        length.push((left % 128) as u8 | 128);
        left /= 128;
    }
    length.push(left as u8);
    [number(1, 8), vec![7 << 3 | 2], length, graph, field(8, &number(2, 17))].concat()
}

#[test]
fn special_and_endless_files_are_refused_soon_and_by_name_wherever_one_is_opened() {
    let sound = sound();
    let mut wrong = Vec::new();
    for place in &PLACES {
        for hostile in Hostile::ALL {
            // A folder among the pictures is looked into.
            if hostile == Hostile::Folder && place.file.starts_with("pictures/") {
                continue;
            }
            let case = Case::new(place, hostile, sound.path());
            let output = (place.command)(&case).timeout(LONGEST).output();
            let Ok(output) = output else {
                wrong.push(format!("{} {hostile:?}: {output:?}", place.file));
                continue;
            };
            let said = String::from_utf8_lossy(&output.stderr);
            let name = Path::new(place.file).file_name().unwrap().to_str().unwrap();
            let code = output.status.code();
            // A tar file of nothing but zeros has an end, and no images: that is said of the folder.
            let is_named = said.contains(name) || place.file == "shards/x.tar" && said.contains("0 images");
            if !code.is_some_and(|code| (1..70).contains(&code)) || !is_named {
                wrong.push(format!("{} {hostile:?}: exit code {code:?}: {said}", place.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a link in the report folder leads to is not ours: symbolic or hard, it is neither cut nor written.
#[test]
fn links_in_the_report_folder_lead_no_write_elsewhere() {
    for name in ["journal.bin", "counterexamples.bin", ".mimir-lock"] {
        let links: [fn(&Path, &Path) -> std::io::Result<()>; 2] =
            [|from, to| symlink(from, to), |from, to| fs::hard_link(from, to)];
        for link in links {
            let demo = Demo::new();
            let victim = demo.path("victim");
            fs::write(&victim, "precious").unwrap();
            fs::create_dir(demo.path("out")).unwrap();
            link(&victim, &demo.path("out").join(name)).unwrap();
            let run = demo.run(&["--attacks", "fgsm", "--first", "4", "--save-adversarial"]).failure();
            let said = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
            assert!(said.contains("wanted"), "{name}: {said}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        }
    }
    // Results are renamed into their place.
    let demo = Demo::new();
    let victim = demo.path("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(demo.path("out")).unwrap();
    for name in ["report.json", "certificate.json", "adversarial.npz"] {
        symlink(&victim, demo.path("out").join(name)).unwrap();
    }
    demo.run(&["--attacks", "fgsm", "--first", "4", "--save-adversarial"]).success();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

/// Nobody asked for it: it is no settings file.
#[test]
fn a_fifo_with_the_name_of_settings_is_none() {
    let demo = Demo::new();
    let fifo = demo.path("mimir-certify.toml");
    Hostile::Fifo.put(&fifo, &fifo);
    let mut command = arg(certify(), "check", demo.path("model.onnx"));
    command.current_dir(demo.folder.path()).timeout(LONGEST).assert().success();
}
