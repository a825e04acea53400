//! A model that met its policy.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mimir_bundle::bundle::{Bundle, BundleCertificate, BundleManifest, MODEL};
use mimir_bundle::digest::digest_model;
use mimir_bundle::policy::{Policy, Verdict};
use mimir_bundle::signature::PublicKey;
use mimir_bundle::{Certificate, ImageShape};
use mimir_export::onnx::{Limits, ModelFile, check_bundled, read_bundled};
use mimir_export::{ErrorKind, ImageClassifier, InputSpec};
use mimir_runtime::session::Engine;

use super::error::ServeError;
use crate::model::classifier_by;
use crate::model_input::described_input;
use crate::policy_check::{judge, keys_of};

/// A model that met its policy. Cheap to clone, and never changed.
#[derive(Debug, Clone)]
pub struct ServedModel(Arc<Served>);

#[derive(Debug)]
struct Served {
    /// Where it came from, for messages.
    place: String,
    bundle: Bundle,
    /// SHA-256 of the model's files, as certificates have it.
    digest: String,
    verdict: Verdict,
    classifier: Known,
}

/// What kind of classifier the file is.
#[derive(Debug)]
enum Known {
    /// Its own graph shows it.
    Classifier(Box<ImageClassifier>),
    /// Its shapes cannot be worked out without an engine.
    ByEngine(Box<ModelFile>),
}

impl ServedModel {
    /// Loads the model of a bundle, a folder or one file, if it meets the policy. Keys of signatures are those that the
    /// policy holds; `keys` are those that it names by their ids only.
    ///
    /// # Errors
    /// [`ServeError::Argument`] for a policy that asks for nothing, or for what cannot be; [`ServeError::Bundle`] when the
    /// bundle has a fault; [`ServeError::Refused`] when it does not meet the policy; [`ServeError::Model`] when its model is
    /// no classifier that is supported, or not the one that is described.
    pub fn load(path: &Path, policy: &Policy, keys: &[PublicKey]) -> Result<Self, ServeError> {
        check(policy)?;
        Self::of(path.display().to_string(), Bundle::open(path)?, policy, keys)
    }

    /// As [`ServedModel::load`], of the bytes of a bundle in one file.
    ///
    /// # Errors
    /// As [`ServedModel::load`].
    pub fn from_bytes(
        bytes: impl Into<Bytes>,
        policy: &Policy,
        keys: &[PublicKey],
    ) -> Result<Self, ServeError> {
        check(policy)?;
        Self::of("the bundle in memory".to_owned(), Bundle::from_bytes(bytes)?, policy, keys)
    }

    fn of(place: String, bundle: Bundle, policy: &Policy, keys: &[PublicKey]) -> Result<Self, ServeError> {
        let keys: Vec<PublicKey> = keys_of(policy).chain(keys.iter().cloned()).collect();
        let verdict = judge(&bundle, policy, &keys);
        if !verdict.is_met() {
            return Err(ServeError::Refused { place, verdict });
        }
        let refuse = |error| ServeError::Model { place: place.clone(), error };
        check_bundled(&bundle, &Limits::default()).map_err(refuse)?;
        let file = read_bundled(&bundle, MODEL, &Limits::default()).map_err(refuse)?;
        let missing = bundle.manifest().features.iter().find(|known| file.graph.find(&known.name).is_none());
        if let Some(feature) = missing {
            let message = format!("{MODEL} has no tensor `{}`, which the manifest names", feature.name);
            return Err(refuse(mimir_export::Error::new(ErrorKind::Format, message)));
        }
        let digest = digest_model(&bundle.model_files());
        let classifier = match ImageClassifier::new(file.clone(), &described_input(bundle.manifest())) {
            Ok(classifier) => Known::Classifier(Box::new(as_evaluated(classifier, &bundle)?)),
            Err(error) if matches!(error.kind(), ErrorKind::Shape | ErrorKind::Unsupported) => {
                Known::ByEngine(Box::new(file))
            }
            Err(error) => return Err(refuse(error)),
        };
        let model = Self(Arc::new(Served { place, bundle, digest, verdict, classifier }));
        if let Known::Classifier(classifier) = &model.0.classifier {
            model.expect(classifier)?;
        }
        Ok(model)
    }

    /// The description of the model.
    pub fn manifest(&self) -> &BundleManifest {
        self.0.bundle.manifest()
    }

    /// The shape of one image.
    pub fn image(&self) -> ImageShape {
        self.manifest().input.image
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.manifest().classes.count
    }

    /// The name of a class, where the bundle names them.
    pub fn class_name(&self, class: usize) -> Option<&str> {
        self.manifest().classes.names.as_ref()?.get(class).map(String::as_str)
    }

    /// SHA-256 of the model's files, as `model_digest` of certificates and policies has it.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// The certificates of the bundle, in ascending order of their names.
    pub fn certificates(&self) -> &[BundleCertificate] {
        self.0.bundle.certificates()
    }

    /// What the policy asked for, and what the bundle showed.
    pub fn verdict(&self) -> &Verdict {
        &self.0.verdict
    }

    /// Where it came from.
    pub(super) fn place(&self) -> &str {
        &self.0.place
    }

    pub(super) fn refuse(&self, error: mimir_export::Error) -> ServeError {
        ServeError::Model { place: self.0.place.clone(), error }
    }

    /// The classifier; the engine is asked only where the file does not show what it is. That takes time and memory which
    /// nothing bounds.
    pub(super) fn with_classifier<T>(
        &self,
        engine: &Engine,
        is_bounded: bool,
        take: impl FnOnce(&ImageClassifier) -> Result<T, ServeError>,
    ) -> Result<T, ServeError> {
        let file = match &self.0.classifier {
            Known::Classifier(classifier) => return take(classifier),
            Known::ByEngine(file) => file,
        };
        if is_bounded {
            return Err(self.refuse(mimir_export::Error::unsupported(
                "only the engine can work out the shapes in this model, and nothing bounds its memory and time for that: \
                 allow any, or export the model with known shapes",
            )));
        }
        let spec: InputSpec = described_input(self.manifest());
        let classifier =
            classifier_by(engine, (**file).clone(), &spec).map_err(|error| self.refuse(error))?;
        let classifier = as_evaluated(classifier, &self.0.bundle)?;
        self.expect(&classifier)?;
        take(&classifier)
    }

    /// The evaluation whose way of running the model is followed.
    pub(super) fn evaluation(&self) -> Option<&Certificate> {
        evaluation(&self.0.bundle)
    }

    /// The model is as its description says, and gives the same answer each time.
    fn expect(&self, classifier: &ImageClassifier) -> Result<(), ServeError> {
        if let Some(operator) = classifier.random_operators().first() {
            return Err(self.refuse(mimir_export::Error::unsupported(format!(
                "{operator} makes the model give another answer each time: export it in inference mode"
            ))));
        }
        self.manifest().expect_model(MODEL, classifier.manifest()).map_err(ServeError::Bundle)?;
        match classifier.manifest().classes == self.classes() {
            true => Ok(()),
            false => Err(self.refuse(mimir_export::Error::new(
                ErrorKind::NotAClassifier,
                format!(
                    "has {} classes, the manifest says {}",
                    classifier.manifest().classes,
                    self.classes()
                ),
            ))),
        }
    }
}

fn check(policy: &Policy) -> Result<(), ServeError> {
    policy.check().map_err(|error| ServeError::Argument(error.to_string()))
}

fn evaluation(bundle: &Bundle) -> Option<&Certificate> {
    bundle.certificates().first().map(|known| &known.certificate)
}

/// Batch and output as the evaluation found them by running the model. Where there was none, a graph whose fixed batch we
/// changed without comparing is not used: the file's own batch is.
fn as_evaluated(mut classifier: ImageClassifier, bundle: &Bundle) -> Result<ImageClassifier, ServeError> {
    match evaluation(bundle) {
        Some(Certificate { model, .. }) => {
            if model.batch.rows().is_some() {
                classifier.keep_fixed_batch();
            }
            classifier.set_output_kind(model.output);
            if classifier.manifest().batch != model.batch {
                let (found, recorded) = (classifier.manifest().batch, model.batch);
                return Err(ServeError::Argument(format!(
                    "{MODEL} is run with batch {found:?} here and was with {recorded:?} in its evaluation: the certificate was \
                     written by another version"
                )));
            }
        }
        None if classifier.has_fixed_batch() => classifier.keep_fixed_batch(),
        None => {}
    }
    Ok(classifier)
}
