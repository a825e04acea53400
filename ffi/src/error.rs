//! `mimir_error`: what went wrong, as an object that the caller owns.

use std::ffi::{CStr, CString};

use mimir_bundle::bundle::{BundleError, BundleErrorKind};
use mimir_bundle::policy::Verdict;
use mimir_certify::ErrorKind as CertifyErrorKind;
use mimir_certify::serve::{ModelErrorKind, ServeError, StopReason};
use mimir_runtime::session::EngineError;

use crate::c_text::c_string;

/// The numbers of `mimir_error_code_t` in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// `MIMIR_ERROR_INVALID_ARGUMENT`
    InvalidArgument = 1,
    /// `MIMIR_ERROR_IO`
    Io = 2,
    /// `MIMIR_ERROR_FORMAT`
    Format = 3,
    /// `MIMIR_ERROR_DIGEST_MISMATCH`
    DigestMismatch = 4,
    /// `MIMIR_ERROR_UNSUPPORTED`
    Unsupported = 5,
    /// `MIMIR_ERROR_POLICY`
    Policy = 6,
    /// `MIMIR_ERROR_ENGINE`
    Engine = 7,
    /// `MIMIR_ERROR_CANCELLED`
    Cancelled = 8,
    /// `MIMIR_ERROR_DEADLINE`
    Deadline = 9,
    /// `MIMIR_ERROR_LIMIT`
    Limit = 10,
    /// `MIMIR_ERROR_INTERNAL`
    Internal = 11,
}

/// What went wrong.
#[derive(Debug)]
pub struct mimir_error {
    code: Code,
    message: CString,
    requirements: Vec<CString>,
}

impl mimir_error {
    pub(crate) fn new(code: Code, message: impl AsRef<str>) -> Self {
        Self { code, message: c_string(message.as_ref()), requirements: Vec::new() }
    }

    pub(crate) fn argument(message: impl AsRef<str>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// An argument that is null and must not be.
    pub(crate) fn null(name: &str) -> Self {
        Self::argument(format!("{name} is NULL"))
    }

    /// One of the numbers of the header.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Why.
    pub(crate) fn message(&self) -> &CStr {
        &self.message
    }

    /// What a policy asks for and a model does not show.
    pub(crate) fn requirements(&self) -> &[CString] {
        &self.requirements
    }

    fn refused(error: &ServeError, verdict: &Verdict) -> Self {
        let unmet = verdict.requirements().iter().filter(|requirement| !requirement.met);
        let requirements = unmet
            .map(|requirement| {
                let (part, name) = (&requirement.part, &requirement.name);
                let by = requirement.certificate.as_ref().map(|name| format!(" by {name}"));
                let (by, wanted, found) = (by.unwrap_or_default(), &requirement.wanted, &requirement.found);
                c_string(&format!("{part}{by}: {name}: wanted {wanted}, found {found}"))
            })
            .collect();
        Self { requirements, ..Self::new(Code::Policy, error.to_string()) }
    }
}

impl From<ServeError> for mimir_error {
    fn from(error: ServeError) -> Self {
        let code = match &error {
            ServeError::Refused { verdict, .. } => return Self::refused(&error, verdict),
            ServeError::Argument(_) | ServeError::Picture(_) => Code::InvalidArgument,
            ServeError::Bundle(error) => bundle_code(error),
            ServeError::Model { error, .. } => match error.kind() {
                ModelErrorKind::Io => Code::Io,
                ModelErrorKind::Format => Code::Format,
                ModelErrorKind::Limit => Code::Limit,
                _ => Code::Unsupported,
            },
            ServeError::Memory { .. } => Code::Limit,
            ServeError::Engine(error) => return error.clone().into(),
            ServeError::Io { .. } => Code::Io,
            _ => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

fn bundle_code(error: &BundleError) -> Code {
    match error.kind() {
        BundleErrorKind::Io => Code::Io,
        BundleErrorKind::Format => Code::Format,
        BundleErrorKind::Limit => Code::Limit,
        BundleErrorKind::Version => Code::Unsupported,
        BundleErrorKind::Mismatch => Code::DigestMismatch,
    }
}

fn engine_code(error: &EngineError) -> Code {
    match error {
        EngineError::Stopped(StopReason::Cancelled) => Code::Cancelled,
        EngineError::Stopped(StopReason::Deadline) => Code::Deadline,
        EngineError::Unsupported { .. } | EngineError::ProcessorOnly(_) => Code::Unsupported,
        _ => Code::Engine,
    }
}

impl From<EngineError> for mimir_error {
    fn from(error: EngineError) -> Self {
        let text = match &error {
            // Those of the commands are none here.
            EngineError::NotFound { tried, last } => format!(
                "ONNX Runtime was not found (tried {tried}{last}): put libonnxruntime.so.1, release 1.24 or newer, beside \
                 libmimir_runtime.so, name it with the environment variable MIMIR_ORT_DYLIB or with \
                 mimir_session_options_set_onnxruntime, install it for the system's loader, or allow rten with \
                 MIMIR_ENGINE_ANY"
            ),
            _ => error.to_string(),
        };
        Self::new(engine_code(&error), text)
    }
}

impl From<mimir_certify::Error> for mimir_error {
    fn from(error: mimir_certify::Error) -> Self {
        let code = match error.kind() {
            CertifyErrorKind::Options | CertifyErrorKind::Data => Code::InvalidArgument,
            CertifyErrorKind::Model => Code::Unsupported,
            CertifyErrorKind::Storage => Code::Io,
            CertifyErrorKind::Interrupted => Code::Cancelled,
            _ => Code::Internal,
        };
        Self::new(code, mimir_certify::with_causes(&error))
    }
}
