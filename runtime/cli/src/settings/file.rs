//! The settings file: found, parsed, its paths made relative to it, and put beneath the flags.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Command};

use super::spelling::{did_you_mean, listed};
use super::{GateTable, Settings};

/// Name of the file that is looked for beside the model.
const BESIDE_THE_MODEL: &str = "mimir-certify.toml";

/// The settings of a run: the flags, then the file, then the defaults.
pub(crate) fn load_settings(model: &Path, config: Option<&Path>, flags: Settings) -> Result<Settings> {
    let file = match config {
        Some(path) => read(path)?,
        None => match beside(model) {
            Some(path) => read(&path)?,
            None => Settings::default(),
        },
    };
    Ok(flags.or(file).or_preset().or(Settings::defaults()))
}

fn beside(model: &Path) -> Option<PathBuf> {
    let path = model.with_file_name(BESIDE_THE_MODEL);
    path.is_file().then_some(path)
}

fn read(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("settings file {}", path.display()))?;
    let settings = parse(&text).with_context(|| format!("settings file {}", path.display()))?;
    relative_to(settings, path.parent().unwrap_or(Path::new("")))
}

fn parse(text: &str) -> Result<Settings> {
    let table: toml::Table = toml::from_str(text)?;
    let known = keys();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
        bail!("unknown key `{key}`{}; known: {}", did_you_mean(key, &known), listed(&known));
    }
    // Parsed again from the text: errors then show the line.
    Ok(toml::from_str(text)?)
}

/// The key that is no flag.
const GATES: &str = "gate";

/// The flags' names, which are the keys.
fn keys() -> Vec<String> {
    let flags = Settings::augment_args(Command::new("settings"));
    let flags = flags.get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned));
    flags.chain([GATES.to_owned()]).collect()
}

/// A path in the file is relative to the file, wherever the program was started.
fn relative_to(settings: Settings, folder: &Path) -> Result<Settings> {
    let data = match settings.data {
        Some(text) => Some(text.parse::<mimir_data::DataSource>()?.relative_to(folder).to_string()),
        None => None,
    };
    let gate = |gate: GateTable| GateTable { baseline: gate.baseline.map(|path| folder.join(path)), ..gate };
    Ok(Settings {
        gate: settings.gate.map(|gates| gates.into_iter().map(gate).collect()),
        data,
        report: settings.report.map(|path| folder.join(path)),
        baseline: settings.baseline.map(|path| folder.join(path)),
        class_map: settings.class_map.map(|path| folder.join(path)),
        onnxruntime: settings.onnxruntime.map(|path| folder.join(path)),
        ..settings
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{AttackName, Fraction, NormName, PictureSize};

    fn run_with(file: &str, flags: Settings) -> Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(BESIDE_THE_MODEL), file).unwrap();
        let settings = load_settings(&folder.path().join("model.onnx"), None, flags);
        // The folder's name is random.
        let shown = folder.path().display().to_string();
        settings.map(|settings| Settings {
            data: settings.data.map(|data| data.replace(&shown, "BESIDE")),
            report: settings.report.map(|path| path.display().to_string().replace(&shown, "BESIDE").into()),
            ..settings
        })
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let flags = Settings { epsilon: Some("4/255".parse().unwrap()), ..Settings::default() };
        let settings = run_with("epsilon = \"2/255\"\nnorm = \"l2\"\nfirst = 10\n", flags).unwrap();
        assert_eq!(settings.epsilon, Some("4/255".parse().unwrap()));
        assert_eq!(settings.norm, Some(NormName::L2));
        assert_eq!((settings.first, settings.seed), (Some(10), Some(0)));
        assert_eq!(settings.attacks, Some(vec![AttackName::default_choice()]));
    }

    #[test]
    fn a_preset_is_beneath_flags_and_file() {
        let flags = Settings { crop: Some(PictureSize::Side(288)), ..Settings::default() };
        let settings = run_with("preset = \"imagenet\"\nmean = [0.5]\nstd = [0.5]\n", flags).unwrap();
        assert_eq!(
            (settings.resize, settings.crop),
            (Some(PictureSize::Side(256)), Some(PictureSize::Side(288)))
        );
        let half = || Some(vec![Fraction::decimal(0.5)]);
        assert_eq!((settings.mean, settings.std), (half(), half()));
        let settings = run_with("preset = \"imagenet\"", Settings::default()).unwrap();
        assert_eq!(settings.mean, Some([0.485, 0.456, 0.406].map(Fraction::decimal).into()));
        assert_eq!(run_with("", Settings::default()).unwrap().resize, None);
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let settings =
            run_with("data = \"npz:images.npz\"\nreport = \"out\"\n", Settings::default()).unwrap();
        assert_eq!(settings.data.as_deref(), Some("npz:BESIDE/images.npz"));
        assert_eq!(settings.report, Some("BESIDE/out".into()));
        let absolute = run_with("report = \"/out\"\n", Settings::default()).unwrap();
        assert_eq!(absolute.report, Some("/out".into()));
        let flag = Settings { report: Some("out".into()), ..Settings::default() };
        assert_eq!(run_with("", flag).unwrap().report, Some("out".into()));
    }

    #[test]
    fn every_setting_can_stand_in_the_file() {
        let file = r#"
            data = "cifar10:/data"
            split = "train"
            first = 5
            sample = 6
            class-map = "/classes.json"
            preset = "imagenet"
            resize = 256
            crop = "224x192"
            interpolation = "bicubic"
            mean = [0.4914, 0.4822, 0.4465]
            std = ["1/255"]
            channels = "bgr"
            layout = "nhwc"
            input-shape = [3, 32, 32]
            output = "logits"
            norm = "linf"
            epsilon = 0.03
            pixels = "8bit"
            attacks = ["apgd-ce"]
            steps = 20
            restarts = 2
            targets = 3
            queries = 100
            eot = 4
            step-size = 0.5
            pgd-point = "last"
            samples = 9
            seed = 7
            report = "/out"
            save-adversarial = true
            curve = true
            resume = true
            min-attacked-accuracy = 0.4
            gate-on = "lower"
            min-clean-accuracy = 0.9
            deny-warnings = true
            min-preset = "standard"
            baseline = "old/report.json"
            baseline-tolerance = 0.01
            full = true
            time-limit = "1h 30m"
            quiet = true
            workers = 2
            threads = 1
            batch = 16
            engine = "ort"
            device = "cuda:1"
            cross-check = true
            precision = "mixed"
            onnxruntime = "/lib/libonnxruntime.so"
            [[gate]]
            norm = "l2"
            epsilon = "0.5"
            min-attacked-accuracy = 0.3
        "#;
        let settings = run_with(file, Settings::default()).unwrap();
        let written = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&written).unwrap(), settings);
        let written_keys = toml::from_str::<toml::Table>(&written).unwrap();
        assert_eq!(written_keys.len(), keys().len(), "{written}");
    }

    #[test]
    fn mistakes_name_the_key_the_file_and_the_way_out() {
        let cases = [
            ("epsilom = 1", "unknown key `epsilom`, did you mean `epsilon`?"),
            ("min_attacked_accuracy = 1", "did you mean `min-attacked-accuracy`?"),
            ("[attack]\nsteps = 1", "did you mean `attacks`?"),
            ("attacks = [\"agpd-ce\"]", "no attack \"agpd-ce\"; did you mean \"apgd-ce\"?"),
            ("norm = \"l3\"", "unknown variant `l3`, expected one of `linf`, `l2`, `l1`"),
            ("epsilon = \"two\"", "radius `two`"),
            ("first = -1", "first = -1"),
            ("engine = \"tract\"", "unknown variant `tract`, expected `ort` or `rten`"),
            ("device = \"gpu\"", "device `gpu`: wanted cpu, cuda:N or tensorrt:N"),
            ("data = \"cifar:x\"", "`cifar:x`"),
            ("epsilon = ", "epsilon = "),
        ];
        for (file, expected) in cases {
            let error = format!("{:#}", run_with(file, Settings::default()).unwrap_err());
            assert!(error.contains(expected), "{file}: {error}");
        }
        let error = format!("{:#}", run_with("epsilom = 1", Settings::default()).unwrap_err());
        assert!(error.contains("mimir-certify.toml"), "{error}");
    }
}
