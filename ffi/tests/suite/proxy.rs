//! What the Rust library answers, the C library answers: loading, policies, logits and classes, through the file that C
//! programs link.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use libloading::Library;
use mimir_bundle::policy::Policy;
use mimir_certify::EngineChoice;
use mimir_certify::serve::{Batching, CallLimits, ServeError, ServeOptions, ServedModel, Session};
use mimir_ffi::output::mimir_prediction;

use crate::fixtures;
use crate::library::folder;

type Handle = *mut c_void;

/// The functions of the library, by name.
struct Interface(Library);

#[allow(unsafe_code, reason = "calls the C interface as a C program does")]
impl Interface {
    fn open() -> Self {
        // SAFETY: it is the library of this build.
        Self(unsafe { Library::new(folder().join("libmimir_runtime.so")) }.unwrap())
    }

    fn function<T: Copy>(&self, name: &str) -> T {
        // SAFETY: `T` is its type in include/mimir.h.
        *unsafe { self.0.get::<T>(name.as_bytes()) }.unwrap()
    }

    /// What an error says, which is deleted.
    fn said(&self, error: Handle) -> Option<(i32, String, Vec<String>)> {
        if error.is_null() {
            return None;
        }
        let code: extern "C" fn(Handle) -> i32 = self.function("mimir_error_code");
        let message: extern "C" fn(Handle) -> *const c_char = self.function("mimir_error_message");
        let count: extern "C" fn(Handle) -> usize = self.function("mimir_error_requirement_count");
        let requirement: extern "C" fn(Handle, usize) -> *const c_char =
            self.function("mimir_error_requirement");
        // SAFETY: texts of a live error.
        let text = |text: *const c_char| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
        let requirements = (0..count(error)).map(|index| text(requirement(error, index))).collect();
        let said = (code(error), text(message(error)), requirements);
        self.delete("mimir_error_delete", error);
        Some(said)
    }

    fn delete(&self, name: &str, handle: Handle) {
        let delete: extern "C" fn(Handle) = self.function(name);
        delete(handle);
    }

    fn policy(&self, text: &str) -> Handle {
        let mut policy = ptr::null_mut();
        let read: extern "C" fn(*const c_char, usize, *mut Handle) -> Handle =
            self.function("mimir_policy_from_text");
        assert_eq!(self.said(read(text.as_ptr().cast(), text.len(), &raw mut policy)), None);
        policy
    }

    fn load(&self, policy: Handle) -> Result<Handle, (i32, String, Vec<String>)> {
        let path = CString::new(fixtures::certified().to_str().unwrap()).unwrap();
        let mut model = ptr::null_mut();
        let load: extern "C" fn(*const c_char, Handle, *mut Handle) -> Handle =
            self.function("mimir_model_load");
        self.said(load(path.as_ptr(), policy, &raw mut model)).map_or(Ok(model), Err)
    }

    fn session(&self, model: Handle, engine: i32, batching: i32) -> Handle {
        let options: extern "C" fn() -> Handle = self.function("mimir_session_options_new");
        let set_engine: extern "C" fn(Handle, i32) -> Handle =
            self.function("mimir_session_options_set_engine");
        let set_batching: extern "C" fn(Handle, i32) -> Handle =
            self.function("mimir_session_options_set_batching");
        let set_path: extern "C" fn(Handle, *const c_char) -> Handle =
            self.function("mimir_session_options_set_onnxruntime");
        let make: extern "C" fn(Handle, Handle, *mut Handle) -> Handle = self.function("mimir_session_new");
        let (options, mut session) = (options(), ptr::null_mut());
        assert_eq!(self.said(set_engine(options, engine)), None);
        assert_eq!(self.said(set_batching(options, batching)), None);
        let path = CString::new(crate::programs::onnx_runtime().to_str().unwrap()).unwrap();
        assert_eq!(self.said(set_path(options, path.as_ptr())), None);
        assert_eq!(self.said(make(model, options, &raw mut session)), None);
        self.delete("mimir_session_options_delete", options);
        session
    }

    fn logits(&self, session: Handle, pixels: &[f32], batch: usize) -> Vec<f32> {
        type Logits = extern "C" fn(Handle, *const f32, usize, usize, Handle, *mut f32, usize) -> Handle;
        let run: Logits = self.function("mimir_session_logits");
        let mut logits = vec![f32::NAN; 6 * batch];
        let none = ptr::null_mut();
        let error =
            run(session, pixels.as_ptr(), pixels.len(), batch, none, logits.as_mut_ptr(), logits.len());
        assert_eq!(self.said(error), None);
        logits
    }

    fn classify(&self, session: Handle, pixels: &[f32], batch: usize) -> Vec<mimir_prediction> {
        type Classify = extern "C" fn(
            Handle,
            *const f32,
            usize,
            usize,
            Handle,
            f32,
            *mut mimir_prediction,
            usize,
        ) -> Handle;
        let run: Classify = self.function("mimir_session_classify");
        let nothing = mimir_prediction { class_index: -7, abstained: -7, probability: -7.0, margin: -7.0 };
        let (mut found, none) = (vec![nothing; batch], ptr::null_mut());
        let error = run(session, pixels.as_ptr(), pixels.len(), batch, none, 0.0, found.as_mut_ptr(), batch);
        assert_eq!(self.said(error), None);
        found
    }
}

const POLICIES: [&str; 8] = [
    "allow_anything = true",
    "[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"4/255\"",
    "[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"5/255\"",
    "[[evaluation]]\nnorm = \"l2\"\nmin_epsilon = 0.1",
    "[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"1/255\"\nmin_images = 9\nmin_clean_accuracy = 1.0",
    "[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"1/255\"\nmin_preset = \"standard\"\nmin_attacked_accuracy = 0.9",
    "[model]\ndigest = [\"0000000000000000000000000000000000000000000000000000000000000000\"]",
    "[signature]\ntrusted = [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]",
];

#[test]
fn policies_have_the_same_answer() {
    let interface = Interface::open();
    let mut refused = 0;
    for text in POLICIES {
        let text = format!("version = 1\n{text}");
        let policy = Policy::from_toml(&text, &mut |name| Err(name.to_owned()));
        // A text that is no policy is none in C either.
        let Ok(rules) = policy else { continue };
        let handle = interface.policy(&text);
        match (ServedModel::load(fixtures::certified(), &rules, &[]), interface.load(handle)) {
            (Ok(_), Ok(model)) => interface.delete("mimir_model_delete", model),
            (Err(error @ ServeError::Refused { .. }), Err((6, message, requirements))) => {
                let ServeError::Refused { verdict, .. } = &error else { unreachable!() };
                let unmet = verdict.requirements().iter().filter(|requirement| !requirement.met);
                assert_eq!(requirements.len(), unmet.clone().count());
                for (text, requirement) in requirements.iter().zip(unmet) {
                    assert!(
                        text.contains(&requirement.wanted) && text.contains(&requirement.found),
                        "{text}"
                    );
                }
                assert_eq!(message, error.to_string());
                refused += 1;
            }
            (rust, c) => panic!("{text}: {rust:?}, {c:?}"),
        }
        interface.delete("mimir_policy_delete", handle);
    }
    assert!(refused >= 5, "{refused}");
}

#[test]
fn logits_and_classes_are_the_same_to_the_last_bit() {
    let interface = Interface::open();
    let policy = interface.policy("version = 1\nallow_anything = true");
    let model = interface.load(policy).unwrap();
    let rules =
        Policy::from_toml("version = 1\nallow_anything = true", &mut |name| Err(name.to_owned())).unwrap();
    let served = ServedModel::load(fixtures::certified(), &rules, &[]).unwrap();
    let pixels: Vec<f32> = (0..5 * 3 * 24 * 24_u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0)
        .collect();
    for (engine, engine_number) in [(EngineChoice::OnnxRuntime, 1), (EngineChoice::Rten, 2)] {
        for (batching, batching_number) in [(Batching::Dynamic, 1), (Batching::Certified, 2)] {
            let session = interface.session(model, engine_number, batching_number);
            let options = ServeOptions { engine, batching, ..ServeOptions::default() };
            let rust = Session::new(&served, &options).unwrap();
            for batch in [1, 2, 5] {
                let pixels = &pixels[..batch * 3 * 24 * 24];
                let logits = interface.logits(session, pixels, batch);
                assert_eq!(logits, rust.logits(pixels, &CallLimits::default()).unwrap());
                let answers = rust.classify(pixels, &CallLimits::default()).unwrap();
                let found = interface.classify(session, pixels, batch);
                for (found, answer) in found.iter().zip(answers) {
                    assert_eq!(usize::try_from(found.class_index).ok(), answer.class);
                    assert_eq!(
                        (Some(found.probability), Some(found.margin)),
                        (answer.probability, answer.margin)
                    );
                    assert_eq!(found.abstained, 0);
                }
            }
            interface.delete("mimir_session_delete", session);
        }
    }
    interface.delete("mimir_model_delete", model);
    interface.delete("mimir_policy_delete", policy);
}
