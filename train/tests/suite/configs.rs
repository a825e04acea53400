//! The files in `configs/` are experiments: each loads, and says what it is for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mimir_data::DataSource;
use mimir_train::config::{Experiment, InitialWeights, Method};

/// Labels of a header, after its first line.
const LABELS: [&str; 6] = ["Paper:", "Command:", "Data:", "Hardware:", "Time:", "Expected:"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

/// All files, by their path below `train/configs`.
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
            files.insert(name, path);
        }
    }
    files
}

fn read(name: &str) -> Experiment {
    Experiment::read(&folder().join(name)).unwrap_or_else(|error| panic!("{error}"))
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
fn every_file_loads_and_passes_its_checks() {
    let files = files();
    assert!(files.len() > 1, "no files under {}", folder().display());
    let problem = |(name, path): (&String, &PathBuf)| -> Option<String> {
        let experiment = match Experiment::read(path) {
            Ok(experiment) => experiment,
            Err(error) => return Some(error.to_string()),
        };
        let source = |text: &str| text.parse::<DataSource>().err().map(|error| error.to_string());
        let (pretrain, finetune) = (&experiment.pretrain, &experiment.finetune);
        let augmentations = [
            pretrain.as_ref().map(|stage| stage.augmentation),
            finetune.as_ref().map(|stage| stage.augmentation),
        ];
        let found = source(&experiment.data.source)
            .or_else(|| experiment.data.generated.as_deref().and_then(source))
            .or_else(|| {
                augmentations
                    .iter()
                    .flatten()
                    .find_map(|one| one.check().err())
                    .map(|error| error.to_string())
            })
            .or_else(|| {
                experiment.evaluate.transform.and_then(|one| one.check().err()).map(|error| error.to_string())
            })
            .or_else(|| finetune.is_none().then(|| "no [finetune]: nothing to evaluate".to_owned()))
            .or_else(|| {
                starts_from_nowhere(&experiment)
                    .then(|| "no [pretrain] and no weights: finetune cannot start".to_owned())
            });
        found.map(|found| format!("{name}: {found}"))
    };
    expect_none(&files.iter().filter_map(problem).collect::<Vec<_>>());
}

fn starts_from_nowhere(experiment: &Experiment) -> bool {
    let starts = experiment.finetune.as_ref().map(|stage| stage.initial_weights);
    experiment.pretrain.is_none() && starts == Some(InitialWeights::Pretrained)
}

#[test]
fn every_effective_configuration_is_read_back_as_itself() {
    for name in files().keys() {
        let experiment = read(name);
        let again: Experiment = toml::from_str(&experiment.to_toml()).unwrap();
        assert_eq!(again, experiment, "{name}");
    }
}

#[test]
fn every_header_tells_command_hardware_time_and_expected_result() {
    let mut wrong = Vec::new();
    for (name, path) in files() {
        let lines = header(&path);
        if lines.first().is_none_or(String::is_empty) {
            wrong.push(format!("{name}: the first line does not say what it is"));
        }
        for label in LABELS {
            let told = lines.iter().find_map(|line| line.strip_prefix(label));
            if told.is_none_or(|text| text.trim().is_empty()) {
                wrong.push(format!("{name}: the header lacks `{label}`"));
            }
        }
        let own = |stage: &str| format!("mimir-train {stage} train/configs/{name}");
        let experiment = read(&name);
        let stages = [("pretrain", experiment.pretrain.is_some()), ("finetune", true), ("evaluate", true)];
        for (stage, _) in stages.into_iter().filter(|(_, given)| *given) {
            if !lines.iter().any(|line| line.contains(&own(stage))) {
                wrong.push(format!("{name}: the header lacks the command `{}`", own(stage)));
            }
        }
    }
    expect_none(&wrong);
}

#[test]
fn file_names_are_unique_because_runs_are_named_after_them() {
    let mut seen = BTreeSet::new();
    for (name, path) in files() {
        assert_eq!(path.extension().unwrap(), "toml", "{name}");
        assert!(seen.insert(path.file_stem().unwrap().to_owned()), "{name}: its runs would share a folder");
    }
}

#[test]
fn the_readme_names_every_file_and_no_other() {
    let text = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let named: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(named, files().into_keys().collect::<BTreeSet<_>>());
}

/// Weights of another experiment come from the folder that its `pretrain` fills, of the same network on the same images.
#[test]
fn weights_of_another_experiment_fit_this_one() {
    let mut checked = 0;
    for name in files().keys() {
        let experiment = read(name);
        let Some(weights) = experiment.finetune.as_ref().and_then(|stage| stage.weights.clone()) else {
            continue;
        };
        let Ok(inside) = weights.strip_prefix("runs") else { continue };
        let (other, rest) = inside.to_str().unwrap().split_once('/').unwrap();
        assert_eq!(rest, "seed-{seed}/pretrain/last.safetensors", "{name}");
        let maker = read(&format!("paper/{other}.toml"));
        assert!(maker.pretrain.is_some(), "{name}: {other} does not pre-train");
        assert_eq!((&maker.model, &maker.data), (&experiment.model, &experiment.data), "{name}");
        let command = format!("mimir-train pretrain train/configs/paper/{other}.toml");
        assert!(
            header(&folder().join(name)).iter().any(|line| line.contains(&command)),
            "{name} lacks `{command}`"
        );
        checked += 1;
    }
    assert!(checked > 0);
}

/// An ablation is informative only if nothing else differs.
#[test]
fn ablations_differ_from_their_base_in_one_thing() {
    let without_method = |experiment: &Experiment| {
        let mut experiment = experiment.clone();
        let pretrain = experiment.pretrain.as_mut().unwrap();
        (pretrain.method, pretrain.adversary, pretrain.penalty) = (Method::Mae, None, None);
        experiment
    };
    let without_start = |experiment: &Experiment| {
        let mut experiment = experiment.clone();
        let finetune = experiment.finetune.as_mut().unwrap();
        (finetune.initial_weights, finetune.weights) = (InitialWeights::Scratch, None);
        (experiment.pretrain, experiment.finetune)
    };
    let quick = without_method(&read("quick/cifar10.toml"));
    for other in ["quick/mae.toml", "quick/adv-mae.toml"] {
        assert_eq!(without_method(&read(other)), quick, "{other} and quick/cifar10.toml");
    }
    let (pretrain, table) =
        (without_method(&read("paper/cifar10-vit-tiny.toml")).pretrain, read("paper/table11-blr-5e-4.toml"));
    for name in
        files().keys().filter(|name| name.starts_with("paper/table04") || name.starts_with("paper/table05"))
    {
        let other = without_method(&read(name));
        assert_eq!(other.pretrain, pretrain, "{name} and paper/cifar10-vit-tiny.toml");
        assert_eq!(
            without_start(&other).1,
            without_start(&table).1,
            "{name} and paper/table11-blr-5e-4.toml"
        );
    }
}
