//! A grid of experiments: methods by seeds, for `mimir-train experiment`.
//!
//! ```toml
//! seeds = [0, 1, 2]
//!
//! [[method]]
//! name = "random weights"               # what the table calls it, and the folder of its runs
//! file = "cifar10.toml"                 # an experiment, relative to the grid
//! initial_weights = "scratch"
//!
//! [[method]]
//! name = "MAE"
//! file = "cifar10-ablations.toml"
//! variant = "mae"
//!
//! [certify]                             # export each network, and attack the exported file
//! sample = 1000
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::{ConfigError, Experiment, InitialWeights, PixelDistance};

/// The most bytes of a grid's file.
const MOST_BYTES: u64 = 1 << 20;

/// A grid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Seeds of every method.
    pub seeds: Vec<u64>,
    /// What is compared.
    #[serde(rename = "method")]
    pub methods: Vec<GridMethod>,
    /// How the exported networks are attacked; they are not exported where it is absent.
    pub certify: Option<GridCertify>,
}

/// One method: an experiment, and where its weights come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridMethod {
    /// In the table and the plot; the name of a folder too.
    pub name: String,
    /// The experiment, relative to the grid.
    pub file: PathBuf,
    /// One of its variants.
    pub variant: Option<String>,
    /// Takes precedence over `finetune.initial_weights`; with `scratch` nothing is pre-trained.
    pub initial_weights: Option<InitialWeights>,
}

/// Arguments of `mimir-certify`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GridCertify {
    /// Images drawn; all by default.
    pub sample: Option<usize>,
    /// Preset or list of attacks; the standard evaluation by default.
    pub attacks: Option<String>,
    /// Radius of the L∞ ball; that of `[evaluate]` by default.
    pub epsilon: Option<PixelDistance>,
}

impl Grid {
    /// Reads and checks a grid.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key, what was found and what was wanted.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = mimir_files::read_text(path, MOST_BYTES)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        let mut grid: Self = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })?;
        grid.check().map_err(|error| error.in_file(path))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for method in &mut grid.methods {
            method.file = folder.join(&method.file);
        }
        Ok(grid)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, found: String, wanted: &str| {
            Err(ConfigError::Range { key: key.into(), found, wanted: wanted.into() })
        };
        let seeds: BTreeSet<u64> = self.seeds.iter().copied().collect();
        if seeds.is_empty() || seeds.len() < self.seeds.len() {
            return wrong("seeds", format!("{:?}", self.seeds), "one or more, none of them twice");
        }
        if self.methods.is_empty() {
            return wrong("method", "absent".into(), "one table [[method]] or more");
        }
        let mut names = BTreeSet::new();
        for GridMethod { name, .. } in &self.methods {
            let allowed = |c: char| c.is_alphanumeric() || " -_.+,()".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
                let wanted =
                    "letters, digits, spaces and -_.+,() without a dot in front: it names a folder too";
                return wrong("method.name", format!("{name:?}"), wanted);
            }
            if !names.insert(name) {
                return wrong("method.name", format!("{name:?} twice"), "names of their own");
            }
        }
        match &self.certify {
            Some(GridCertify { sample: Some(0), .. }) => wrong("certify.sample", "0".into(), "at least 1"),
            _ => Ok(()),
        }
    }
}

impl GridMethod {
    /// The experiment with what the method changes, and that seed.
    ///
    /// # Errors
    /// As [`Experiment::read`]; no `[finetune]`.
    pub fn experiment(&self, seed: u64) -> Result<Experiment, ConfigError> {
        let mut experiment = Experiment::read(&self.file, self.variant.as_deref())?;
        experiment.seed = seed;
        let Some(finetune) = experiment.finetune.take() else {
            return Err(ConfigError::NoStage { path: self.file.clone(), stage: "finetune" });
        };
        let initial = self.initial_weights.unwrap_or(finetune.initial_weights);
        experiment.finetune = Some(finetune.starting_from(initial));
        if initial == InitialWeights::Pretrained && experiment.pretrain.is_none() {
            return Err(ConfigError::NoStage { path: self.file.clone(), stage: "pretrain" });
        }
        experiment.check()?;
        Ok(experiment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Grid, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.toml");
        std::fs::write(&path, text).unwrap();
        Grid::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn methods_are_files_beside_the_grid() {
        let grid = read(
            "seeds = [3]\n[[method]]\nname = \"MAE\"\nfile = \"a.toml\"\n[certify]\nepsilon = \"2/255\"\n",
        );
        let grid = grid.unwrap();
        assert!(grid.methods[0].file.is_absolute() && grid.methods[0].file.ends_with("a.toml"));
        assert_eq!(grid.certify.unwrap().epsilon, Some(PixelDistance::from_255ths(2.0)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let method = "[[method]]\nname = \"MAE\"\nfile = \"a.toml\"\n";
        for (text, wanted) in [
            (format!("seeds = []\n{method}"), "seeds is []"),
            (format!("seeds = [1, 1]\n{method}"), "none of them twice"),
            ("seeds = [1]\nmethod = []\n".to_owned(), "[[method]] or more"),
            (format!("seeds = [1]\n{method}{method}"), "\"MAE\" twice"),
            (format!("seeds = [1]\n{}", method.replace("MAE", "../MAE")), "method.name is \"../MAE\""),
            (format!("seeds = [1]\n{method}[certify]\nsample = 0\n"), "certify.sample is 0"),
            (format!("seeds = [1]\n{method}variants = 3\n"), "unknown field `variants`"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(wanted) && error.contains("grid.toml"), "{text}: {error}");
        }
    }
}
