//! `mimir_certify`: attacks a model, and records what came out.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use mimir_bundle::{AttackSpec, Norm, ThreatModel};
use mimir_certify::{
    BundleMode, CertifyOptions, EngineChoice, EngineOptions, ExistingJournal, ModelInput, ReportOptions,
    StoreCounterexamples, certify,
};
use mimir_data::DataSource;
use mimir_runtime::attack::attacks_named;
use mimir_runtime::evaluate::{Observer, Progress, Stage};
use mimir_runtime::report::Report;

use crate::c_text::c_string;
use crate::certificate::{mimir_certificate, norm_of};
use crate::error::mimir_error;
use crate::guard::{Result, guarded, made, or};
use crate::logger::Payload;
use crate::text::{read_path, read_text, write_text};

/// Is told how far an evaluation is.
pub type ProgressFunction = extern "C" fn(
    stage: *const c_char,
    finished: usize,
    images: usize,
    still_robust: usize,
    payload: *mut c_void,
) -> i32;

/// `mimir_progress_callback` of the header.
pub type mimir_progress_callback = Option<ProgressFunction>;

/// What an evaluation does.
#[derive(Debug, Clone)]
pub struct mimir_certify_options {
    threat_model: ThreatModel,
    attacks: Option<Vec<AttackSpec>>,
    first: Option<usize>,
    seed: u64,
    engine: EngineOptions,
    report: Option<std::path::PathBuf>,
    writes_certificate: bool,
}

/// What an evaluation found.
#[derive(Debug)]
pub struct mimir_evaluation {
    report: Report,
    certificate: Option<mimir_certificate>,
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

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_certify(
    path: *const c_char,
    images: *const c_char,
    options: Option<&mimir_certify_options>,
    callback: mimir_progress_callback,
    payload: *mut c_void,
    out: Option<&mut *mut mimir_evaluation>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        // SAFETY: the caller's promise.
        let (path, images) = unsafe { (read_path(path, "path")?, read_text(images, "images")?) };
        let options = options.ok_or_else(|| mimir_error::null("options"))?;
        let images: DataSource = images.parse().map_err(|error| mimir_error::argument(format!("{error}")))?;
        let model = ModelInput::open(path)?;
        let options = full(options, model, images);
        let teller = Teller::new(callback, Payload::new(payload));
        let certified = certify(&options, &teller, &teller.is_cancelled)?;
        let certificate = certified.certificate.map(mimir_certificate::from);
        Ok(mimir_evaluation { report: certified.report, certificate })
    })
}

fn full(options: &mimir_certify_options, model: ModelInput, images: DataSource) -> CertifyOptions {
    let mut full = CertifyOptions::new(model, images, options.threat_model);
    full.images.read.first = options.first;
    full.seed = options.seed;
    full.engine = options.engine.clone();
    if let Some(attacks) = &options.attacks {
        full.attacks.clone_from(attacks);
    }
    full.report = options.report.clone().map(|folder| ReportOptions {
        folder,
        counterexamples: StoreCounterexamples::Yes,
        existing_journal: ExistingJournal::Resume,
    });
    if options.writes_certificate {
        full.bundle = BundleMode::WriteCertificate;
    }
    full
}

/// Tells the callback how far it is, one thread at a time, and ends the evaluation when it asks for that.
struct Teller {
    callback: Option<(ProgressFunction, Payload)>,
    turn: Mutex<()>,
    is_cancelled: AtomicBool,
}

impl Teller {
    fn new(callback: mimir_progress_callback, payload: Payload) -> Self {
        let callback = callback.map(|callback| (callback, payload));
        Self { callback, turn: Mutex::default(), is_cancelled: AtomicBool::new(false) }
    }
}

impl Observer for Teller {
    fn progress(&self, progress: &Progress) {
        let Some((callback, payload)) = &self.callback else { return };
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let stage = match progress.stage {
            Stage::Clean => "clean",
            Stage::Attack(name) => name,
            Stage::Curve => "curve",
            Stage::Verify => "verify",
            Stage::Float64Margins => "float64_margins",
        };
        let Progress { finished, attacked, still_robust, .. } = *progress;
        let answer = callback(c_string(stage).as_ptr(), finished, attacked, still_robust, payload.get());
        if answer != 0 {
            self.is_cancelled.store(true, Ordering::SeqCst);
        }
    }
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_certificate(
    evaluation: Option<&mimir_evaluation>,
) -> *const mimir_certificate {
    let certificate = evaluation.and_then(|evaluation| evaluation.certificate.as_ref());
    certificate.map_or(ptr::null(), ptr::from_ref)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_evaluation_report_json(
    evaluation: Option<&mimir_evaluation>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let evaluation = evaluation.ok_or_else(|| mimir_error::null("evaluation"))?;
        let text = serde_json::to_string(&evaluation.report);
        let text = text.map_err(|error| mimir_error::argument(error.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&text, buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_evaluation_summary(
    evaluation: Option<&mimir_evaluation>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let evaluation = evaluation.ok_or_else(|| mimir_error::null("evaluation"))?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&evaluation.report.to_string(), buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_evaluation_delete(evaluation: Option<Box<mimir_evaluation>>) {
    or((), || drop(evaluation));
}
