//! The steps of a replay: the stored counterexamples are checked again from the files alone.
//!
//! No attack is on this path, and nothing is believed that can be checked: the certificate must be bound to the model
//! and to the images by their digests, and each counterexample is measured and shown to the original model.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use mimir_bundle::bundle::FileKind;
use mimir_bundle::certificate::{Certificate, Execution, Processor};
use mimir_bundle::digest::FileDigest;
use mimir_bundle::{ThreatModel, digest, one_line};
use mimir_data::ReadOptions;
use mimir_export::InputSpec;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::model::{Classifier, ModelSource};
use mimir_runtime::report::Conclusion;
use mimir_runtime::session::{Engine, EngineKind};
use mimir_runtime::verify::{Counterexample, VerifyError, predictions, verify, verify_random};
use mimir_runtime::{majority, probe, processor};
use ndarray::Array2;

use crate::certified::of_plain_text;
use crate::counterexamples::{CounterexampleError, CounterexampleRecords, StoredCounterexamples};
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result, with_causes};
use crate::images::{OpenedImages, describe, recorded_preparation, recorded_split};
use crate::model::{CalibratedModel, PreparedModel};
use crate::model_input::ModelInput;
use crate::options::{EngineChoice, ImageSource, ReplayOptions};
use crate::report_folder::CERTIFICATE;

/// What a replay found. `Display` is its summary.
#[derive(Debug)]
pub struct Replay {
    /// The files of the model.
    pub model: Vec<FileDigest>,
    /// What the adversary was allowed to do.
    pub threat_model: ThreatModel,
    /// What ran the model: name, version and device.
    pub engine: String,
    /// Counterexamples that the certificate counts.
    pub counted: usize,
    /// Stored counterexamples that hold.
    pub confirmed: usize,
    /// Why each other one does not, a sentence each.
    pub refuted: Vec<String>,
    /// What else the record says that the model does not, a sentence each.
    pub contradictions: Vec<String>,
    /// What else a reader must know, a sentence each.
    pub notes: Vec<String>,
}

/// Checks the counterexamples of a report again.
///
/// # Errors
/// When the files cannot be read, or do not belong together. A counterexample that does not hold is no error.
pub fn replay(options: &ReplayOptions) -> Result<Replay> {
    let certificate = read_certificate(&options.report)?;
    let engine = engine(options, &certificate)?;
    let named = named_images(options, &certificate)?;
    let mut images = open_images(&named)?;
    let model = model(&engine, &options.model, &certificate)?;
    images.fit(model.manifest())?;
    let set = images.for_model(model.manifest(), certificate.threat_model.pixels)?;
    expect_images(&named, &images, &set, &certificate)?;
    expect_majority_test(&model, &certificate)?;
    let file = stored_file(&options.report, &certificate, &set)?;
    let mut stored = open_counterexamples(&file, &certificate, &set)?;
    let records = stored.records().map_err(|error| file.error(&error))?;
    let mut session = model.original()?.classifier().or_kind(ErrorKind::Model)?;
    let mut replay = Replay::new(&certificate, &engine, &records);
    replay.contradictions = foreign_labels(&set, &records);
    let only = options.only.map(|image| place_of(image, &records, &file)).transpose()?;
    if model.votes() == 1 && only.is_none() {
        replay.contradictions.extend(clean_contradiction(session.as_mut(), &set, &certificate)?);
    }
    let rows = only.map_or_else(|| rows_at_once(session.batch(), set.pixels_per_image()), |_| 1);
    let mut pixels = stored.pixels().map_err(|error| file.error(&error))?;
    let (mut first, mut shown) = (0, 0);
    while let Some(images) = pixels.next(rows).map_err(|error| file.error(&error))? {
        let part = Part { images, first, records: &records };
        first += part.images.nrows();
        if only.is_some_and(|place| place != part.first) {
            continue;
        }
        shown += part.images.nrows();
        part.check(session.as_mut(), &set, &certificate.threat_model, model.votes(), &mut replay)?;
    }
    replay.confirmed = shown.saturating_sub(replay.refuted.len());
    let recorded = &certificate.execution;
    let note = processor_note(&recorded.processor, &processor::detect(), model.is_quantised());
    replay.notes = note.into_iter().chain(version_note(recorded, &engine)).collect();
    if let Some(image) = options.only {
        let all = replay.counted;
        replay.counted = 1;
        replay.notes.push(format!(
            "note: only the counterexample of image {image} was checked, of {all} that are recorded"
        ));
    }
    Ok(replay)
}

/// The place of the counterexample of an image among those that are stored.
///
/// # Errors
/// [`ErrorKind::Data`] when it has none.
fn place_of(image: usize, records: &CounterexampleRecords, file: &StoredFile) -> Result<usize> {
    let place = records.indices.iter().position(|stored| *stored == image);
    place.ok_or_else(|| data_error(&file.path, format!("image {image} has no counterexample here")))
}

/// What it means that another release of the engine runs the model; nothing where it is the same.
fn version_note(recorded: &Execution, engine: &Engine) -> Option<String> {
    let here = (engine.kind().name(), engine.version());
    let there = (recorded.engine.as_str(), recorded.engine_version.as_str());
    (here != there).then(|| {
        let (there, here) = (format!("{} {}", there.0, there.1), format!("{} {}", here.0, here.1));
        format!(
            "note: the certificate was written with {}, and this is {here}: logits may differ in their last bits",
            there.escape_debug()
        )
    })
}

/// How many images a deterministic model classifies correctly, where the record says otherwise.
fn clean_contradiction(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    certificate: &Certificate,
) -> Result<Option<String>> {
    let probe::Sampled { correct, classified: images, .. } =
        probe::correct_of_some(classifier, set, set.count())?;
    let recorded = certificate.counts.clean_correct;
    Ok((correct != recorded).then(|| {
        format!(
            "counts.clean_correct is {recorded}, but the model classifies {correct} of the {images} images correctly"
        )
    }))
}

/// A model with random operators was decided by the test of this version, and no other model by any.
fn expect_majority_test(model: &CalibratedModel, certificate: &Certificate) -> Result<()> {
    let wanted = (model.votes() > 1).then(majority::description);
    if certificate.majority_test == wanted {
        return Ok(());
    }
    let message = match wanted {
        None => "certificate: there is a majority_test, but the model has no random operators",
        Some(_) => {
            "certificate: majority_test is not the one by which this version decides what a model with random operators \
             predicts"
        }
    };
    Err(Error::new(ErrorKind::Data, message))
}

/// What it means that this processor has other instruction sets than the recorded one; nothing where it has the same.
fn processor_note(recorded: &Processor, here: &Processor, is_quantised: bool) -> Option<String> {
    let differing = recorded.differing_features(here);
    let differing = (!differing.is_empty()).then(|| differing.join(", "))?;
    Some(if is_quantised {
        format!(
            "warning: the certificate was written on {}, and this processor differs from it in {differing}: the model \
             computes in 8-bit numbers, whose products saturate on some processors, so verdicts may differ",
            recorded.name
        )
    } else {
        format!(
            "note: the certificate was written on {}, and this processor differs from it in {differing}: logits may \
             differ in their last bits",
            recorded.name
        )
    })
}

/// The engine that was asked for, or that of the certificate: another may round differently.
fn engine(options: &ReplayOptions, certificate: &Certificate) -> Result<Engine> {
    let recorded = &certificate.execution.engine;
    let kind = match options.engine {
        Some(EngineChoice::Rten) => EngineKind::Rten,
        Some(EngineChoice::OnnxRuntime | EngineChoice::Found) => EngineKind::OnnxRuntime,
        None => EngineKind::named(recorded).ok_or_else(|| {
            let message = format!("certificate: there is no engine `{recorded}`");
            Error::new(ErrorKind::Data, message).about(OptionName::ReplayEngine)
        })?,
    };
    let engine = match kind {
        EngineKind::OnnxRuntime => Engine::load(options.library.as_deref()),
        EngineKind::Rten => Ok(Engine::rten()),
    };
    engine.and_then(|engine| engine.on(options.device)).or_kind(ErrorKind::Internal)
}

fn read_certificate(folder: &Path) -> Result<Certificate> {
    let path = folder.join(CERTIFICATE);
    let text = mimir_files::read_text(&path, FileKind::Certificate.most_bytes());
    let text = text.map_err(|error| data_error(&path, error))?;
    Certificate::from_json(&text).map_err(|error| data_error(&path, error))
}

fn data_error(path: &Path, what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Data, format!("{}: {what}", path.display()))
}

/// The file of the counterexamples, open, and found to be the one that the certificate names.
struct StoredFile {
    path: PathBuf,
    file: File,
}

impl StoredFile {
    fn error(&self, error: &CounterexampleError) -> Error {
        data_error(&self.path, with_causes(error))
    }
}

/// Opens the file of the counterexamples and compares its digest. It is never in memory as a whole; whoever exchanges its
/// bytes meanwhile gains nothing, since each counterexample is checked.
fn stored_file(folder: &Path, certificate: &Certificate, set: &EvaluationSet) -> Result<StoredFile> {
    let Some(stored) = &certificate.counterexamples else {
        let error = data_error(folder, "no counterexamples are stored");
        return Err(error.about(OptionName::Counterexamples));
    };
    // The certificate is a foreign file: it names a file beside itself and no other.
    if Path::new(&stored.file).file_name() != Some(stored.file.as_ref()) {
        return Err(data_error(
            folder,
            format!("`{}` is not the name of a file in the folder of the certificate", stored.file),
        ));
    }
    let path = folder.join(&stored.file);
    let most_bytes = most_counterexamples(set)
        .saturating_mul(BYTES_BESIDE_PIXELS.saturating_add(4 * set.pixels_per_image()))
        as u64;
    let opened = mimir_files::open_unlinked(&path).map_err(|error| data_error(&path, error))?;
    opened.expect_at_most(most_bytes).map_err(|error| data_error(&path, error))?;
    let bounded = (&opened.file).take(most_bytes);
    let found = digest::digest_reader(bounded).map_err(|error| data_error(&path, error))?;
    expect_digest(&path.display(), &found, &stored.digest, ErrorKind::Data)?;
    Ok(StoredFile { path, file: opened.file })
}

/// Twice as many as there are images: one of each, and none that only fills memory.
fn most_counterexamples(set: &EvaluationSet) -> usize {
    set.count().saturating_mul(2)
}

fn open_counterexamples<'f>(
    stored: &'f StoredFile,
    certificate: &Certificate,
    set: &EvaluationSet,
) -> Result<StoredCounterexamples<'f, BufReader<&'f File>>> {
    let file = BufReader::new(&stored.file);
    StoredCounterexamples::open(file, &stored.path, certificate.model.image, most_counterexamples(set))
        .map_err(|error| stored.error(&error))
}

/// How many images are read and shown to the model before the next: full batches, and 32 MiB or one batch.
fn rows_at_once(batch: usize, pixels_per_image: usize) -> usize {
    const MOST_VALUES: usize = 8 << 20;
    let batch = batch.max(1);
    batch * (MOST_VALUES / pixels_per_image.max(1) / batch).max(1)
}

/// Bytes of one counterexample besides its pixels, and its share of headers, at most.
const BYTES_BESIDE_PIXELS: usize = 1 << 14;

/// Labels in the file of the counterexamples that are not those of the images.
fn foreign_labels(set: &EvaluationSet, stored: &CounterexampleRecords) -> Vec<String> {
    let pairs = stored.indices.iter().zip(&stored.labels);
    let wrong = pairs.filter_map(|(image, label)| {
        let known = set.labels().get(*image)?;
        (known != label)
            .then(|| format!("image {image} is stored with label {label}, but its label is {known}"))
    });
    wrong.collect()
}

/// The images that the certificate speaks about, where they are now.
fn named_images(options: &ReplayOptions, certificate: &Certificate) -> Result<ImageSource> {
    let recorded = &certificate.data;
    let source = match &options.images {
        Some(source) => source.clone(),
        None => recorded.source.parse().or_kind(ErrorKind::Options)?,
    };
    let split = recorded_split(recorded)?;
    let preparation = recorded_preparation(recorded)?;
    Ok(ImageSource { source, read: ReadOptions { split, first: recorded.first }, preparation })
}

fn open_images(images: &ImageSource) -> Result<OpenedImages> {
    OpenedImages::open(images).map_err(|error| error.about(OptionName::ReplayImages))
}

fn expect_images(
    named: &ImageSource,
    opened: &OpenedImages,
    set: &EvaluationSet,
    certificate: &Certificate,
) -> Result<()> {
    let found = of_plain_text(describe(named, opened, set, certificate.model.image)?);
    let recorded = &of_plain_text(certificate.data.clone());
    expect_digest(&"images", &found.images_digest, &recorded.images_digest, ErrorKind::Data)?;
    expect_digest(&"labels", &found.labels_digest, &recorded.labels_digest, ErrorKind::Data)?;
    let images = (certificate.counts.images, set.count());
    if images.0 != images.1 {
        let message =
            format!("certificate: counts.images is {}, but there are {} images", images.0, images.1);
        return Err(Error::new(ErrorKind::Data, message));
    }
    let same = [
        ("data.class_names", found.class_names == recorded.class_names),
        ("data.image_files", found.image_files == recorded.image_files),
        ("data.jpeg_decoder", found.jpeg_decoder.is_some() == recorded.jpeg_decoder.is_some()),
    ];
    // Images that were given by hand may be stored otherwise: their digest is what binds.
    let is_recorded_place = one_line(&named.source.to_string()) == recorded.source;
    match same.into_iter().find(|(_, same)| !same) {
        Some((field, _)) if is_recorded_place => {
            let message = format!("certificate: {field} is not that of {}", recorded.source.escape_debug());
            Err(Error::new(ErrorKind::Data, message))
        }
        _ => Ok(()),
    }
}

fn model(engine: &Engine, input: &ModelInput, certificate: &Certificate) -> Result<CalibratedModel> {
    let recorded = &certificate.model;
    let file = input.read()?;
    expect_model(input, &file.files, &recorded.files)?;
    let spec = InputSpec {
        normalisation: recorded.normalisation.clone(),
        channel_order: recorded.channel_order,
        layout: Some(recorded.layout),
        output: Some(recorded.output_name.clone()),
        image: Some(recorded.image),
    };
    let prepared = PreparedModel::new(engine, file, &spec)?;
    input.expect(prepared.manifest())?;
    prepared.calibrate_as_recorded(recorded, &certificate.execution)
}

fn expect_digest(what: &dyn fmt::Display, found: &str, wanted: &str, kind: ErrorKind) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::new(kind, format!("{what}: SHA-256 is {found}, but the certificate records {wanted}")))
}

/// How counterexamples are checked: by one forward pass, or by draws where the model has random operators.
type Verify = fn(
    &mut dyn Classifier,
    &EvaluationSet,
    &[Counterexample],
    &ThreatModel,
) -> std::result::Result<(), VerifyError>;
/// Every file of the model is the recorded one. Its digest is then too: reading the certificate compared the two.
fn expect_model(model: &ModelInput, found: &[FileDigest], recorded: &[FileDigest]) -> Result<()> {
    match differing_files(model, found, recorded).into_iter().next() {
        None => Ok(()),
        Some(difference) => Err(Error::new(ErrorKind::Model, difference)),
    }
}

/// Where the files of a model are not the recorded ones, a sentence each. The ONNX file may have another name.
pub(crate) fn differing_files(
    model: &ModelInput,
    found: &[FileDigest],
    recorded: &[FileDigest],
) -> Vec<String> {
    let names = |files: &[FileDigest]| {
        files.iter().skip(1).map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if names(found) != names(recorded) || found.len() != recorded.len() {
        return vec![format!(
            "{}: its external data is in [{}], but the certificate records [{}]",
            model.path().display(),
            names(found),
            names(recorded)
        )];
    }
    let pairs = found.iter().zip(recorded);
    let differing =
        pairs.filter(|(found, recorded)| (found.bytes, &found.sha256) != (recorded.bytes, &recorded.sha256));
    let sentence = |(found, recorded): (&FileDigest, &FileDigest)| {
        let place = model.path_of(&found.name);
        format!(
            "{}: SHA-256 is {}, but the certificate records {}",
            place.display(),
            found.sha256,
            recorded.sha256
        )
    };
    differing.map(sentence).collect()
}

/// Some of the stored counterexamples, one after another.
struct Part<'a> {
    /// `[m, C·H·W]`.
    images: Array2<f32>,
    /// The place of the first among all.
    first: usize,
    records: &'a CounterexampleRecords,
}

impl Part<'_> {
    /// Measures each and shows it to the model, and adds to the replay what is not so.
    fn check(
        &self,
        classifier: &mut dyn Classifier,
        set: &EvaluationSet,
        threat_model: &ThreatModel,
        votes: usize,
        replay: &mut Replay,
    ) -> Result<()> {
        let images = &self.records.indices[self.first..];
        let rows: Vec<&[f32]> = self.images.rows().into_iter().filter_map(|row| row.to_slice()).collect();
        let pairs = images.iter().zip(&rows);
        let counterexamples: Vec<Counterexample> =
            pairs.map(|(&image, &pixels)| Counterexample { image, pixels }).collect();
        let verify = if votes > 1 { verify_random } else { verify };
        // All in full batches; only where one does not hold, each alone, to name them all.
        if verify(classifier, set, &counterexamples, threat_model).is_err() {
            for counterexample in &counterexamples {
                let refutation = refutation(classifier, set, counterexample, threat_model, verify)?;
                replay.refuted.extend(refutation);
            }
        }
        if votes == 1 {
            let predicted = predictions(classifier, &rows).or_kind(ErrorKind::Internal)?;
            let said = images.iter().zip(&self.records.predictions[self.first..]).zip(predicted);
            let differing = said.filter(|((_, said), here)| *here != Some(**said));
            replay.contradictions.extend(differing.map(|((image, said), here)| {
                let here = here.map_or_else(|| "none".to_owned(), |class| class.to_string());
                format!("the counterexample of image {image} is stored with class {said}, but the model says {here}")
            }));
        }
        Ok(())
    }
}

/// Why a counterexample does not hold, where it does not.
fn refutation(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    counterexample: &Counterexample,
    threat_model: &ThreatModel,
    verify: Verify,
) -> Result<Option<String>> {
    match verify(classifier, set, &[*counterexample], threat_model) {
        Ok(()) => Ok(None),
        Err(error @ (VerifyError::Model(_) | VerifyError::Radius(_))) => {
            Err(error).or_kind(ErrorKind::Internal)
        }
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Images that stand in the file more than once: one counterexample must not be counted twice.
fn repeated(indices: &[usize]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let again = indices.iter().filter(|&&image| !seen.insert(image));
    again.map(|image| format!("image {image} is in the file twice")).collect()
}

impl Replay {
    /// A replay that has not yet seen an image.
    fn new(certificate: &Certificate, engine: &Engine, records: &CounterexampleRecords) -> Self {
        let refuted = repeated(&records.indices);
        Self {
            model: certificate.model.files.clone(),
            threat_model: certificate.threat_model,
            engine: format!("{} {} on {}", engine.kind().name(), engine.version(), engine.device()),
            counted: certificate.counts.broken,
            confirmed: 0,
            refuted,
            contradictions: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether every broken image that the certificate counts was confirmed, and nothing else is in the file.
    pub fn conclusion(&self) -> Conclusion {
        let nothing_else = self.refuted.is_empty() && self.contradictions.is_empty();
        if nothing_else && self.confirmed == self.counted {
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
            Conclusion::DoesNotHold | Conclusion::Inconclusive | Conclusion::Open => "FAIL",
        };
        writeln!(
            f,
            "{word}  confirmed {confirmed} of the {counted} broken images recorded in the certificate\n"
        )?;
        for (index, FileDigest { name, sha256, .. }) in self.model.iter().enumerate() {
            writeln!(f, "{:<13} {name} sha256 {sha256}", if index == 0 { "model" } else { "" })?;
        }
        writeln!(f, "threat model  {threat_model}")?;
        writeln!(f, "engine        {engine}")?;
        writeln!(
            f,
            "\nA confirmed counterexample lies within the threat model of its original image, and the model"
        )?;
        writeln!(f, "misclassifies it when it is asked again.")?;
        for refuted in &self.refuted {
            writeln!(f, "not confirmed: {refuted}")?;
        }
        for contradiction in &self.contradictions {
            writeln!(f, "not so: {contradiction}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::{Norm, Pixels};

    use super::*;

    #[test]
    fn another_processor_is_a_note_and_for_quantised_models_a_warning() {
        let processor = |features: &[&str]| Processor {
            name: "a processor".into(),
            features: features.iter().map(ToString::to_string).collect(),
        };
        let (old, new) = (processor(&["avx2"]), processor(&["avx2", "avx512vnni"]));
        assert_eq!(processor_note(&new, &new, true), None);
        let note = processor_note(&new, &old, false).unwrap();
        assert!(note.starts_with("note: ") && note.contains("differs from it in avx512vnni"), "{note}");
        let warning = processor_note(&old, &new, true).unwrap();
        assert!(warning.starts_with("warning: ") && warning.contains("verdicts may differ"), "{warning}");
    }

    #[test]
    fn parts_are_32_mib_or_one_batch() {
        for (batch, pixels, rows) in [
            (32, 3 * 224 * 224, 32),
            (1, 3 * 224 * 224, 55),
            (100, 3072, 2700),
            (64, 1 << 30, 64),
            (0, 0, 8 << 20),
        ] {
            assert_eq!(rows_at_once(batch, pixels), rows, "{batch} {pixels}");
        }
    }

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
                threat_model: ThreatModel {
                    norm: Norm::Linf,
                    epsilon: 2.0 / 255.0,
                    pixels: Pixels::Continuous,
                },
                model: vec![FileDigest::new("model.onnx", b"model")],
                engine: "rten 0.27.0 on cpu".into(),
                counted,
                confirmed,
                refuted: vec!["counterexample of image 3: no".into(); refuted],
                contradictions: Vec::new(),
                notes: vec!["note: another processor".into()],
            };
            assert_eq!(replay.conclusion(), conclusion, "{replay}");
            assert!(replay.to_string().starts_with(text), "{replay}");
            assert!(replay.to_string().ends_with("note: another processor\n"), "{replay}");
            assert_eq!(
                replay.to_string().matches("not confirmed: counterexample of image 3").count(),
                refuted
            );
            let contradicted = Replay { contradictions: vec!["counts.clean_correct".into()], ..replay };
            assert_eq!(contradicted.conclusion(), Conclusion::DoesNotHold);
            assert!(contradicted.to_string().contains("not so: counts.clean_correct"), "{contradicted}");
        }
    }
}
