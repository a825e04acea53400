//! `mimir_certify` and `mimir_attack`: attack a model, and keep what came out.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use mimir_bundle::ImageShape;
use mimir_certify::{KeepCounterexamples, ModelInput, certify, image_shape};
use mimir_data::{DataSource, ImageDims};
use mimir_runtime::evaluate::{Observer, Progress, Stage};

use crate::c_text::c_string;
use crate::certify_options::mimir_certify_options;
use crate::error::mimir_error;
use crate::evaluation::mimir_evaluation;
use crate::guard::{Result, made};
use crate::input::{self, expect_len};
use crate::logger::Payload;
use crate::text::{read_path, read_text};

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
        let teller = Teller::new(callback, Payload::new(payload));
        run(options, ModelInput::open(path)?, images, KeepCounterexamples::No, &teller)
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_attack(
    path: *const c_char,
    pixels: *const f32,
    pixels_len: usize,
    labels: *const u32,
    labels_len: usize,
    options: Option<&mimir_certify_options>,
    callback: mimir_progress_callback,
    payload: *mut c_void,
    out: Option<&mut *mut mimir_evaluation>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        // SAFETY: the caller's promise.
        let path = unsafe { read_path(path, "path")? };
        // SAFETY: the caller's promise.
        let pixels = unsafe { input::read(pixels, pixels_len, "pixels")? };
        // SAFETY: the caller's promise.
        let labels = unsafe { input::read(labels, labels_len, "labels")? };
        let options = options.ok_or_else(|| mimir_error::null("options"))?;
        let model = ModelInput::open(path)?;
        let images = images_of(image_shape(&model, options.engine())?, pixels, labels)?;
        let teller = Teller::new(callback, Payload::new(payload));
        run(options, model, images, KeepCounterexamples::Yes, &teller)
    })
}

/// Images of the caller, which are copied once.
fn images_of(image: ImageShape, pixels: &[f32], labels: &[u32]) -> Result<DataSource> {
    if labels.is_empty() {
        return Err(mimir_error::argument("labels_len is 0, wanted at least 1"));
    }
    expect_len("pixels", pixels.len(), labels.len(), image.pixels())?;
    let ImageShape { channels, height, width } = image;
    let labels = labels.iter().map(|label| *label as usize).collect();
    let images = DataSource::in_memory(ImageDims { channels, height, width }, pixels.to_vec(), labels);
    images.map_err(|error| mimir_error::argument(error.to_string()))
}

fn run(
    options: &mimir_certify_options,
    model: ModelInput,
    images: DataSource,
    keep_counterexamples: KeepCounterexamples,
    teller: &Teller,
) -> Result<mimir_evaluation> {
    let mut options = options.of(model, images);
    options.keep_counterexamples = keep_counterexamples;
    Ok(certify(&options, teller, &teller.is_cancelled)?.into())
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
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
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
