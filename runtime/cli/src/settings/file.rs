//! The settings files: found, parsed, their paths made relative to them, and put beneath the flags.
//!
//! A file that was named with `--config` is the only one. Else the file in the working folder counts, and below it the one
//! beside the model. A model may come from anyone, and with it the file beside it: that one may only describe the model
//! ([`DESCRIBES_THE_MODEL`]). What else it says has no effect, and is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Command};
use mimir_bundle::certificate::{RunSettings, SettingsFile, SettingsPlace};
use mimir_bundle::digest::digest_bytes;
use mimir_certify::ModelInput;

use super::description::{Said, described};
use super::spelling::{did_you_mean, listed};
use super::{GateTable, Settings};

/// Name of the file that is looked for in the working folder and beside the model.
const NAME: &str = "mimir-certify.toml";

/// The most bytes of a settings file.
const MOST_BYTES: u64 = 1 << 20;

/// What a file beside the model may say: how images become the input of the model, and what its output is. None of these
/// names a file, chooses an attack, a gate or a threat model, or says what runs.
const DESCRIBES_THE_MODEL: &[&str] =
    &["mean", "std", "layout", "channels", "resize", "crop", "interpolation", "input-shape", "output"];

/// What loads code. A folder that came with a model may be the working folder too: then it takes a flag or `--config`.
const LOADS_CODE: &[&str] = &["onnxruntime"];

/// The settings of a run, and the files that they came from.
#[derive(Debug)]
pub(crate) struct LoadedSettings {
    pub(crate) settings: Settings,
    pub(crate) record: RunSettings,
}

/// The settings of a run: the flags, then the files, then the defaults.
///
/// What the bundle of a model says of it is not beneath them: it holds.
///
/// # Errors
/// When a file cannot be read, has an unknown key, or a setting contradicts the bundle.
pub(crate) fn load_settings(
    model: &ModelInput,
    config: Option<&Path>,
    flags: Settings,
) -> Result<LoadedSettings> {
    let mut settings = flags;
    let mut files = Vec::new();
    for found in settings_files(model, config, Path::new("")) {
        let (layer, mut file) = read(&found)?;
        let decided = values(&settings)?;
        file.keys.retain(|key| !decided.contains_key(key));
        settings = settings.or(layer);
        if !(file.keys.is_empty() && file.ignored.is_empty()) {
            files.push(file);
        }
    }
    let mut settings = settings.or_preset();
    if let Some(manifest) = model.manifest() {
        let place = model.manifest_path().display().to_string();
        settings = described(settings, manifest, &place, &Said { files: &files })?;
    }
    let settings = settings.or(Settings::defaults());
    let effective = effective(&settings)?;
    Ok(LoadedSettings { settings, record: RunSettings { files, effective } })
}

/// Every setting that holds, by the name of its flag, for the record of a run.
pub(crate) fn effective(settings: &Settings) -> Result<BTreeMap<String, serde_json::Value>> {
    Ok(values(settings)?.into_iter().collect())
}

/// The names of the flags that somebody gave.
pub(crate) fn given_settings(settings: &Settings) -> Result<Vec<String>> {
    Ok(values(settings)?.into_iter().map(|(name, _)| name).collect())
}

/// The settings that somebody gave, by the names of their flags.
fn values(settings: &Settings) -> Result<serde_json::Map<String, serde_json::Value>> {
    let Settings { class_map, surrogate, report, baseline, onnxruntime, .. } = settings;
    let paths = [
        ("class-map", class_map),
        ("surrogate", surrogate),
        ("report", report),
        ("baseline", baseline),
        ("onnxruntime", onnxruntime),
    ];
    let is_no_text = |path: &&PathBuf| path.to_str().is_none();
    if let Some((flag, path)) =
        paths.into_iter().find_map(|(flag, path)| Some((flag, path.as_ref().filter(is_no_text)?)))
    {
        bail!(
            "--{flag}: {path:?} is not UTF-8, and every setting is recorded as text: give it another name, or a link with one"
        );
    }
    match serde_json::to_value(settings)? {
        serde_json::Value::Object(values) => {
            Ok(values.into_iter().filter(|(_, value)| !value.is_null()).collect())
        }
        other => bail!("settings are written as {other}"),
    }
}

/// A settings file that is there, and what it may decide.
struct FoundFile {
    path: PathBuf,
    place: SettingsPlace,
    /// Whether it is in the working folder, and the model too.
    is_also_beside: bool,
}

impl FoundFile {
    fn may_decide(&self, key: &str) -> bool {
        match self.place {
            SettingsPlace::Named => true,
            SettingsPlace::WorkingFolder => !(self.is_also_beside && LOADS_CODE.contains(&key)),
            SettingsPlace::BesideModel => DESCRIBES_THE_MODEL.contains(&key),
        }
    }
}

/// The files that count, best first. `here` is the working folder.
fn settings_files(input: &ModelInput, config: Option<&Path>, here: &Path) -> Vec<FoundFile> {
    if let Some(path) = config {
        let (path, place) = (path.to_owned(), SettingsPlace::Named);
        return vec![FoundFile { path, place, is_also_beside: false }];
    }
    let (working, beside) = (here.join(NAME), input.path().with_file_name(NAME));
    let mut files = Vec::new();
    let is_same = same_file(&working, &beside);
    if working.is_file() {
        let place = SettingsPlace::WorkingFolder;
        files.push(FoundFile { path: working, place, is_also_beside: is_same });
    }
    // A bundle describes its model itself.
    if beside.is_file() && !is_same && input.bundle().is_none() {
        files.push(FoundFile { path: beside, place: SettingsPlace::BesideModel, is_also_beside: false });
    }
    files
}

/// Whether two paths lead to one file, through links too.
fn same_file(left: &Path, right: &Path) -> bool {
    matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

fn read(found: &FoundFile) -> Result<(Settings, SettingsFile)> {
    let path = &found.path;
    let context = || format!("settings file {}", path.display());
    let text = text_of(path).with_context(context)?;
    let (settings, keys, ignored) = parse(&text, found).with_context(context)?;
    let file = SettingsFile {
        path: path.display().to_string(),
        sha256: digest_bytes(text.as_bytes()),
        place: found.place,
        keys,
        ignored,
    };
    let settings = relative_to(settings, path.parent().unwrap_or(Path::new("")))?;
    Ok((settings, file))
}

/// The text of a settings file. `/dev/null` is the customary way to say that there is none.
fn text_of(path: &Path) -> std::io::Result<String> {
    match path == Path::new("/dev/null") {
        true => Ok(String::new()),
        false => mimir_files::read_text(path, MOST_BYTES),
    }
}

/// Checks the keys and values of a settings file as `--config` reads it, without what they are put together with.
///
/// # Errors
/// Names the key, or the line.
pub fn check_settings(text: &str) -> Result<()> {
    let named = FoundFile { path: PathBuf::new(), place: SettingsPlace::Named, is_also_beside: false };
    let (settings, ..) = parse(text, &named)?;
    relative_to(settings.or_preset().or(Settings::defaults()), Path::new("folder")).map(drop)
}

/// The settings that the file may decide, their names, and the names of the others.
fn parse(text: &str, found: &FoundFile) -> Result<(Settings, Vec<String>, Vec<String>)> {
    let mut table: toml::Table = toml::from_str(text)?;
    let known = keys();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
        bail!("unknown key `{key}`{}; known: {}", did_you_mean(key, &known), listed(&known));
    }
    let given: Vec<String> = table.keys().cloned().collect();
    let (keys, ignored): (Vec<_>, Vec<_>) = given.into_iter().partition(|key| found.may_decide(key));
    if ignored.is_empty() {
        // Parsed again from the text: errors then show the line.
        return Ok((toml::from_str(text)?, keys, ignored));
    }
    ignored.iter().for_each(|key| drop(table.remove(key)));
    Ok((table.try_into()?, keys, ignored))
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
        let config = folder.path().join(NAME);
        std::fs::write(&config, file).unwrap();
        let settings = load_settings(&"model.onnx".into(), Some(&config), flags);
        let settings = settings.map(|loaded| loaded.settings);
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

    /// A file that names everything, beside the model and in the folder that the program stands in.
    #[test]
    fn a_file_beside_the_model_only_describes_it() {
        let folder = tempfile::tempdir().unwrap();
        let (here, hub) = (folder.path().join("here"), folder.path().join("hub"));
        let text =
            "mean = [0.5]\nstd = [0.25]\nonnxruntime = \"evil.so\"\nattacks = [\"noise\"]\nfirst = 8\n";
        for folder in [&here, &hub] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join(NAME), text).unwrap();
        }
        std::os::unix::fs::symlink(&hub, here.join("link")).unwrap();
        let decided = |model: &Path, here: &Path| -> Vec<(SettingsPlace, Vec<String>)> {
            let files = settings_files(&model.into(), None, here);
            files.iter().map(|file| (file.place, read(file).unwrap().1.keys)).collect()
        };
        let describing = || vec!["mean".to_owned(), "std".to_owned()];
        let all = ["attacks", "first", "mean", "onnxruntime", "std"].map(str::to_owned).to_vec();
        let both = [(SettingsPlace::WorkingFolder, all.clone()), (SettingsPlace::BesideModel, describing())];
        assert_eq!(decided(&hub.join("model.onnx"), &here), both);
        assert_eq!(decided(&here.join("link/model.onnx"), &here), both);
        // One folder, by whatever name: the file counts, but it loads no code.
        let but_code: Vec<_> = all.into_iter().filter(|key| key != "onnxruntime").collect();
        for here in [hub.clone(), here.join("link")] {
            assert_eq!(
                decided(&hub.join("model.onnx"), &here),
                [(SettingsPlace::WorkingFolder, but_code.clone())]
            );
        }
        let alone = folder.path().join("nowhere");
        assert_eq!(decided(&hub.join("model.onnx"), &alone), [(SettingsPlace::BesideModel, describing())]);
        let (settings, file) =
            read(&settings_files(&hub.join("model.onnx").into(), None, &alone)[0]).unwrap();
        assert_eq!((settings.attacks, settings.first, settings.onnxruntime), (None, None, None));
        assert!(settings.mean.is_some_and(|mean| mean.len() == 1));
        assert_eq!(file.ignored, ["attacks", "first", "onnxruntime"]);
        assert_eq!(file.sha256, digest_bytes(text.as_bytes()));
    }

    /// What is not in the list is not trusted: a new flag decides nothing from beside a model until somebody lists it.
    #[test]
    fn nothing_in_the_list_chooses_attacks_gates_paths_or_engines() {
        let decides = [
            "data",
            "split",
            "first",
            "norm",
            "epsilon",
            "attacks",
            "surrogate",
            "surrogate-mean",
            "surrogate-std",
            "steps",
            "restarts",
            "targets",
            "queries",
            "subset",
            "eot",
            "step-size",
            "pgd-momentum",
            "pgd-point",
            "samples",
            "feature",
            "accept-approximate",
            "seed",
            "report",
            "save-adversarial",
            "curve",
            "diagnose",
            "keep-bundle",
            "replace-certificate",
            "resume",
            "min-attacked-accuracy",
            "full",
            "quiet",
            "engine",
            "device",
            "cross-check",
            "workers",
            "threads",
            "batch",
            "precision",
            "onnxruntime",
        ];
        for key in decides {
            assert!(keys().iter().any(|known| known == key), "{key}");
            assert!(!DESCRIBES_THE_MODEL.contains(&key), "{key}");
        }
    }

    /// A report could not say what was set.
    #[test]
    #[cfg(unix)]
    fn a_path_that_is_no_text_is_named_with_its_flag() {
        use std::os::unix::ffi::OsStrExt as _;
        let map = PathBuf::from(std::ffi::OsStr::from_bytes(b"m\xff.json"));
        let error = effective(&Settings { class_map: Some(map), ..Settings::default() }).unwrap_err();
        assert!(error.to_string().starts_with("--class-map: \"m\\xFF.json\" is not UTF-8"), "{error}");
    }

    #[test]
    fn the_record_names_what_each_file_decided() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("run.toml");
        std::fs::write(&config, "epsilon = \"2/255\"\nfirst = 10\nseed = 3\n").unwrap();
        let flags = Settings { first: Some(5), ..Settings::default() };
        let record = load_settings(&"model.onnx".into(), Some(&config), flags).unwrap().record;
        assert_eq!((record.files.len(), record.files[0].place), (1, SettingsPlace::Named));
        assert_eq!(record.files[0].keys, ["epsilon", "seed"]);
        let value = |key: &str| record.effective.get(key).map(ToString::to_string);
        assert_eq!(
            [value("first"), value("seed"), value("norm")],
            [Some("5".into()), Some("3".into()), Some("\"linf\"".into())]
        );
        assert_eq!(value("mean"), None);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
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
            surrogate = "other.onnx"
            surrogate-mean = [0.5]
            surrogate-std = [0.25]
            steps = 20
            restarts = 2
            targets = 3
            queries = 100
            subset = 0.5
            eot = 4
            step-size = 0.5
            pgd-momentum = 1.0
            pgd-point = "last"
            samples = 9
            feature = "/blocks.1/Add"
            accept-approximate = true
            seed = 7
            report = "/out"
            save-adversarial = true
            curve = true
            diagnose = true
            landscape = 2
            keep-bundle = true
            replace-certificate = true
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
