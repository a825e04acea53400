//! What a gate asks before anything runs: enough attacks, and a baseline that can be compared.

use mimir_bundle::AttackSpec;
use mimir_runtime::report::Baseline;

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::options::{BaselineOptions, CertifyOptions};

/// Bytes of a report that are read, at most: one of a million images has some 300 MB.
const MOST_BYTES: u64 = 1 << 30;

/// Checks that these attacks are at least those of the preset that the gate asks for.
///
/// # Errors
/// Names the first attack that is missing or weaker.
pub(crate) fn expect_preset(options: &CertifyOptions, attacks: &[AttackSpec]) -> Result<()> {
    let Some(preset) = options.gate.as_ref().and_then(|gate| gate.min_preset) else { return Ok(()) };
    match preset.missing_of(attacks, options.threat_model.norm) {
        None => Ok(()),
        Some(missing) => {
            let message = format!("the gate asks for the attacks of {}, but {missing}", preset.name());
            Err(Error::new(ErrorKind::Options, message).about(OptionName::MinPreset))
        }
    }
}

/// Reads the baseline of the gate, where it has one. To be called before the report folder is touched: the baseline may
/// be in it.
///
/// # Errors
/// When the file cannot be read, or is no complete report of this version.
pub(crate) fn read_baseline(options: &CertifyOptions) -> Result<Option<Baseline>> {
    let Some(baseline) = options.gate.as_ref().and_then(|gate| gate.baseline.as_ref()) else {
        return Ok(None);
    };
    let BaselineOptions { report, tolerance } = baseline;
    let name = report.display().to_string();
    let read = mimir_files::read_text(report, MOST_BYTES).or_kind(ErrorKind::Options);
    let parsed =
        read.and_then(|text| Baseline::from_json(&name, &text, *tolerance).or_kind(ErrorKind::Options));
    parsed.map(Some).map_err(|error| error.context(name).about(OptionName::Baseline))
}
