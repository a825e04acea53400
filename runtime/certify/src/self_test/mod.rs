//! Does this program, with this engine and on this machine, find what there is to find? Models whose answers are known are
//! attacked like any other.
//!
//! Each canary is one of the ways in which an evaluation goes wrong: an attack that is too weak, gradients that lead nowhere,
//! scores that saturate, draws that pass for a defence, images that are not what the model was made for (Carlini et al., On
//! Evaluating Adversarial Robustness, 2019, section 4; Tramèr et al., On Adaptive Attacks, 2020). What is true of it follows from
//! a linear function, so that no attack says what another should have found.

mod canaries;
mod images;
mod networks;
mod plane;
mod text;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mimir_export::onnx::write_model;
use serde::Serialize;

use crate::engines::Engines;
use crate::error::{Error, ErrorKind, OrKind, Result};
use crate::options::EngineOptions;
use canaries::CANARIES;

/// What the test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    /// The canaries, in the order in which they ran.
    pub canaries: Vec<CanaryAnswer>,
}

/// What became of one canary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CanaryAnswer {
    /// Its name.
    pub name: &'static str,
    /// What kind of model it is.
    pub model: &'static str,
    /// What must be found.
    pub wanted: &'static str,
    /// What was found in its place; none where it was found.
    pub fault: Option<String>,
}

impl SelfTest {
    /// Whether all canaries were diagnosed.
    pub fn passed(&self) -> bool {
        self.canaries.iter().all(|canary| canary.fault.is_none())
    }

    /// 0, or that of an internal error: results of this installation are not to be believed.
    pub fn exit_code(&self) -> u8 {
        if self.passed() { 0 } else { ErrorKind::Internal.exit_code() }
    }
}

/// Attacks every canary. Nothing is read or written but in a folder of its own, which is removed.
///
/// # Errors
/// [`ErrorKind::Internal`] where no engine can be had, [`ErrorKind::Storage`] where the folder cannot be written, and
/// [`ErrorKind::Interrupted`]. A canary whose attack ends with another error is an answer.
pub fn self_test(engine: &EngineOptions, interrupted: &AtomicBool) -> Result<SelfTest> {
    // Without one there is no answer.
    Engines::load(engine)?;
    let folder = tempfile::tempdir().or_kind(ErrorKind::Storage)?;
    let mut answers = Vec::new();
    for canary in &CANARIES {
        let model = folder.path().join("canary.onnx");
        write(&model, canary.network)?;
        let fault = match (canary.examine)(&model, engine, interrupted) {
            Ok(fault) => fault,
            Err(error) if is_no_answer(&error) => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        if interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(
                ErrorKind::Interrupted,
                format!("interrupted at the canary `{}`", canary.name),
            ));
        }
        let canaries::Canary { name, model, wanted, .. } = *canary;
        answers.push(CanaryAnswer { name, model, wanted, fault });
    }
    Ok(SelfTest { canaries: answers })
}

/// Errors that say nothing of a canary.
fn is_no_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Storage | ErrorKind::Interrupted)
}

fn write(path: &Path, network: networks::Network) -> Result<()> {
    let bytes = network().and_then(|graph| write_model(&graph)).or_kind(ErrorKind::Internal)?;
    mimir_files::replace(path, &bytes).or_kind(ErrorKind::Storage)
}
