//! `mimir_model`: a model that met its policy.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use mimir_certify::serve::ServedModel;
use mimir_data::Picture;

use crate::c_text::c_string;
use crate::certificate::mimir_certificate;
use crate::error::mimir_error;
use crate::guard::{Result, guarded, made, or};
use crate::input;
use crate::policy::mimir_policy;
use crate::text::{read_path, write_text};

/// A model, never changed and shared by its clones.
#[derive(Debug, Clone)]
pub struct mimir_model(Arc<Known>);

/// A model, and its texts as C has them.
#[derive(Debug)]
struct Known {
    model: ServedModel,
    digest: CString,
    class_names: Vec<CString>,
    feature_names: Vec<CString>,
    certificates: Vec<mimir_certificate>,
}

impl mimir_model {
    fn new(model: ServedModel) -> Self {
        let names = |names: &[String]| names.iter().map(|name| c_string(name)).collect();
        let manifest = model.manifest();
        Self(Arc::new(Known {
            digest: c_string(model.digest()),
            class_names: manifest.classes.names.as_deref().map(names).unwrap_or_default(),
            feature_names: manifest.features.iter().map(|feature| c_string(&feature.name)).collect(),
            certificates: model.certificates().iter().map(|known| known.certificate.clone().into()).collect(),
            model,
        }))
    }

    pub(crate) fn served(&self) -> &ServedModel {
        &self.0.model
    }
}

/// The model of an argument.
pub(crate) fn given(model: Option<&mimir_model>) -> Result<&mimir_model> {
    model.ok_or_else(|| mimir_error::null("model"))
}

fn given_policy(policy: Option<&mimir_policy>) -> Result<&mimir_policy> {
    policy.ok_or_else(|| {
        mimir_error::argument("policy is NULL: a model that need not show anything is loaded with mimir_policy_allow_anything()")
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_model_load(
    path: *const c_char,
    policy: Option<&mimir_policy>,
    out: Option<&mut *mut mimir_model>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        // SAFETY: the caller's promise.
        let path = unsafe { read_path(path, "path") }?;
        let policy = given_policy(policy)?;
        Ok(mimir_model::new(ServedModel::load(path, &policy.rules, &policy.keys)?))
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_model_load_memory(
    bytes: *const u8,
    bytes_len: usize,
    policy: Option<&mimir_policy>,
    out: Option<&mut *mut mimir_model>,
) -> Option<Box<mimir_error>> {
    made(out, || {
        // SAFETY: the caller's promise.
        let bytes = unsafe { input::read(bytes, bytes_len, "bytes") }?;
        let policy = given_policy(policy)?;
        // The caller may free or change its memory as soon as the call is over.
        let bytes = Bytes::copy_from_slice(bytes);
        Ok(mimir_model::new(ServedModel::from_bytes(bytes, &policy.rules, &policy.keys)?))
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_clone(model: Option<&mimir_model>) -> Option<Box<mimir_model>> {
    or(None, || model.map(|model| Box::new(model.clone())))
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_delete(model: Option<Box<mimir_model>>) {
    or((), || drop(model));
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_model_input_shape(
    model: Option<&mimir_model>,
    shape: *mut usize,
    shape_len: usize,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let image = given(model)?.served().image();
        if shape_len != 3 {
            return Err(mimir_error::argument(format!("shape_len is {shape_len}, wanted 3")));
        }
        // SAFETY: the caller's promise.
        let shape = unsafe { input::write(shape, shape_len, "shape") }?;
        shape.copy_from_slice(&[image.channels, image.height, image.width]);
        Ok(())
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_input_len(model: Option<&mimir_model>) -> usize {
    model.map_or(0, |model| model.served().image().pixels())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_class_count(model: Option<&mimir_model>) -> usize {
    model.map_or(0, |model| model.served().classes())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_class_name(model: Option<&mimir_model>, index: usize) -> *const c_char {
    let name = model.and_then(|model| model.0.class_names.get(index));
    name.map_or(ptr::null(), |name| name.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_digest(model: Option<&mimir_model>) -> *const c_char {
    model.map_or(ptr::null(), |model| model.0.digest.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_certificate_count(model: Option<&mimir_model>) -> usize {
    model.map_or(0, |model| model.0.certificates.len())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_certificate(
    model: Option<&mimir_model>,
    index: usize,
) -> *const mimir_certificate {
    let certificate = model.and_then(|model| model.0.certificates.get(index));
    certificate.map_or(ptr::null(), ptr::from_ref)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_feature_count(model: Option<&mimir_model>) -> usize {
    model.map_or(0, |model| model.0.feature_names.len())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_feature_name(model: Option<&mimir_model>, index: usize) -> *const c_char {
    let name = model.and_then(|model| model.0.feature_names.get(index));
    name.map_or(ptr::null(), |name| name.as_ptr())
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub extern "C" fn mimir_model_feature_len(model: Option<&mimir_model>, index: usize) -> usize {
    let feature = model.and_then(|model| model.served().manifest().features.get(index));
    let size =
        feature.and_then(|known| known.shape.iter().try_fold(1_usize, |size, dim| size.checked_mul(*dim)));
    size.unwrap_or(0)
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_model_manifest_json(
    model: Option<&mimir_model>,
    buffer: *mut c_char,
    capacity: usize,
    needed: Option<&mut usize>,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let text = serde_json::to_string(given(model)?.served().manifest());
        let text = text.map_err(|error| mimir_error::argument(error.to_string()))?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&text, buffer, capacity, needed) }
    })
}

/// See `include/mimir.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimir_model_prepare(
    model: Option<&mimir_model>,
    bytes: *const u8,
    bytes_len: usize,
    width: usize,
    height: usize,
    channels: usize,
    row_stride: usize,
    pixels: *mut f32,
    pixels_len: usize,
) -> Option<Box<mimir_error>> {
    guarded(|| {
        let model = given(model)?.served();
        // SAFETY: the caller's promise.
        let bytes = unsafe { input::read(bytes, bytes_len, "bytes") }?;
        input::check_apart((bytes.as_ptr(), bytes.len()), (pixels, pixels_len))?;
        // SAFETY: the caller's promise, and apart from what is read.
        let pixels = unsafe { input::write(pixels, pixels_len, "pixels") }?;
        let mut prepared = vec![0.0; pixels.len()];
        model.prepare_picture(picture(bytes, (width, height, channels), row_stride)?, &mut prepared)?;
        pixels.copy_from_slice(&prepared);
        Ok(())
    })
}

/// The rows of a picture without what is between them.
fn picture(
    bytes: &[u8],
    (width, height, channels): (usize, usize, usize),
    row_stride: usize,
) -> Result<Picture> {
    if !matches!(channels, 1 | 3 | 4) || width == 0 || height == 0 {
        let message = format!(
            "a picture of {width} x {height} pixels in {channels} channels: wanted sides of at least 1, and 1, 3 or 4 channels"
        );
        return Err(mimir_error::argument(message));
    }
    let row = width.checked_mul(channels);
    let row = row.ok_or_else(|| mimir_error::argument(format!("width {width} is too large")))?;
    if row_stride < row {
        return Err(mimir_error::argument(format!("row_stride is {row_stride}, a row has {row} bytes")));
    }
    // The last row need not be as long as the distance between two.
    let wanted = (height - 1).checked_mul(row_stride).and_then(|bytes| bytes.checked_add(row));
    if wanted.is_none_or(|wanted| wanted > bytes.len()) {
        let message =
            format!("bytes_len is {}, wanted (height - 1) * row_stride + width * channels", bytes.len());
        return Err(mimir_error::argument(message));
    }
    let mut packed = Vec::with_capacity(row * height);
    for line in bytes.chunks(row_stride).take(height) {
        packed.extend_from_slice(&line[..row]);
    }
    Picture::new(width, height, channels, packed).map_err(|error| mimir_error::argument(error.to_string()))
}
