//! `[data]`: training images, held-out images and generated images.

use mimir_data::DataSource;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// Where the images come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Dataset and path, for example `cifar10:data/cifar-10-batches-bin`; `mimir-train --data` takes precedence.
    pub source: String,
    /// Number of classes.
    pub classes: i64,
    /// Dataset and path of the test set, for datasets whose path names one part (folder, npz, webdataset); others have a
    /// test split of their own. `mimir-train evaluate --test` takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Images of the training set that are held out to select the best checkpoint; with 0 none is selected. The test set
    /// is for `evaluate` only.
    #[serde(default = "default_held_out")]
    pub held_out: usize,
    /// Labelled generated images, mixed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<String>,
    /// Share of generated images in each batch, above 0 and below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_share: Option<f64>,
    /// What to do with an image that cannot be decoded: `stop`, or `skip` it for the next one and name it in the log.
    #[serde(default)]
    pub broken_images: mimir_data::BrokenImages,
    /// Threads that decode and augment.
    #[serde(default = "default_threads")]
    pub threads: usize,
}

fn default_held_out() -> usize {
    1000
}

fn default_threads() -> usize {
    2
}

impl DataConfig {
    /// The source of the test set.
    ///
    /// # Errors
    /// A source that is no source, or training images without a test split and no `data.test`.
    pub fn test_source(&self) -> Result<DataSource, ConfigError> {
        let source: DataSource = self.source.parse()?;
        match &self.test {
            Some(test) => Ok(test.parse()?),
            None if source.has_splits() => Ok(source),
            None => Err(ConfigError::missing(
                "data.test",
                format!(
                    "to evaluate: {source} has no test split, and its images are trained on. Or evaluate on the \
                     images that are held out, with evaluate.on = \"held_out\""
                ),
            )),
        }
    }

    fn check_sources(&self) -> Result<(), ConfigError> {
        let source: DataSource = self.source.parse()?;
        let Some(test) = &self.test else { return Ok(()) };
        let test: DataSource = test.parse()?;
        if test == source && !source.has_splits() {
            let wanted = "images that are not trained on: this is data.source".to_owned();
            return Err(ConfigError::Range { key: "data.test".into(), found: test.to_string(), wanted });
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.check_sources()?;
        ConfigError::range("data.classes", self.classes as f64, self.classes >= 2, "at least 2")?;
        ConfigError::range("data.threads", self.threads as f64, self.threads >= 1, "at least 1")?;
        match (&self.generated, self.generated_share) {
            (Some(_), Some(share)) => ConfigError::range(
                "data.generated_share",
                share,
                share > 0.0 && share < 1.0,
                "above 0 and below 1",
            ),
            (None, Some(_)) => Err(ConfigError::no_effect("data.generated_share", "without data.generated")),
            (Some(_), None) => Err(ConfigError::missing("data.generated_share", "by data.generated")),
            (None, None) => Ok(()),
        }
    }
}
