//! From a model's file and images to a report: the steps of a certification, as a library.
//!
//! [`certify`] attacks an ONNX image classifier and says what was found. The report's attacked accuracy is an upper
//! bound of the robust accuracy, never a proof; "certificate" means a record of an evaluation, bound to the model and
//! the images by their digests. [`replay`] checks the stored counterexamples of a report again, from the files alone.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use mimir_bundle::{AttackSpec, Norm, ThreatModel};
//! use mimir_certify::{CertifyOptions, certify};
//! use mimir_runtime::evaluate::Silent;
//!
//! let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/demo");
//! let threat_model = ThreatModel::new(Norm::Linf, 8.0 / 255.0)?;
//! let images = format!("npz:{demo}/images.npz").parse()?;
//! let mut options = CertifyOptions::new(format!("{demo}/model.onnx"), images, threat_model);
//! options.images.read.first = Some(8);
//! options.attacks = vec![AttackSpec::named("fgsm").expect("an attack")];
//! let certified = certify(&options, &Silent, &AtomicBool::new(false))?;
//! println!("{}", certified.report);
//! assert_eq!(certified.report.images, 8);
//! assert!(certified.certificate.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The steps
//!
//! Programs that need one step and not the others, such as a shard of a long run, can take them singly. They are the
//! lines of [`certify`]:
//!
//! 1. [`Engines::load`] finds ONNX Runtime, or takes rten, and starts the device.
//! 2. [`OpenedImages::open`] opens the images; pixels are read, resized and cropped when they are asked for.
//! 3. [`ModelInput::read`] reads the ONNX file, of a bundle or by itself, [`PreparedModel::new`] finds out what kind of classifier it is, and
//!    [`OpenedImages::fit`] takes the channels and labels that it asks for, and [`OpenedImages::for_model`] checks the
//!    images against it.
//! 4. [`PreparedModel::calibrate`] runs the model on the first images: its batch, what its output is, how the cores are
//!    shared. A replay takes the same from the certificate.
//! 5. [`CalibratedModel::sessions`] makes the gradient graphs that the attacks ask for, and
//!    [`evaluate`](mimir_runtime::evaluate::evaluate) runs the attacks on them. Before that,
//!    [`CalibratedModel::differences`] tells whether these graphs are the function of the file.
//! 6. The report is written into its [folder](report_folder), in an order in which a crash loses nothing.
//!
//! # While it runs
//!
//! An [`Observer`](mimir_runtime::evaluate::Observer) is told after each batch how far the evaluation is. A flag ends
//! it in order. With a report folder, everything that is finished goes into a journal (`docs/journal.md`), and a run
//! with [`ExistingJournal::Resume`] ends with the report of one that was never stopped.
//!
//! # Errors
//!
//! An [`Error`] says in its [`kind`](Error::kind) what is at fault, and in its [`option`](Error::option) which option
//! would change the answer. That a gate does not hold is an answer and no error.
#![forbid(unsafe_code)]

mod attackable;
mod baseline;
mod bundle_certificate;
mod certified;
mod certify;
pub mod check;
mod classify;
mod clock;
pub mod counterexamples;
pub mod describe;
mod described_images;
mod engines;
mod error;
mod extra_passes;
mod features;
mod folder_lock;
mod image_warnings;
mod images;
mod kept_counterexamples;
pub mod model;
mod model_input;
mod opened_bundle;
mod options;
mod pictures;
mod policy_check;
mod prepare;
mod replay;
pub mod report_folder;
mod run_state;
mod scalings;
pub mod self_test;
pub mod serve;
pub mod signing;
mod surrogate;
mod tool;
mod verify_certificate;
mod write;

pub use bundle_certificate::expect_room;
pub use certified::{BundleChange, Certified, Replaced, Unwritten};
pub use certify::certify;
pub use check::{CheckOptions, Checked, check};
pub use classify::{Classified, ClassifiedImage, ClassifyOptions, classify};
pub use engines::Engines;
pub use error::{Error, ErrorKind, OptionName, with_causes};
pub use features::{FeatureList, FeaturesOptions, ListedFeature, ListedPlace, list_features};
pub use images::OpenedImages;
pub use kept_counterexamples::KeptCounterexamples;
pub use mimir_export::InputSpec;
pub use model::{CalibratedModel, PreparedModel};
pub use model_input::ModelInput;
pub use options::{
    ApproximateSearch, BaselineOptions, BundleMode, CertifyOptions, CrossChecking, EngineChoice,
    EngineOptions, ExistingJournal, ExtraAttacks, Gate, GateMode, ImageSource, KeepCounterexamples,
    MOST_LANDSCAPES, MakeExtraPasses, ReplayOptions, ReportOptions, StoreCounterexamples, SurrogateSource,
};
pub use pictures::{PixelPair, read_pairs};
pub use policy_check::{PolicyCheck, check_policy, read_policy};
pub use prepare::image_shape;
pub use replay::{Replay, replay};
pub use tool::COMMIT;
pub use verify_certificate::{CertificateCheck, verify_certificate};
pub use write::{clear_report_folder, record_failure};
