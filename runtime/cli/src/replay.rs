//! The story of `mimir-certify replay`: the stored counterexamples are checked again from the files alone.
//!
//! No attack is on this path, and nothing is believed that can be checked: the certificate must be bound to the model
//! and to the images by their digests, and each counterexample is measured and shown to the original model.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use mimir_bundle::certificate::Certificate;
use mimir_bundle::{BatchMode, ThreatModel, digest};
use mimir_data::{ReadOptions, Split};
use mimir_export::onnx::{Limits, read_model};
use mimir_export::{ImageClassifier, InputSpec};
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::model::{Classifier, ModelSource};
use mimir_runtime::report::Conclusion;
use mimir_runtime::session::{Engine, EngineKind, OnnxModels, SessionPlan};
use mimir_runtime::verify::{Counterexample, VerifyError, verify};

use crate::args::ReplayArgs;
use crate::counterexamples::CounterexampleSet;
use crate::data::{self, OpenedImages};
use crate::failure::{Blame, Failure, OrBlame, failure};
use crate::model;
use crate::options::{EngineChoice, Images, engine_choice};
use crate::report_folder::CERTIFICATE;

/// What a replay found. `Display` is its summary.
#[derive(Debug)]
pub(crate) struct Replay {
    model_digest: String,
    threat_model: ThreatModel,
    /// Its name, version and device.
    engine: String,
    /// Counterexamples that the certificate counts.
    counted: usize,
    confirmed: usize,
    refuted: Vec<String>,
}

/// Checks the counterexamples of a report again.
///
/// # Errors
/// When the files cannot be read, or do not belong together. A counterexample that does not hold is no error.
pub(crate) fn replay(args: &ReplayArgs) -> Result<Replay, Failure> {
    let certificate = read_certificate(&args.report)?;
    let counterexamples = read_counterexamples(&args.report, &certificate)?;
    let engine = engine(args, &certificate)?;
    let named = named_images(args, &certificate)?;
    let images = open_images(&named)?;
    let classifier = read_classifier(&engine, &args.model, &certificate)?;
    let set = images.for_model(classifier.manifest())?;
    expect_images(&named, &set, &certificate)?;
    let mut session = session(&engine, &classifier, &certificate)?;
    check(session.as_mut(), &set, &counterexamples, &certificate, &engine)
}

/// The engine that was asked for, or that of the certificate: another may round differently.
fn engine(args: &ReplayArgs, certificate: &Certificate) -> Result<Engine, Failure> {
    let recorded = &certificate.execution.engine;
    let kind = match args.engine.map(engine_choice) {
        Some(EngineChoice::Rten) => EngineKind::Rten,
        Some(EngineChoice::OnnxRuntime | EngineChoice::Found) => EngineKind::OnnxRuntime,
        None => EngineKind::named(recorded).ok_or_else(|| {
            failure(
                Blame::Data,
                format!("certificate: there is no engine `{recorded}`; name one with --engine"),
            )
        })?,
    };
    let engine = match kind {
        EngineKind::OnnxRuntime => Engine::load(args.onnxruntime.as_deref()),
        EngineKind::Rten => Ok(Engine::rten()),
    };
    engine.and_then(|engine| engine.on(args.device.0)).or_blame(Blame::Internal)
}

fn read_certificate(folder: &Path) -> Result<Certificate, Failure> {
    let path = folder.join(CERTIFICATE);
    let text = std::fs::read_to_string(&path).map_err(|error| data_error(&path, error))?;
    Certificate::from_json(&text).map_err(|error| data_error(&path, error))
}

fn data_error(path: &Path, what: impl fmt::Display) -> Failure {
    failure(Blame::Data, format!("{}: {what}", path.display()))
}

fn read_counterexamples(folder: &Path, certificate: &Certificate) -> Result<CounterexampleSet, Failure> {
    let Some(stored) = &certificate.counterexamples else {
        return Err(data_error(folder, "no counterexamples are stored: run with --save-adversarial"));
    };
    // The certificate is a foreign file: it names a file beside itself and no other.
    if Path::new(&stored.file).file_name() != Some(stored.file.as_ref()) {
        return Err(data_error(
            folder,
            format!("`{}` is not the name of a file beside the certificate", stored.file),
        ));
    }
    let path = folder.join(&stored.file);
    let bytes = std::fs::read(&path).map_err(|error| data_error(&path, error))?;
    expect_digest(&path.display(), &digest::digest_bytes(&bytes), &stored.digest, Blame::Data)?;
    CounterexampleSet::from_npz(&bytes, certificate.model.image)
        .map_err(|error| data_error(&path, format!("{error:#}")))
}

/// The images that the certificate speaks about, where they are now.
fn named_images(args: &ReplayArgs, certificate: &Certificate) -> Result<Images, Failure> {
    let recorded = &certificate.data;
    let source = args.data.as_ref().unwrap_or(&recorded.source).parse().or_blame(Blame::Usage)?;
    let split = match recorded.split.as_deref() {
        None | Some("test") => Split::Test,
        Some("train") => Split::Train,
        Some(other) => return Err(failure(Blame::Data, format!("certificate: there is no split `{other}`"))),
    };
    Ok(Images { source, read: ReadOptions { split, first: recorded.first } })
}

fn open_images(images: &Images) -> Result<OpenedImages, Failure> {
    OpenedImages::open(images).map_err(|failed| {
        failure(failed.blame, format!("{failed}; say where the original images are with --data"))
    })
}

fn expect_images(images: &Images, set: &EvaluationSet, certificate: &Certificate) -> Result<(), Failure> {
    let (found, recorded) = (data::record(images, set, certificate.model.image)?, &certificate.data);
    expect_digest(&"images", &found.images_digest, &recorded.images_digest, Blame::Data)?;
    expect_digest(&"labels", &found.labels_digest, &recorded.labels_digest, Blame::Data)
}

fn read_classifier(
    engine: &Engine,
    path: &Path,
    certificate: &Certificate,
) -> Result<ImageClassifier, Failure> {
    let recorded = &certificate.model;
    let file = read_model(path, &Limits::default()).or_blame(Blame::Model)?;
    expect_digest(&path.display(), &file.digest, &recorded.model_digest, Blame::Model)?;
    let spec = InputSpec {
        normalisation: recorded.normalisation.clone(),
        layout: Some(recorded.layout),
        image: Some(recorded.image),
    };
    let mut classifier = model::classifier(engine, file, &spec).or_blame(Blame::Model)?;
    if let [first, ..] = classifier.random_operators() {
        let message =
            format!("{first} gives another answer each time: one forward pass neither confirms nor refutes");
        return Err(failure(Blame::Model, message));
    }
    if recorded.batch == BatchMode::One {
        classifier.keep_fixed_batch();
    }
    classifier.set_output_kind(recorded.output);
    if classifier.manifest() != recorded {
        let message =
            "the certificate describes this model otherwise than its file does: another version wrote it";
        return Err(data_error(path, message));
    }
    Ok(classifier)
}

fn session(
    engine: &Engine,
    classifier: &ImageClassifier,
    certificate: &Certificate,
) -> Result<Box<dyn Classifier>, Failure> {
    // The same batch as in the evaluation: an engine rounds differently in batches of another size.
    let plan = SessionPlan { batch: certificate.execution.batch, workers: 1, threads: 1 };
    let original = classifier.original_onnx().or_blame(Blame::Model)?;
    let models = OnnxModels::new(engine, classifier.manifest(), original, plan).or_blame(Blame::Model)?;
    models.classifier().or_blame(Blame::Model)
}

fn expect_digest(what: &dyn fmt::Display, found: &str, wanted: &str, blame: Blame) -> Result<(), Failure> {
    if found == wanted {
        return Ok(());
    }
    Err(failure(blame, format!("{what}: SHA-256 is {found}, the certificate speaks about {wanted}")))
}

fn check(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    stored: &CounterexampleSet,
    certificate: &Certificate,
    engine: &Engine,
) -> Result<Replay, Failure> {
    let rows = stored.indices.iter().zip(stored.images.rows());
    let counterexamples: Vec<Counterexample> = rows
        .map(|(&image, row)| Counterexample { image, pixels: row.to_slice().unwrap_or_default() })
        .collect();
    let mut refuted = repeated(&stored.indices);
    // All in full batches; only where one does not hold, each alone, to name them all.
    if verify(classifier, set, &counterexamples, &certificate.threat_model).is_err() {
        for counterexample in &counterexamples {
            refuted.extend(refutation(classifier, set, counterexample, &certificate.threat_model)?);
        }
    }
    Ok(Replay {
        model_digest: certificate.model.model_digest.clone(),
        threat_model: certificate.threat_model,
        engine: format!("{} {} on {}", engine.kind().name(), engine.version(), engine.device()),
        counted: certificate.counts.broken,
        confirmed: counterexamples.len().saturating_sub(refuted.len()),
        refuted,
    })
}

/// Why a counterexample does not hold, where it does not.
fn refutation(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    counterexample: &Counterexample,
    threat_model: &ThreatModel,
) -> Result<Option<String>, Failure> {
    match verify(classifier, set, &[*counterexample], threat_model) {
        Ok(()) => Ok(None),
        Err(error @ (VerifyError::Model(_) | VerifyError::Radius(_))) => Err(error).or_blame(Blame::Internal),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Images that stand in the file more than once: one counterexample must not be counted twice.
fn repeated(indices: &[usize]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let again = indices.iter().filter(|&&image| !seen.insert(image));
    again.map(|image| format!("image {image} stands in the file twice")).collect()
}

impl Replay {
    /// Whether every broken image that the certificate counts was confirmed, and nothing else is in the file.
    pub(crate) fn conclusion(&self) -> Conclusion {
        if self.refuted.is_empty() && self.confirmed == self.counted {
            Conclusion::Holds
        } else {
            Conclusion::DoesNotHold
        }
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { confirmed, counted, threat_model, engine, .. } = self;
        let word = match self.conclusion() {
            Conclusion::Holds | Conclusion::NoRequirement => "PASS",
            Conclusion::DoesNotHold | Conclusion::Open => "FAIL",
        };
        writeln!(
            f,
            "{word}  confirmed {confirmed} of the {counted} broken images that the certificate counts\n"
        )?;
        writeln!(f, "model         sha256 {}", self.model_digest)?;
        writeln!(f, "threat model  {threat_model}")?;
        writeln!(f, "engine        {engine}")?;
        writeln!(
            f,
            "\nA confirmed counterexample lies within the threat model of its original image, and the model"
        )?;
        writeln!(f, "classifies it wrongly, in a forward pass made now.")?;
        for refuted in &self.refuted {
            writeln!(f, "not confirmed: {refuted}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::Norm;

    use super::*;

    #[test]
    fn text_and_conclusion_agree() {
        let cases = [
            (2, 2, 0, Conclusion::Holds, "PASS  confirmed 2 of the 2"),
            (0, 0, 0, Conclusion::Holds, "PASS  confirmed 0 of the 0"),
            (2, 1, 1, Conclusion::DoesNotHold, "FAIL  confirmed 1 of the 2"),
            (2, 1, 0, Conclusion::DoesNotHold, "FAIL  confirmed 1 of the 2"),
            (2, 2, 1, Conclusion::DoesNotHold, "FAIL  confirmed 2 of the 2"),
        ];
        for (counted, confirmed, refuted, conclusion, text) in cases {
            let replay = Replay {
                model_digest: "a".repeat(64),
                threat_model: ThreatModel { norm: Norm::Linf, epsilon: 2.0 / 255.0 },
                engine: "rten 0.27.0 on cpu".into(),
                counted,
                confirmed,
                refuted: vec!["counterexample of image 3: no".into(); refuted],
            };
            assert_eq!(replay.conclusion(), conclusion, "{replay}");
            assert!(replay.to_string().starts_with(text), "{replay}");
            assert_eq!(
                replay.to_string().matches("not confirmed: counterexample of image 3").count(),
                refuted
            );
        }
    }
}
