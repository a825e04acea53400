//! Evaluations on disk: `METHOD/seed-SEED/STAGE/evaluation.json`, and what `mimir-certify` reported beside it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::{EvaluateConfig, PaperResult};

/// The most bytes of a file of results.
const MOST_BYTES: u64 = 1 << 28;

/// Result of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// Name of the method: the folder above the seeds, and the stage where it is not the usual one.
    pub method: String,
    /// Its seed.
    pub seed: u64,
    /// Share of the images that are classified correctly as they are, 0 to 1.
    pub clean: f64,
    /// The same under each attack, by the name of the attack.
    pub attacked: BTreeMap<String, f64>,
    /// What the paper reached with this experiment.
    pub paper: Vec<PaperResult>,
}

/// Why results cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that is not one of ours.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing to report.
    #[error(
        "{}: no evaluation below it; wanted folders such as NAME/seed-0/finetune with evaluation.json, which `mimir-train \
         evaluate` writes",
        path.display()
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// `evaluation.json`, as far as it is needed here.
#[derive(Deserialize)]
struct Evaluation {
    seed: u64,
    attack: EvaluateConfig,
    clean_accuracy: f64,
    attacked_accuracy: Option<f64>,
}

/// `report.json` of `mimir-certify`, likewise. One of a run that failed has no `ending`.
#[derive(Deserialize)]
struct Certified {
    ending: Option<String>,
    #[serde(flatten)]
    result: Option<CertifiedResult>,
}

#[derive(Deserialize)]
struct CertifiedResult {
    threat_model: ThreatModel,
    attacks: Vec<Attack>,
    attacked_accuracy: Option<f64>,
    standard_accuracy: Option<f64>,
}

#[derive(Deserialize)]
struct ThreatModel {
    epsilon: f64,
}

#[derive(Deserialize)]
struct Attack {
    name: String,
}

/// `config.toml`, likewise.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    paper: Vec<PaperResult>,
}

/// The attacks of the standard evaluation.
const STANDARD: [&str; 4] = ["apgd-ce", "apgd-t", "fab-t", "square"];

/// The evaluated runs below a folder: of one method (`seed-…` inside), or of several (a folder each). In the order of methods
/// and seeds.
///
/// # Errors
/// A folder or file that cannot be read; a folder without any evaluation.
pub fn find(folder: &Path) -> Result<Vec<RunResult>, ReportError> {
    let mut methods = vec![folder.to_owned()];
    methods.extend(folders(folder)?);
    let mut found = Vec::new();
    for method in methods {
        for seed in folders(&method)?.iter().filter(|path| is_seed(path)) {
            found.extend(of_seed(&method, seed)?);
        }
    }
    if found.is_empty() {
        return Err(ReportError::Empty { path: folder.to_owned() });
    }
    found.sort_by(|a, b| (&a.method, a.seed).cmp(&(&b.method, b.seed)));
    Ok(found)
}

fn is_seed(path: &Path) -> bool {
    name(path).strip_prefix("seed-").is_some_and(|seed| seed.parse::<u64>().is_ok())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, ReportError> {
    let failed = |source| ReportError::Io { path: path.to_owned(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if entry.is_dir() {
            folders.push(entry);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The evaluated stages of a run. Two of them, as a comparison with random weights has, are two methods.
fn of_seed(method: &Path, seed: &Path) -> Result<Vec<RunResult>, ReportError> {
    let stages: Vec<PathBuf> =
        folders(seed)?.into_iter().filter(|stage| stage.join("evaluation.json").is_file()).collect();
    let result = |stage: &PathBuf| {
        let method = match &stages[..] {
            [_] => name(method),
            _ => format!("{}, {}", name(method), name(stage)),
        };
        of_stage(method, stage)
    };
    stages.iter().map(result).collect()
}

fn of_stage(method: String, stage: &Path) -> Result<RunResult, ReportError> {
    let evaluation: Evaluation = json(&stage.join("evaluation.json"))?;
    let mut attacked = BTreeMap::new();
    if let Some(accuracy) = evaluation.attacked_accuracy {
        let EvaluateConfig { steps, epsilon, .. } = evaluation.attack;
        attacked.insert(format!("PGD-{steps} at {epsilon}"), accuracy);
    }
    let report = stage.join("certified/report.json");
    if report.is_file() {
        let Certified { ending, result } = json(&report)?;
        let complete = result.filter(|_| ending.as_deref() == Some("complete"));
        let accuracy = complete.as_ref().and_then(|it| it.standard_accuracy.or(it.attacked_accuracy));
        if let Some((result, accuracy)) = complete.zip(accuracy) {
            attacked.insert(result.name(), accuracy);
        }
    }
    let config: Config = match mimir_files::read_text(&stage.join("config.toml"), 1 << 20) {
        Ok(text) => toml::from_str(&text).unwrap_or_default(),
        Err(_) => Config::default(),
    };
    let (seed, clean) = (evaluation.seed, evaluation.clean_accuracy);
    Ok(RunResult { method, seed, clean, attacked, paper: config.paper })
}

impl CertifiedResult {
    /// What the attacks are called together, and their radius.
    fn name(&self) -> String {
        let names: Vec<&str> = self.attacks.iter().map(|attack| attack.name.as_str()).collect();
        let all = STANDARD.iter().all(|name| names.contains(name));
        let name = if all { "AutoAttack".to_owned() } else { names.join(", ") };
        format!("{name} at {}", crate::config::PixelDistance(self.threat_model.epsilon))
    }
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let bytes = mimir_files::read(path, MOST_BYTES)
        .map_err(|source| ReportError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ReportError::Content { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn evaluation(seed: u64, clean: f64) -> String {
        format!(
            r#"{{"weights": "best.safetensors", "seed": {seed}, "attack": {{"epsilon": "2/255", "steps": 10}},
                "images": 40, "clean_accuracy": {clean}, "attacked_accuracy": 0.25, "outcomes": []}}"#
        )
    }

    const REPORT: &str = r#"{"threat_model": {"norm": "linf", "epsilon": 0.00784313725490196}, "clean_accuracy": 0.5,
        "attacks": [{"name": "apgd-ce"}, {"name": "apgd-t"}, {"name": "fab-t"}, {"name": "square"}],
        "attacked_accuracy": 0.2, "standard_accuracy": null, "ending": "complete"}"#;

    #[test]
    fn runs_are_found_by_method_and_seed_with_what_was_certified() {
        let root = tempfile::tempdir().unwrap();
        for (method, seed) in [("MAE", 1), ("MAE", 0), ("MIMIR", 0)] {
            let stage = root.path().join(method).join(format!("seed-{seed}/finetune"));
            write(&stage.join("evaluation.json"), &evaluation(seed, 0.5));
        }
        let stage = root.path().join("MIMIR/seed-0/finetune");
        write(&stage.join("certified/report.json"), REPORT);
        write(&stage.join("config.toml"), "seed = 0\n[[paper]]\nsource = \"table 5\"\nnatural = 76.3\n");
        let found = find(root.path()).unwrap();
        let order: Vec<_> = found.iter().map(|run| (run.method.as_str(), run.seed)).collect();
        assert_eq!(order, [("MAE", 0), ("MAE", 1), ("MIMIR", 0)]);
        let attacked = |run: &RunResult| run.attacked.clone().into_iter().collect::<Vec<_>>();
        assert_eq!(attacked(&found[0]), [("PGD-10 at 2/255".to_owned(), 0.25)]);
        assert_eq!(attacked(&found[2])[0], ("AutoAttack at 2/255".to_owned(), 0.2));
        assert_eq!(found[2].paper[0].natural, Some(76.3));
        // One that failed, or was cut short, is not taken for a result.
        for unfinished in [
            r#"{"schema_version": 6, "error": {"kind": "data"}}"#,
            &REPORT.replace("complete", "interrupted"),
        ] {
            write(&stage.join("certified/report.json"), unfinished);
            assert_eq!(attacked(&find(root.path()).unwrap()[2]).len(), 1, "{unfinished}");
        }
        // The folder of one method too.
        assert_eq!(find(&root.path().join("MAE")).unwrap().len(), 2);
    }

    #[test]
    fn two_stages_of_one_run_are_two_methods() {
        let root = tempfile::tempdir().unwrap();
        for stage in ["finetune", "finetune-scratch"] {
            write(&root.path().join("quick/seed-0").join(stage).join("evaluation.json"), &evaluation(0, 0.5));
        }
        let found = find(root.path()).unwrap();
        let names: Vec<_> = found.iter().map(|run| run.method.as_str()).collect();
        assert_eq!(names, ["quick, finetune", "quick, finetune-scratch"]);
    }

    #[test]
    fn nothing_and_nonsense_are_named() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(find(root.path()), Err(ReportError::Empty { .. })));
        let path = root.path().join("a/seed-0/finetune/evaluation.json");
        write(&path, "{}");
        let error = find(root.path()).unwrap_err().to_string();
        assert!(error.contains("a/seed-0/finetune/evaluation.json: missing field `seed`"), "{error}");
    }
}
