//! The files in `configs/` are experiments: each loads, says what it is for, and has the settings that its numbers are quoted with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mimir_data::DataSource;
use mimir_data::augment::{Augmentation, Crop, PadCrop};
use mimir_train::config::{EvaluatedPart, Experiment, InitialWeights, Method};

/// Labels of a header, after its first line.
const LABELS: [&str; 6] = ["Paper:", "Command:", "Data:", "Hardware:", "Time:", "Expected:"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

/// All files of experiments, by their path below `train/configs`. A grid is no experiment.
fn files() -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    for kind in std::fs::read_dir(folder()).unwrap() {
        let kind = kind.unwrap().path();
        if !kind.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&kind).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(folder()).unwrap().to_str().unwrap().to_owned();
            if path.file_stem().unwrap() != "grid" {
                files.insert(name, path);
            }
        }
    }
    files
}

/// One experiment of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    file: String,
    variant: Option<String>,
}

impl Name {
    fn new(file: &str, variant: Option<&str>) -> Self {
        Self { file: file.to_owned(), variant: variant.map(str::to_owned) }
    }

    fn read(&self) -> Experiment {
        Experiment::read(&folder().join(&self.file), self.variant.as_deref())
            .unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// The folder of its runs, below `runs`.
    fn run(&self) -> String {
        let stem = Path::new(&self.file).file_stem().unwrap().to_str().unwrap().to_owned();
        self.variant.as_ref().map_or(stem.clone(), |variant| format!("{stem}-{variant}"))
    }
}

/// Every experiment of every file.
fn names() -> Vec<Name> {
    let mut names = Vec::new();
    for (file, path) in files() {
        let variants = Experiment::variants(&path).unwrap();
        if variants.is_empty() {
            names.push(Name { file: file.clone(), variant: None });
        }
        names.extend(variants.into_iter().map(|variant| Name { file: file.clone(), variant: Some(variant) }));
    }
    names
}

fn read(file: &str, variant: &str) -> Experiment {
    Name::new(file, Some(variant)).read()
}

/// The comment lines before the first section, without their `#`.
fn header(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    lines.map(|line| line.trim_start().to_owned()).collect()
}

/// Names what is wrong with each file, and fails if anything is.
fn expect_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_experiment_loads_and_passes_its_checks() {
    let names = names();
    assert!(names.len() > 60, "{}", names.len());
    // Files that differ in a few keys are one file with variants.
    assert!(files().len() <= 25, "{}", files().len());
    for name in names {
        let experiment = name.read();
        let source = |text: &str| text.parse::<DataSource>().is_ok();
        assert!(source(&experiment.data.source), "{name:?}");
        assert!(experiment.data.generated.as_deref().is_none_or(source), "{name:?}");
        let finetune =
            experiment.finetune.as_ref().unwrap_or_else(|| panic!("{name:?}: nothing to evaluate"));
        let starts_from_nowhere =
            experiment.pretrain.is_none() && finetune.initial_weights == InitialWeights::Pretrained;
        assert!(!starts_from_nowhere, "{name:?}: no [pretrain] and no weights: finetune cannot start");
        experiment.data.test_source().ok().or_else(|| {
            // Its own images have no test set: it says on which others it is evaluated.
            assert_eq!(experiment.evaluate.on, mimir_train::config::EvaluatedSet::HeldOut, "{name:?}");
            None
        });
        let again: Experiment = toml::from_str(&experiment.to_toml()).unwrap();
        assert_eq!(again, experiment, "{name:?}");
    }
}

#[test]
fn every_header_tells_command_hardware_time_and_expected_result() {
    let mut wrong = Vec::new();
    for (file, path) in files() {
        let lines = header(&path);
        if lines.first().is_none_or(String::is_empty) {
            wrong.push(format!("{file}: the first line does not say what it is"));
        }
        for label in LABELS {
            let told = lines.iter().find_map(|line| line.strip_prefix(label));
            if told.is_none_or(|text| text.trim().is_empty()) {
                wrong.push(format!("{file}: the header lacks `{label}`"));
            }
        }
    }
    for name in names() {
        let Name { file, variant } = &name;
        let (lines, experiment) = (header(&folder().join(file)), name.read());
        let stages = [("pretrain", experiment.pretrain.is_some()), ("finetune", true), ("evaluate", true)];
        for (stage, _) in stages.into_iter().filter(|(_, given)| *given) {
            let option = if variant.is_some() { " --variant NAME" } else { "" };
            let command = format!("mimir-train {stage} train/configs/{file}{option}");
            if !lines.iter().any(|line| line.contains(&command)) {
                wrong.push(format!("{file}: the header lacks the command `{command}`"));
            }
        }
        // The line of a variant in the table, or the whole header of a file without any.
        let told = match variant {
            None => lines.join(" "),
            Some(variant) => {
                let line = lines.iter().find(|line| line.split_whitespace().next() == Some(variant));
                line.cloned().unwrap_or_default()
            }
        };
        if told.is_empty() {
            wrong.push(format!("{name:?}: the header does not list it"));
        }
        for result in &experiment.paper {
            let numbers =
                [result.natural, result.attacked].into_iter().flatten().map(|number| format!("{number:.2}"));
            for text in numbers.chain([result.source.clone()]) {
                if !told.contains(&text) {
                    wrong.push(format!("{name:?}: the header does not name {text}"));
                }
            }
        }
    }
    expect_none(&wrong);
}

#[test]
fn runs_have_folders_of_their_own() {
    let mut seen = BTreeSet::new();
    for name in names() {
        assert!(seen.insert(name.run()), "{name:?}: its runs would share a folder");
    }
}

#[test]
fn the_readme_names_every_file_and_no_other() {
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let rows: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .filter(|(name, _)| name.ends_with(".toml"))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect();
    let named: BTreeSet<&String> = rows.keys().collect();
    let files = files();
    assert_eq!(named, files.keys().collect::<BTreeSet<_>>());
    for name in names().into_iter().filter(|name| name.file.starts_with("paper/")) {
        if let Some(variant) = &name.variant {
            assert!(rows[&name.file].contains(&format!("`{variant}`")), "{name:?} is not in the README");
        }
    }
}

/// Weights of another experiment come from the folder that its `pretrain` fills, of the same network on the same images.
#[test]
fn weights_of_another_experiment_fit_this_one() {
    let by_run: BTreeMap<String, Name> = names().into_iter().map(|name| (name.run(), name)).collect();
    let mut checked = 0;
    for name in by_run.values() {
        let experiment = name.read();
        let Some(weights) = experiment.finetune.as_ref().and_then(|stage| stage.weights.clone()) else {
            continue;
        };
        let Ok(inside) = weights.strip_prefix("runs") else { continue };
        let (other, rest) = inside.to_str().unwrap().split_once('/').unwrap();
        assert_eq!(rest, "seed-{seed}/pretrain/last.safetensors", "{name:?}");
        let maker = by_run.get(other).unwrap_or_else(|| panic!("{name:?}: no experiment fills runs/{other}"));
        let made = maker.read();
        assert!(made.pretrain.is_some(), "{name:?}: {other} does not pre-train");
        assert_eq!((&made.model, &made.data), (&experiment.model, &experiment.data), "{name:?}");
        let command = format!("mimir-train pretrain train/configs/{} --variant", maker.file);
        assert!(
            header(&folder().join(&name.file)).iter().any(|line| line.contains(&command)),
            "{name:?} lacks `{command}`"
        );
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

/// An ablation is informative only if nothing else differs.
#[test]
fn ablations_differ_from_their_base_in_one_thing() {
    let without_method = |experiment: &Experiment| {
        let mut experiment = experiment.clone();
        let pretrain = experiment.pretrain.as_mut().unwrap();
        (pretrain.method, pretrain.adversary, pretrain.penalty) = (Method::Mae, None, None);
        experiment.paper.clear();
        experiment
    };
    let without_start = |experiment: &Experiment| {
        let mut finetune = experiment.finetune.clone().unwrap();
        (finetune.initial_weights, finetune.weights) = (InitialWeights::Scratch, None);
        finetune
    };
    let quick = without_method(&Name::new("quick/cifar10.toml", None).read());
    for variant in Experiment::variants(&folder().join("quick/cifar10-ablations.toml")).unwrap() {
        let mut other = read("quick/cifar10-ablations.toml", &variant);
        if variant == "scratch" {
            // The computing of pre-training goes into fine-tuning.
            other.finetune.as_mut().unwrap().training.epochs =
                quick.finetune.as_ref().unwrap().training.epochs;
            assert_eq!(Some(without_start(&other)), Some(without_start(&quick)));
            continue;
        }
        if variant == "mae" {
            // The computing of the attack goes into more epochs.
            let (other, quick) = (other.pretrain.as_mut().unwrap(), quick.pretrain.as_ref().unwrap());
            assert!(other.training.epochs > quick.training.epochs);
            other.training.epochs = quick.training.epochs;
            other.schedule.warmup_epochs = quick.schedule.warmup_epochs;
        }
        assert_eq!(without_method(&other), quick, "{variant}");
    }
    let pretrain = without_method(&read("paper/cifar10.toml", "vit-tiny")).pretrain;
    let table = without_start(&read("paper/table11.toml", "blr-5e-4"));
    let ablations = names()
        .into_iter()
        .filter(|name| name.file.starts_with("paper/table04") || name.file.starts_with("paper/table05"));
    let mut checked = 0;
    for name in ablations {
        let other = without_method(&name.read());
        assert_eq!(other.pretrain, pretrain, "{name:?} and paper/cifar10.toml");
        assert_eq!(without_start(&other), table, "{name:?} and paper/table11.toml");
        checked += 1;
    }
    assert_eq!(checked, 15);
}

/// Rows of the paper: source, natural accuracy, accuracy under attack (0 for none).
const ROWS: [(&str, f64, f64); 91] = [
    ("table 1", 71.00, 46.10),
    ("table 1", 76.32, 54.28),
    ("table 2", 72.56, 48.08),
    ("table 2", 72.72, 48.44),
    ("table 2", 75.26, 52.70),
    ("table 2", 76.72, 54.04),
    ("table 3", 66.02, 31.40),
    ("table 3", 67.04, 33.70),
    ("table 3", 69.98, 35.64),
    ("table 3", 68.24, 19.32),
    ("table 3", 71.02, 37.22),
    ("table 3", 70.78, 38.16),
    ("table 3", 68.78, 42.86),
    ("table 3", 71.00, 46.10),
    ("table 4", 69.63, 43.17),
    ("table 4", 75.00, 46.11),
    ("table 4", 76.30, 47.60),
    ("table 4", 75.53, 46.75),
    ("table 4", 74.90, 46.19),
    ("table 4", 74.60, 45.66),
    ("table 5", 69.02, 42.31),
    ("table 5", 74.69, 46.28),
    ("table 5", 73.96, 45.77),
    ("table 5", 76.30, 47.60),
    ("table 6", 0.0, 56.35),
    ("table 6", 0.0, 56.16),
    ("table 6", 0.0, 78.52),
    ("table 6", 0.0, 56.63),
    ("table 6", 0.0, 56.31),
    ("table 6", 0.0, 78.41),
    ("table 6", 0.0, 58.14),
    ("table 6", 0.0, 57.85),
    ("table 6", 0.0, 80.49),
    ("table 6", 0.0, 26.39),
    ("table 6", 0.0, 26.29),
    ("table 6", 0.0, 58.50),
    ("table 6", 0.0, 26.37),
    ("table 6", 0.0, 26.18),
    ("table 6", 0.0, 57.36),
    ("table 6", 0.0, 25.41),
    ("table 6", 0.0, 25.05),
    ("table 6", 0.0, 58.90),
    ("table 6", 0.0, 53.86),
    ("table 6", 0.0, 53.84),
    ("table 6", 0.0, 72.10),
    ("table 6", 0.0, 54.56),
    ("table 6", 0.0, 54.55),
    ("table 6", 0.0, 72.27),
    ("table 6", 0.0, 55.41),
    ("table 6", 0.0, 55.36),
    ("table 6", 0.0, 73.51),
    ("table 7", 96.79, 0.0),
    ("table 7", 96.91, 0.0),
    ("table 7", 73.38, 0.0),
    ("table 7", 75.43, 0.0),
    ("table 7", 82.92, 0.0),
    ("table 7", 83.20, 0.0),
    ("table 7", 94.95, 0.0),
    ("table 7", 95.38, 0.0),
    ("table 7", 69.03, 0.0),
    ("table 7", 70.40, 0.0),
    ("table 7", 78.37, 0.0),
    ("table 7", 79.21, 0.0),
    ("table 7", 95.95, 0.0),
    ("table 7", 95.95, 0.0),
    ("table 7", 70.00, 0.0),
    ("table 7", 71.14, 0.0),
    ("table 7", 77.45, 0.0),
    ("table 7", 78.69, 0.0),
    ("table 11", 76.30, 47.60),
    ("table 11", 80.69, 49.56),
    ("table 11", 85.62, 48.78),
    ("table 11", 85.12, 50.30),
    ("table 11", 84.51, 50.40),
    ("stability", 86.07, 47.24),
    ("README", 84.82, 52.96),
    ("README", 88.11, 53.18),
    ("README", 89.30, 54.55),
    ("README", 80.74, 45.04),
    ("README", 87.49, 52.54),
    ("README", 89.30, 55.64),
    ("README, EDM", 91.94, 61.06),
    ("README, EDM", 92.82, 63.43),
    ("README, eps 4", 71.29, 40.98),
    ("README, eps 4", 73.22, 41.26),
    ("README, eps 4", 69.90, 40.53),
    ("README, eps 4", 73.57, 40.03),
    ("README, eps 2", 74.60, 54.56),
    ("README, eps 2", 75.88, 55.42),
    ("README, eps 2", 73.39, 53.39),
    ("README, eps 2", 76.05, 56.78),
];

#[test]
fn every_row_of_the_paper_has_an_experiment() {
    let mut found = Vec::new();
    for name in names() {
        let results = name.read().paper;
        found.extend(
            results.into_iter().map(|it| (it.source, it.natural.unwrap_or(0.0), it.attacked.unwrap_or(0.0))),
        );
    }
    let mut left = found.clone();
    for (source, natural, attacked) in ROWS {
        let row = (source.to_owned(), natural, attacked);
        let place = left.iter().position(|it| *it == row);
        assert!(place.is_some(), "no experiment for {row:?}");
        left.swap_remove(place.unwrap());
    }
    // No number that the paper does not have.
    let others = left.iter().filter(|(source, ..)| source.starts_with("table"));
    assert_eq!(others.count(), 0, "{left:?}");
    for (figure, least) in [("figure 4", 16), ("figure 5", 5)] {
        assert!(found.iter().filter(|(source, ..)| source == figure).count() >= least, "{figure}");
    }
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for part in (1..=7)
        .chain([11])
        .map(|table| format!("table {table} |"))
        .chain((3..=5).map(|figure| format!("figure {figure} |")))
    {
        let part = part.replace("table 6 |", "table 6 (networks) |");
        assert!(readme.contains(&format!("\n| {part}")), "the README lacks {part}");
    }
}

/// What the authors ran, where their numbers are quoted (mimir-training.md, corrections).
#[test]
fn settings_are_those_of_the_numbers() {
    let padded = Crop::PadCrop(PadCrop { padding: 4 });
    let mut as_printed = 0;
    for name in names().into_iter().filter(|name| name.file.starts_with("paper/")) {
        let experiment = name.read();
        let small = experiment.model.image_size < 224;
        let crops: Vec<Augmentation> = [
            experiment.pretrain.as_ref().map(|stage| stage.augmentation),
            experiment.finetune.as_ref().map(|stage| stage.augmentation),
        ]
        .into_iter()
        .flatten()
        .collect();
        let printed = name.variant.as_ref().is_some_and(|variant| variant.ends_with("as-printed"));
        as_printed += usize::from(printed);
        for augmentation in crops {
            assert_eq!(augmentation.crop == padded, small && !printed, "{name:?}");
            assert_eq!(augmentation.flip, 0.5, "{name:?}");
        }
        let finetune = experiment.finetune.unwrap();
        if experiment.paper.iter().any(|result| result.source == "README" || result.source == "stability") {
            let schedule = (
                &finetune.schedule.base_learning_rate,
                finetune.training.epochs,
                finetune.schedule.warmup_epochs,
            );
            assert_eq!(schedule, (&0.05, 50, 5.0), "{name:?}");
        }
        if finetune.initial_weights == InitialWeights::Scratch {
            assert_eq!(finetune.layer_decay, 1.0, "{name:?}");
        }
        let tables = ["paper/table01", "paper/table02", "paper/table03"];
        let of_robustbench = tables.iter().any(|table| name.file.starts_with(table));
        assert_eq!(
            experiment.evaluate.images == Some(EvaluatedPart::RobustBench),
            of_robustbench,
            "{name:?}"
        );
    }
    assert_eq!(as_printed, 2);
}

#[test]
fn the_grid_is_of_experiments_that_are_there() {
    let grid = mimir_train::config::Grid::read(&folder().join("quick/grid.toml")).unwrap();
    assert_eq!(grid.methods.len(), 5);
    for method in &grid.methods {
        method.experiment(grid.seeds[0]).unwrap_or_else(|error| panic!("{}: {error}", method.name));
    }
}
