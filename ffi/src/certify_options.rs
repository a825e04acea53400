//! `mimir_certify_options`: what an evaluation does.

use std::ffi::c_char;
use std::path::PathBuf;

use mimir_bundle::{AttackSpec, Norm, ThreatModel};
use mimir_certify::{
    BundleMode, CertifyOptions, EngineChoice, EngineOptions, ExistingJournal, ModelInput, ReportOptions,
    StoreCounterexamples,
};
use mimir_data::DataSource;
use mimir_runtime::attack::attacks_named;

use crate::certificate::norm_of;
use crate::error::mimir_error;
use crate::guard::{Result, guarded, made, or};
use crate::text::{read_path, read_text};

/// What an evaluation does.
#[derive(Debug, Clone)]
pub struct mimir_certify_options {
    threat_model: ThreatModel,
    attacks: Option<Vec<AttackSpec>>,
    first: Option<usize>,
    seed: u64,
    engine: EngineOptions,
    report: Option<PathBuf>,
    writes_certificate: bool,
}

impl mimir_certify_options {
    /// What runs the model.
    pub(crate) fn engine(&self) -> &EngineOptions {
        &self.engine
    }

    /// The same for a model and its images.
    pub(crate) fn of(&self, model: ModelInput, images: DataSource) -> CertifyOptions {
        let mut full = CertifyOptions::new(model, images, self.threat_model);
        full.images.read.first = self.first;
        full.seed = self.seed;
        full.engine = self.engine.clone();
        if let Some(attacks) = &self.attacks {
            full.attacks.clone_from(attacks);
        }
        full.report = self.report.clone().map(|folder| ReportOptions {
            folder,
            counterexamples: StoreCounterexamples::Yes,
            existing_journal: ExistingJournal::Resume,
        });
        if self.writes_certificate {
            full.bundle = BundleMode::WriteCertificate;
        }
        full
    }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certify_options_new(
    norm: i32,
    epsilon: f64,
    out: Option<&mut *mut mimir_certify_options>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        let threat_model = ThreatModel::new(norm_of(norm)?, epsilon);
        let threat_model = threat_model.map_err(|error| mimir_error::argument(error.to_string()))?;
        let engine = EngineOptions { choice: EngineChoice::OnnxRuntime, ..EngineOptions::default() };
        Ok(mimir_certify_options {
            threat_model,
            attacks: None,
            first: None,
            seed: 0,
            engine,
            report: None,
            writes_certificate: false,
        })
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certify_options_delete(options: Option<Box<mimir_certify_options>>) {
    or((), || drop(options));
}

fn set(
    options: Option<&mut mimir_certify_options>,
    set: impl FnOnce(&mut mimir_certify_options) -> Result<()>,
) -> Option<Box<mimir_error>> {
    guarded(|| set(options.ok_or_else(|| mimir_error::null("options"))?))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_certify_options_set_attacks(
    options: Option<&mut mimir_certify_options>,
    names: *const c_char,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        // SAFETY: the caller's promise.
        let names = unsafe { read_text(names, "names") }?;
        options.attacks = Some(attacks(names, options.threat_model.norm)?);
        Ok(())
    })
}

/// Attacks and presets, separated by commas.
fn attacks(names: &str, norm: Norm) -> Result<Vec<AttackSpec>> {
    let mut attacks = Vec::new();
    for name in names.split(',') {
        let known = attacks_named(name.trim(), norm);
        attacks.extend(known.map_err(|error| mimir_error::argument(error.to_string()))?);
    }
    Ok(attacks)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certify_options_set_first(
    options: Option<&mut mimir_certify_options>,
    images: usize,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.first = (images > 0).then_some(images);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certify_options_set_seed(
    options: Option<&mut mimir_certify_options>,
    seed: u64,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.seed = seed;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_certify_options_set_device(
    options: Option<&mut mimir_certify_options>,
    device: *const c_char,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        // SAFETY: the caller's promise.
        let text = unsafe { read_text(device, "device") }?;
        options.engine.device = text.parse().map_err(|error| mimir_error::argument(format!("{error}")))?;
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_certify_options_set_report(
    options: Option<&mut mimir_certify_options>,
    folder: *const c_char,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        // SAFETY: the caller's promise.
        options.report = Some(unsafe { read_path(folder, "folder") }?.to_owned());
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_certify_options_set_write_certificate(
    options: Option<&mut mimir_certify_options>,
    write: bool,
) -> Option<Box<mimir_error>> {
    set(options, |options| {
        options.writes_certificate = write;
        Ok(())
    })
}
