//! Checks a certificate without images and without running the model: what it says can all be true, and it is of this
//! model.

use std::fmt;
use std::path::Path;

use mimir_bundle::Certificate;
use mimir_bundle::bundle::{Bundle, FileKind};
use mimir_bundle::certificate::CertificateError;
use mimir_bundle::digest::digest_reader;
use mimir_export::onnx::ModelFile;
use mimir_runtime::report::{Conclusion, percent};

use crate::error::{Error, ErrorKind, Result};
use crate::model_input::ModelInput;
use crate::replay::differing_files;
use crate::report_folder::CERTIFICATE;

/// What the check found. `Display` is its summary.
#[derive(Debug)]
pub struct CertificateCheck {
    /// The certificate; none where it contradicts itself.
    pub certificate: Option<Certificate>,
    /// What was compared and agrees, a sentence each.
    pub confirmed: Vec<String>,
    /// What does not agree, a sentence each.
    pub contradictions: Vec<String>,
    /// What the record claims and this does not look at, a sentence each.
    pub not_checked: Vec<String>,
}

/// Checks that a certificate is well formed and consistent, and that it is of that model. `certificate` is the file, or a
/// folder with `certificate.json`.
///
/// # Errors
/// When a file cannot be read, or the certificate is of another format. What does not agree is no error.
pub fn verify_certificate(certificate: &Path, model: &ModelInput) -> Result<CertificateCheck> {
    let path = match certificate.is_dir() {
        true => certificate.join(CERTIFICATE),
        false => certificate.to_owned(),
    };
    let data_error =
        |what: &dyn fmt::Display| Error::new(ErrorKind::Data, format!("{}: {what}", path.display()));
    if !certificate.is_dir() && Bundle::is_at(certificate) {
        let message = "is a bundle in one file, wanted a certificate, or a folder with certificate.json; its certificates \
            are checked whenever it is opened, and `verify BUNDLE --trust FILE` verifies its signature";
        return Err(data_error(&message));
    }
    let text = mimir_files::read_text(&path, FileKind::Certificate.most_bytes());
    let text = text.map_err(|error| data_error(&error))?;
    let file = model.read()?;
    match Certificate::from_json(&text) {
        Ok(certificate) => Ok(CertificateCheck::of(certificate, &path, model, &file)),
        Err(error @ CertificateError::Contradiction(_)) => Ok(CertificateCheck::contradicted(&error)),
        Err(error) => Err(data_error(&error)),
    }
}

impl CertificateCheck {
    fn contradicted(error: &CertificateError) -> Self {
        Self {
            certificate: None,
            confirmed: Vec::new(),
            contradictions: vec![error.to_string()],
            not_checked: vec!["anything else: the certificate contradicts itself".into()],
        }
    }

    fn of(certificate: Certificate, path: &Path, model: &ModelInput, file: &ModelFile) -> Self {
        let mut check = Self {
            certificate: None,
            confirmed: vec![
                format!("every field is one of format version {}", certificate.schema_version),
                "the counts add up, and every number is in its range".into(),
            ],
            contradictions: Vec::new(),
            not_checked: NOT_CHECKED.map(str::to_owned).to_vec(),
        };
        check.compare_model(&certificate, model, file);
        check.compare_counterexamples(&certificate, path);
        check.certificate = Some(certificate);
        check
    }

    fn compare_model(&mut self, certificate: &Certificate, model: &ModelInput, file: &ModelFile) {
        let recorded = &certificate.model;
        let before = self.contradictions.len();
        self.contradictions.extend(differing_files(model, &file.files, &recorded.files));
        for (name, found, wanted) in [
            ("opset", file.graph.opset.to_string(), recorded.opset.to_string()),
            ("IR version", file.ir_version.to_string(), recorded.ir_version.to_string()),
            ("producer", file.producer.clone(), recorded.producer.clone()),
        ] {
            if found != wanted {
                let place = model.path().display();
                self.contradictions
                    .push(format!("{place}: {name} {found}, but the certificate records {wanted}"));
            }
        }
        let disagreement = model.bundle().and_then(|bundle| bundle.expect_certificate(certificate).err());
        self.contradictions.extend(disagreement.map(|error| error.to_string()));
        if self.contradictions.len() == before {
            let files = recorded.files.len();
            self.confirmed.push(format!("length and SHA-256 of each file of the model ({files} in all)"));
            if model.bundle().is_some() {
                let place = model.manifest_path();
                self.confirmed
                    .push(format!("input, classes, output and preprocessing as in {}", place.display()));
            }
        }
    }

    /// The stored counterexamples, where they lie beside the certificate: that they are the recorded file.
    fn compare_counterexamples(&mut self, certificate: &Certificate, path: &Path) {
        let Some(stored) = &certificate.counterexamples else { return };
        // The certificate is a foreign file: it names a file beside itself and no other.
        if Path::new(&stored.file).file_name() != Some(stored.file.as_ref()) {
            let sentence = format!("`{}` is not the name of a file beside the certificate", stored.file);
            return self.contradictions.push(sentence);
        }
        let place = path.with_file_name(&stored.file);
        match mimir_files::open_unlinked(&place).and_then(|opened| digest_reader(opened.file)) {
            Ok(found) if found == stored.digest => {
                self.confirmed.push(format!("SHA-256 of {}", stored.file));
            }
            Ok(found) => self.contradictions.push(format!(
                "{}: SHA-256 is {found}, but the certificate records {}",
                place.display(),
                stored.digest
            )),
            Err(error) => self.not_checked.push(format!("{}: {error}", place.display())),
        }
    }

    /// Whether everything that was compared agrees.
    pub fn conclusion(&self) -> Conclusion {
        if self.contradictions.is_empty() { Conclusion::Holds } else { Conclusion::DoesNotHold }
    }
}

/// What is beyond a check of files alone.
const NOT_CHECKED: [&str; 4] = [
    "who wrote the certificate: it is not signed, and whoever can change it can make it agree with itself",
    "that the attacks ran as recorded: only a run with the same seed shows that",
    "that the counterexamples hold: `mimir-certify replay FOLDER MODEL`",
    "the images and the labels: `replay` compares their digests",
];

impl fmt::Display for CertificateCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.conclusion() {
            Conclusion::Holds => {
                writeln!(f, "PASS  the certificate is well formed, consistent, and of this model\n")?;
            }
            _ => writeln!(f, "FAIL  the certificate contradicts itself, or is of another model\n")?,
        }
        if let Some(certificate) = &self.certificate {
            fmt_recorded(f, certificate)?;
        }
        for (word, lines) in [
            ("contradiction", &self.contradictions),
            ("checked", &self.confirmed),
            ("not checked", &self.not_checked),
        ] {
            lines.iter().try_for_each(|line| writeln!(f, "{word:<14} {line}"))?;
        }
        Ok(())
    }
}

fn fmt_recorded(f: &mut fmt::Formatter<'_>, certificate: &Certificate) -> fmt::Result {
    let (counts, model) = (&certificate.counts, &certificate.model);
    for (index, file) in model.files.iter().enumerate() {
        let word = if index == 0 { "model" } else { "" };
        writeln!(f, "{word:<14} {} sha256 {}", file.name, file.sha256)?;
    }
    let share = counts.not_broken() as f64 / counts.images as f64;
    writeln!(f, "threat model   {}", certificate.threat_model)?;
    writeln!(
        f,
        "recorded       attacked accuracy {}: {} of {} images, on {}\n",
        percent(share),
        counts.not_broken(),
        counts.images,
        certificate.created_at
    )
}
