//! The experiment and its output folder, from arguments and file.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::args::ExperimentArguments;
use crate::config::Experiment;

/// The experiment with the values of the command line, checked again.
pub(super) fn experiment(arguments: &ExperimentArguments) -> Result<Experiment> {
    let mut experiment = Experiment::read(&arguments.config, arguments.variant.as_deref())?;
    if let Some(seed) = arguments.seed {
        experiment.seed = seed;
    }
    if let Some(data) = &arguments.data {
        experiment.data.source.clone_from(data);
    }
    if let Some(test) = &arguments.test {
        experiment.data.test = Some(test.clone());
    }
    experiment.check()?;
    if let Some(threads) = arguments.threads {
        tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
    }
    Ok(experiment)
}

/// `runs/NAME/seed-SEED` or `runs/NAME-VARIANT/seed-SEED`, or what `--run` says.
pub(super) fn runs_folder(arguments: &ExperimentArguments, experiment: &Experiment) -> PathBuf {
    arguments.run.clone().unwrap_or_else(|| {
        let mut name = arguments.config.file_stem().unwrap_or_default().to_owned();
        if let Some(variant) = &arguments.variant {
            name.push(format!("-{variant}"));
        }
        Path::new("runs").join(name).join(format!("seed-{}", experiment.seed))
    })
}
