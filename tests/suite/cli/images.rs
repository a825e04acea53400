//! Images as people have them: class folders, other sizes, grey files, parts of sorted sets.

use std::fs;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use mimir_bundle::certificate::{Interpolation, Preprocessing, Resize, SampleRecord};
use mimir_runtime::report::{Report, Warning};
use predicates::str::contains;

use super::{Demo, certify, models};

/// A run on class folders with a model that tells their brightness.
struct Folders {
    demo: Demo,
}

/// Classes of the model, each with four images.
const CLASSES: usize = 12;

impl Folders {
    /// `shape` is that of the model's input; each class has the images that `image` makes of its level.
    fn new(shape: [u32; 3], folder: impl Fn(usize) -> String, image: impl Fn(u8) -> DynamicImage) -> Self {
        let demo = Demo::new();
        models::telling_brightness(&demo.path("model.onnx"), shape, CLASSES);
        for class in 0..CLASSES {
            let path = demo.path("images").join(folder(class));
            fs::create_dir_all(&path).unwrap();
            for number in 0..4 {
                let level = (class * 255 / CLASSES) as u8;
                image(level).save(path.join(format!("{number}.png"))).unwrap();
            }
        }
        Self { demo }
    }

    fn run(&self, flags: &[&str]) -> Report {
        self.assert(flags).success();
        self.demo.report()
    }

    fn assert(&self, flags: &[&str]) -> assert_cmd::assert::Assert {
        let mut command = certify();
        command.arg(self.demo.path("model.onnx")).args(["--config", "/dev/null", "--epsilon", "1/255"]);
        command.args(["--attacks", "fgsm", "--report"]).arg(self.demo.path("out")).arg("--data");
        command.arg(format!("folder:{}", self.demo.path("images").display())).args(flags).assert()
    }
}

fn grey(level: u8) -> DynamicImage {
    GrayImage::from_pixel(4, 4, Luma([level])).into()
}

fn rgb(level: u8) -> DynamicImage {
    RgbImage::from_pixel(4, 4, Rgb([level; 3])).into()
}

fn kinds(report: &Report) -> Vec<&Warning> {
    report.warnings.iter().map(|notice| &notice.warning).collect()
}

#[test]
fn the_first_images_of_a_sorted_folder_warn_and_a_sample_does_not() {
    let folders = Folders::new([3, 4, 4], |class| format!("{class:02}"), rgb);
    let report = folders.run(&["--first", "4"]);
    let mix = kinds(&report).into_iter().any(|warning| {
        matches!(warning, Warning::ClassMix { images: 4, of_images: 48, classes: 1, of_classes: 12, .. })
    });
    assert!(mix, "{:?}", report.warnings);

    let report = folders.run(&["--sample", "12", "--seed", "3"]);
    assert_eq!(kinds(&report), [] as [&Warning; 0]);
    let labels: Vec<usize> = report.outcomes.iter().map(|outcome| outcome.label).collect();
    assert_eq!((labels, report.clean_accuracy), ((0..12).collect(), 1.0));
    let Some(SampleRecord { count: 12, seed: 3, .. }) = report.data.sample else {
        panic!("{:?}", report.data)
    };
}

#[test]
fn folders_named_by_numbers_are_in_their_order() {
    let folders = Folders::new([3, 4, 4], |class| class.to_string(), rgb);
    let report = folders.run(&[]);
    assert_eq!(report.clean_accuracy, 1.0);
    assert_eq!(kinds(&report), [&Warning::NumberedClasses { folders: 12 }]);

    // torchvision's order, as a map.
    let mut names: Vec<String> = (0..CLASSES).map(|class| class.to_string()).collect();
    names.sort();
    fs::write(folders.demo.path("map.json"), format!("{names:?}")).unwrap();
    let map = folders.demo.path("map.json").display().to_string();
    let report = folders.run(&["--class-map", &map]);
    assert!(report.clean_accuracy < 0.5, "{}", report.clean_accuracy);
    assert!(!kinds(&report).iter().any(|warning| matches!(warning, Warning::NumberedClasses { .. })));
    assert_eq!(report.data.class_map.unwrap().len(), CLASSES);

    // A class that is missing leaves the others their numbers.
    fs::remove_dir_all(folders.demo.path("images/5")).unwrap();
    let report = folders.run(&[]);
    assert_eq!(report.clean_accuracy, 1.0);
    let fewer = |warning: &&Warning| matches!(warning, Warning::FewerClasses { class_map, classes: 12 } if class_map.len() == 11 && class_map[5] == "6 → 6");
    assert!(kinds(&report).iter().any(fewer), "{:?}", report.warnings);
}

#[test]
fn other_numbers_of_classes_are_named() {
    let folders = Folders::new([3, 4, 4], |class| format!("c{class:02}"), rgb);
    fs::remove_dir_all(folders.demo.path("images/c03")).unwrap();
    let report = folders.run(&[]);
    let fewer = |warning: &&Warning| matches!(warning, Warning::FewerClasses { class_map, .. } if class_map[3] == "c04 → 3");
    assert!(kinds(&report).iter().any(fewer), "{:?}", report.warnings);
    // With the model's indices nothing is wrong.
    let lines: Vec<String> = (0..CLASSES).map(|class| format!("c{class:02} {class}")).collect();
    fs::write(folders.demo.path("map.txt"), lines.join("\n")).unwrap();
    let map = folders.demo.path("map.txt").display().to_string();
    let report = folders.run(&["--class-map", &map]);
    assert_eq!((report.clean_accuracy, kinds(&report).len()), (1.0, 0), "{:?}", report.warnings);

    fs::write(folders.demo.path("map.txt"), "c00 0\n").unwrap();
    folders.assert(&["--class-map", &map]).code(4).stderr(contains("no index for class `c01`"));
    for name in ["x", "y"] {
        fs::create_dir(folders.demo.path("images").join(name)).unwrap();
        rgb(0).save(folders.demo.path("images").join(name).join("0.png")).unwrap();
    }
    folders.assert(&[]).code(4).stderr(contains("the images have 13 classes, the model 12"));
}

#[test]
fn grey_files_run_in_a_model_of_one_channel() {
    let folders = Folders::new([1, 4, 4], |class| format!("{class:02}"), grey);
    let report = folders.run(&[]);
    assert_eq!((report.clean_accuracy, report.model.manifest.image.channels), (1.0, 1));

    // RGB files that are grey are the same; colours are refused.
    let grey_in_rgb = Folders::new([1, 4, 4], |class| format!("{class:02}"), rgb);
    let other = grey_in_rgb.run(&[]);
    assert_eq!(other.data.images_digest, report.data.images_digest);
    RgbImage::from_pixel(4, 4, Rgb([9, 0, 0])).save(grey_in_rgb.demo.path("images/00/0.png")).unwrap();
    grey_in_rgb.assert(&[]).code(4).stderr(contains("found colours, wanted a grey image"));

    // Grey files in a model of three channels, as before.
    let in_rgb = Folders::new([3, 4, 4], |class| format!("{class:02}"), grey);
    assert_eq!(in_rgb.run(&[]).clean_accuracy, 1.0);
}

#[test]
fn what_is_dropped_is_said() {
    let with_alpha = |level: u8| RgbaImage::from_pixel(4, 4, Rgba([level, level, level, 9])).into();
    let folders = Folders::new([3, 4, 4], |class| format!("{class:02}"), with_alpha);
    fs::write(folders.demo.path("images/00/notes.txt"), "x").unwrap();
    fs::write(folders.demo.path("images/00/.hidden"), "x").unwrap();
    let report = folders.run(&[]);
    let [Warning::AlphaDropped { files: 48 }, Warning::FilesLeftOut { files: 1, .. }] = kinds(&report)[..]
    else {
        panic!("{:?}", report.warnings)
    };
}

#[test]
fn photographs_of_other_sizes_are_resized_and_recorded() {
    let folders = Folders::new(
        [3, 4, 4],
        |class| format!("{class:02}"),
        |level| RgbImage::from_pixel(11 + u32::from(level) % 7, 9, Rgb([level; 3])).into(),
    );
    let flags = ["--resize", "6", "--crop", "4", "--interpolation", "bicubic", "--save-adversarial"];
    let report = folders.run(&flags);
    let wanted = Preprocessing {
        resize: Some(Resize::ShorterSide(6)),
        crop: Some([4, 4]),
        interpolation: Interpolation::Bicubic,
    };
    assert_eq!((report.clean_accuracy, report.data.preprocessing), (1.0, Some(wanted)));
    assert_eq!(folders.demo.certificate().data, report.data);
    // A replay does the same to the images.
    certify()
        .arg("replay")
        .args([folders.demo.path("out"), folders.demo.path("model.onnx")])
        .assert()
        .success();
    folders
        .assert(&[])
        .code(4)
        .stderr(contains("have them resized and cropped to one size here (--resize, --crop)"));
    folders.assert(&["--interpolation", "bicubic"]).code(2).stderr(contains("no effect without --resize"));
}

#[test]
fn the_preset_of_imagenet_is_one_flag() {
    let demo = Demo::new();
    models::telling_brightness(&demo.path("model.onnx"), [3, 224, 224], 2);
    for name in ["n00000001", "n00000002"] {
        fs::create_dir_all(demo.path("val").join(name)).unwrap();
        RgbImage::from_pixel(300, 270, Rgb([9; 3])).save(demo.path("val").join(name).join("a.png")).unwrap();
    }
    let mut command = certify();
    command.arg(demo.path("model.onnx")).args([
        "--config",
        "/dev/null",
        "--epsilon",
        "1/255",
        "--attacks",
        "fgsm",
    ]);
    command
        .arg("--data")
        .arg(format!("imagenet:{}", demo.folder.path().display()))
        .args(["--preset", "imagenet"]);
    command
        .arg("--report")
        .arg(demo.path("out"))
        .assert()
        .success()
        .stdout(contains("shorter side, bilinear"));
    let report = demo.report();
    let normalisation = report.model.manifest.normalisation.unwrap();
    assert_eq!((normalisation.mean[0], normalisation.std[2]), (0.485, 0.225));
    assert_eq!(report.data.preprocessing.unwrap().crop, Some([224, 224]));
}

#[test]
fn the_first_images_of_an_archive_are_taken() {
    let demo = Demo::new();
    demo.run(&["--first", "3"]).success();
    assert_eq!(demo.report().images, 3);
}

#[test]
fn data_that_is_missing_is_named_once() {
    for data in ["npz:/nonexistent.npz", "mnist:/nonexistent", "cifar10:/nonexistent", "folder:/nonexistent"]
    {
        let output = Demo::new().run(&["--data", data]).code(4).get_output().stderr.clone();
        let message = String::from_utf8(output).unwrap();
        assert_eq!(message.matches("os error").count(), 1, "{message}");
    }
    let output =
        certify().args(["replay", "/nonexistent", "m.onnx"]).assert().code(4).get_output().stderr.clone();
    assert_eq!(String::from_utf8(output).unwrap().matches("os error").count(), 1);
}

#[test]
fn a_mistyped_command_is_named() {
    let said = contains("no command and no model file `repaly`, did you mean `replay`?");
    certify().args(["repaly", "out", "m.onnx"]).assert().code(2).stderr(said);
}
