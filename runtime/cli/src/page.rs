//! `report.html`, made from the files of a report folder.

use std::path::{Path, PathBuf};

use mimir_bundle::bundle::FileKind;
use mimir_bundle::{Certificate, shell_word};
use mimir_certify::report_folder::{ADVERSARIAL, CERTIFICATE, PAGE};
use mimir_certify::{ErrorKind, read_pairs, with_causes};
use mimir_data::DataSource;
use mimir_runtime::report::{Report, ReportFile};
use mimir_views::html::{PageContent, PicturePair, page, shown_images};
use mimir_views::{Answer, Shown};

use crate::failure::{Failure, OrKind, failure};
use crate::reports::read_report;

/// Where a page was written.
pub(crate) struct Written {
    pub(crate) page: PathBuf,
}

/// Makes the page of a report and writes it: to `output`, or beside the report.
///
/// # Errors
/// [`ErrorKind::Data`] when the report cannot be read or contradicts itself, [`ErrorKind::Storage`] when the page cannot be
/// written. Pictures that cannot be shown are no error: the page says why.
pub(crate) fn write_page(
    report: &Path,
    output: Option<&Path>,
    data: Option<&str>,
) -> Result<Written, Failure> {
    let (file, report) = read_report(report)?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let text = made(&folder, &report, data)?;
    let place = output.map_or_else(|| folder.join(PAGE), Path::to_owned);
    mimir_files::write_named(&place, text.as_bytes())
        .map_err(|error| failure(ErrorKind::Storage, format!("cannot write {}: {error}", place.display())))?;
    Ok(Written { page: place })
}

/// Makes the page of a report that was just written. Why there is none, where it cannot be.
pub(crate) fn page_missing(folder: &Path) -> Option<String> {
    let error = write_page(folder, None, None).err()?;
    let command = format!("mimir-certify report {}", shell_word(&folder.display().to_string()));
    Some(format!("the results are written, but not their page (`{command}` makes it): {error}"))
}

fn made(folder: &Path, report: &ReportFile, data: Option<&str>) -> Result<String, Failure> {
    let source = data.map(str::parse::<DataSource>).transpose().or_kind(ErrorKind::Options)?;
    let name = folder.display().to_string();
    let mut content = PageContent {
        shown: Shown::from(report),
        certificate: None,
        folder: &name,
        pairs: &[],
        without_pictures: None,
    };
    let Answer::Finished(finished) = content.shown.answer else {
        return page(&content).or_kind(ErrorKind::Internal);
    };
    let certificate = certificate_of(folder, finished);
    let pictures = pictures(folder, finished, source);
    content.certificate = certificate.as_ref();
    match &pictures {
        Ok(pairs) => content.pairs = pairs,
        Err(reason) => content.without_pictures = Some(reason),
    }
    page(&content).or_kind(ErrorKind::Internal)
}

/// The certificate of the same run, where there is one that can be read.
fn certificate_of(folder: &Path, report: &Report) -> Option<Certificate> {
    let text = mimir_files::read_text(&folder.join(CERTIFICATE), FileKind::Certificate.most_bytes()).ok()?;
    let certificate = Certificate::from_json(&text).ok()?;
    let is_of_it = certificate.created_at == report.created_at
        && certificate.model.model_digest == report.model.manifest.model_digest;
    is_of_it.then_some(certificate)
}

/// The pictures of some counterexamples, or why there are none.
fn pictures(folder: &Path, report: &Report, source: Option<DataSource>) -> Result<Vec<PicturePair>, String> {
    let wanted = shown_images(report);
    if wanted.is_empty() {
        return Err("No attack broke an image.".to_owned());
    }
    if !folder.join(ADVERSARIAL).exists() {
        return Err("The counterexamples were not kept: --save-adversarial keeps them.".to_owned());
    }
    let pairs = read_pairs(folder, report, &wanted, source).map_err(|error| {
        let reason = with_causes(&error);
        format!("The pictures cannot be shown: {reason}. `mimir-certify report FOLDER --data SOURCE` says where the images are.")
    })?;
    let picture = |pair: mimir_certify::PixelPair| PicturePair {
        image: pair.image,
        original: pair.original,
        adversarial: pair.adversarial,
    };
    Ok(pairs.into_iter().map(picture).collect())
}
