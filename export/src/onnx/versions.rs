//! The format and opset versions that are read, and those that are written.

use std::ops::RangeInclusive;

use super::domains::AI_ONNX_ML;
use super::proto::{ModelProto, OperatorSetIdProto};
use crate::error::{Error, Result};

/// Versions of the file format that are understood. 3 brought `opset_import`, 14 is the newest that was published
/// when this was written.
const IR_VERSIONS: RangeInclusive<i64> = 3..=14;

/// Opsets of the default domain that are understood: all that were published when this was written. What the ones
/// after 23 changed is in `docs/onnx-files.md`.
pub const OPSETS: RangeInclusive<i64> = 7..=28;

/// Versions of the domain `ai.onnx.ml` that are understood.
const AI_ONNX_ML_VERSIONS: RangeInclusive<i64> = 1..=5;

/// The opset of a file that imports none, because it has no operator of the default domain.
const DEFAULT_OPSET: i64 = 18;

/// The opset of the default domain, once the versions are known to us.
///
/// # Errors
/// Names the version, the known range and the way out.
pub(super) fn check(model: &ModelProto) -> Result<u32> {
    let ir_version =
        model.ir_version.ok_or_else(|| Error::format("has no `ir_version`: not an ONNX model"))?;
    let (oldest, newest) = IR_VERSIONS.into_inner();
    if !IR_VERSIONS.contains(&ir_version) {
        return Err(Error::unsupported(format!(
            "IR version {ir_version}; supported are {oldest} to {newest}: export with an older or newer release of \
             the \
             exporter, or save it again through `onnx` with `model.ir_version` in that range"
        )));
    }
    let stated = default_opset(&model.opset_import)?;
    let opset = stated.or_else(|| is_ai_onnx_ml_only(model).then_some(DEFAULT_OPSET)).ok_or_else(|| {
        Error::format("imports no opset of the default domain: not an ONNX model, or it is truncated")
    })?;
    let (oldest, newest) = OPSETS.into_inner();
    if !OPSETS.contains(&opset) {
        return Err(Error::unsupported(format!(
            "imports opset {opset} of the default domain; supported are {oldest} to {newest}: export with \
             `opset_version={}`, or convert with `onnx.version_converter`",
            opset.clamp(oldest, newest)
        )));
    }
    check_ai_onnx_ml(&model.opset_import)?;
    Ok(opset as u32)
}

/// Whether all nodes are of the domain `ai.onnx.ml`: such a file need not import ONNX's own.
fn is_ai_onnx_ml_only(model: &ModelProto) -> bool {
    let nodes = model.graph.as_ref().map_or(&[][..], |graph| &graph.node);
    !nodes.is_empty() && nodes.iter().all(|node| node.domain() == AI_ONNX_ML)
}

/// Refuses versions of the domain `ai.onnx.ml` that were not published when this was written.
fn check_ai_onnx_ml(imports: &[OperatorSetIdProto]) -> Result<()> {
    let of_domain = imports.iter().filter(|import| import.domain() == AI_ONNX_ML);
    match of_domain.map(OperatorSetIdProto::version).find(|version| !AI_ONNX_ML_VERSIONS.contains(version)) {
        None => Ok(()),
        Some(version) => {
            let (oldest, newest) = AI_ONNX_ML_VERSIONS.into_inner();
            Err(Error::unsupported(format!(
                "imports version {version} of the domain `{AI_ONNX_ML}`; supported are {oldest} to {newest}: export \
                 with \
                 `target_opset={{'': {}, '{AI_ONNX_ML}': {newest}}}`",
                OPSETS.end()
            )))
        }
    }
}

/// The opset of the default domain among imports.
///
/// # Errors
/// When it is imported in two versions.
pub(super) fn default_opset(imports: &[OperatorSetIdProto]) -> Result<Option<i64>> {
    let mut versions =
        imports.iter().filter(|import| is_default_domain(import.domain())).map(OperatorSetIdProto::version);
    let first = versions.next();
    match versions.find(|version| Some(*version) != first) {
        Some(other) => Err(Error::format(format!(
            "imports the default domain in two versions, {} and {other}",
            first.unwrap_or_default()
        ))),
        None => Ok(first),
    }
}

/// Whether a domain is ONNX's own, which has two spellings.
pub(super) fn is_default_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// The version of the format to write for an opset: the one of the ONNX release that brought the opset, but at least 4,
/// because earlier ones want every initialiser listed as an input too.
pub(super) fn ir_version_for(opset: u32) -> i64 {
    match opset {
        0..=9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        25..=27 => 13,
        _ => 14,
    }
}
