//! Whether the ONNX files of a bundle are what its description says: for everybody who opens one, and long before
//! anything is run.
//!
//! Only the structure is read. No weight is looked at, so that the time does not depend on their number.

use std::collections::HashSet;
use std::path::Path;

use mimir_bundle::bundle::{Bundle, BundleFile, BundleManifest, FeatureTensor, FileKind, MANIFEST, MODEL};
use mimir_bundle::{ImageShape, Layout, Loss, PixelType, tensor_names};
use prost::Message;

use super::external::Place;
use super::limits::{Limits, exceeded};
use super::listing::check_listed;
use super::proto::{GraphProto, ModelProto, TensorProto, ValueInfoProto};
use super::tensor::TensorReader;
use super::wire;
use crate::error::{Error, Result};
use crate::tensor::DataType;

/// Checks every graph of a bundle: that it is a well-formed ONNX file, that its external data is in the files that it may
/// have, `model.onnx.data` or its own, that its ranges lie in them and do not overlap unless they are the same, and that
/// inputs and outputs are those of the description, or of the loss. A data file without use is refused too.
///
/// # Errors
/// Names the file, the tensor or the node, and what was found and wanted.
pub fn check_bundled(bundle: &Bundle, limits: &Limits) -> Result<()> {
    let mut used: Vec<String> = Vec::new();
    for graph in bundle.files().filter(|file| FileKind::of(file.name()) == Ok(FileKind::Graph)) {
        let name = graph.name();
        let data = check_graph(bundle, name, limits).map_err(|error| error.at_file(Path::new(name)))?;
        used.extend(data.into_iter().map(|file| format!("{name} {file}")));
    }
    let data = bundle.files().filter(|file| FileKind::of(file.name()) == Ok(FileKind::Data));
    for file in data.map(BundleFile::name) {
        let graph = file.trim_end_matches(".data");
        if !used.contains(&format!("{graph} {file}")) {
            return Err(Error::format(format!("no tensor of {graph} is in it")).at_file(Path::new(file)));
        }
    }
    Ok(())
}

/// Checks a graph, and returns the data files that it uses.
fn check_graph(bundle: &Bundle, name: &str, limits: &Limits) -> Result<Vec<String>> {
    let bytes = bundle.file(name).map(|file| file.bytes().clone()).unwrap_or_default();
    if bytes.len() as u64 > limits.file_bytes {
        return Err(exceeded("bytes", limits.file_bytes, "file_bytes"));
    }
    wire::check(&bytes, limits)?.expect_plain_names()?;
    let model = ModelProto::decode(bytes).map_err(wire::not_onnx)?;
    let mut tensors = TensorReader::new(Place::Bundle(bundle), &model, limits);
    check_listed(&model, &mut tensors)?;
    let graph = model.graph.as_ref().ok_or_else(|| Error::format("has no graph: not an ONNX model"))?;
    match name == MODEL {
        true => check_model(graph, bundle.manifest())?,
        false => check_gradient(graph, name)?,
    }
    let data: Vec<String> = tensors.external_files().map(|file| file.name).collect();
    let own = format!("{name}.data");
    match data.iter().find(|file| **file != own && (name == MODEL || *file != "model.onnx.data")) {
        Some(foreign) => {
            Err(Error::format(format!("has data in `{foreign}`, which is that of another graph")))
        }
        None => Ok(data),
    }
}

/// The inputs that are no constants.
fn inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let constants: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    graph.input.iter().filter(|input| !constants.contains(input.name())).collect()
}

/// Inputs and outputs of `model.onnx`, as far as the file states them.
fn check_model(graph: &GraphProto, manifest: &BundleManifest) -> Result<()> {
    let output = graph.output.iter().find(|output| output.name() == manifest.output);
    let output = output.ok_or_else(|| {
        let known: Vec<String> =
            graph.output.iter().map(|it| format!("`{}`", it.name().escape_debug())).collect();
        let (wanted, known) = (&manifest.output, known.join(", "));
        Error::format(format!("has no output `{wanted}`, which {MANIFEST} names; its outputs are {known}"))
    })?;
    if let Some([_, Some(classes)]) = dimensions(output).as_deref()
        && *classes != manifest.classes.count
    {
        let wanted = manifest.classes.count;
        return Err(Error::format(format!(
            "the number of classes is {classes}, but {MANIFEST} says {wanted}"
        )));
    }
    let values = graph.node.iter().flat_map(|node| &node.output).map(String::as_str);
    let values: HashSet<&str> = values.chain(graph.input.iter().map(ValueInfoProto::name)).collect();
    if let Some(feature) = manifest.features.iter().find(|feature| !values.contains(feature.name.as_str())) {
        let name = &feature.name;
        return Err(Error::format(format!("has no tensor `{name}`, which {MANIFEST} names under features")));
    }
    manifest.features.iter().try_for_each(|feature| check_feature(graph, feature))?;
    // Inputs that nothing reads are left to whoever runs the model.
    match inputs(graph)[..] {
        [] => Err(Error::format("has no input: wanted images")),
        [images] => check_images(images, manifest),
        _ => Ok(()),
    }
}

/// The shape of a feature tensor, as far as the file states it.
fn check_feature(graph: &GraphProto, feature: &FeatureTensor) -> Result<()> {
    let mut values = graph.output.iter().chain(&graph.value_info).chain(&graph.input);
    let stated = values.find(|value| value.name() == feature.name);
    let Some(dims) = stated.and_then(dimensions) else { return Ok(()) };
    let sizes = dims.get(1..).unwrap_or_default();
    let fits = sizes.len() == feature.shape.len()
        && sizes.iter().zip(&feature.shape).all(|(found, wanted)| found.is_none_or(|size| size == *wanted));
    if fits {
        return Ok(());
    }
    let (name, wanted) = (&feature.name, listed(&feature.shape));
    Err(Error::format(format!("`{name}` is [{}], but {MANIFEST} says [N, {wanted}]", shown(&dims))))
}

fn listed(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Sizes of which some are not stated.
fn shown(dims: &[Option<usize>]) -> String {
    let shown = |dim: &Option<usize>| dim.map_or_else(|| "?".to_owned(), |size| size.to_string());
    dims.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Type and shape of the images, as far as the file states them.
fn check_images(images: &ValueInfoProto, manifest: &BundleManifest) -> Result<()> {
    let input = &manifest.input;
    if let Some(dtype) = element_type(images) {
        let found = if dtype == DataType::Uint8 { PixelType::Uint8 } else { PixelType::Float };
        if found != input.pixel_type {
            let (name, wanted) = (images.name().escape_debug(), input.pixel_type);
            return Err(Error::format(format!("input `{name}` is {dtype}, but {MANIFEST} says {wanted:?}")));
        }
    }
    let Some(dims) = dimensions(images) else { return Ok(()) };
    let ImageShape { channels, height, width } = input.image;
    let sizes = dims.get(1..).unwrap_or_default();
    let fits = |wanted: [usize; 3]| {
        sizes.len() == 3
            && sizes.iter().zip(wanted).all(|(found, wanted)| found.is_none_or(|size| size == wanted))
    };
    let (fits, wanted) = match input.layout {
        Layout::Nchw => {
            (fits([channels, height, width]), format!("[N, {channels}, {height}, {width}] (nchw)"))
        }
        Layout::Nhwc => {
            (fits([height, width, channels]), format!("[N, {height}, {width}, {channels}] (nhwc)"))
        }
        Layout::Flat => {
            let pixels = input.image.pixels();
            let known: Option<Vec<usize>> = sizes.iter().copied().collect();
            let fits = known.is_none_or(|sizes| {
                let rows = sizes.iter().filter(|size| **size != 1).count();
                rows <= 1
                    && sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size)) == Some(pixels)
            });
            (fits, format!("one row of {pixels} values an image (flat)"))
        }
    };
    if fits {
        return Ok(());
    }
    let found = shown(&dims);
    let name = images.name().escape_debug();
    Err(Error::format(format!("input `{name}` is [{found}], but {MANIFEST} says {wanted}")))
}

/// Inputs and outputs of `gradient-LOSS.onnx`, where the loss is one that this program knows.
fn check_gradient(graph: &GraphProto, name: &str) -> Result<()> {
    let loss = name.strip_prefix("gradient-").and_then(|name| name.strip_suffix(".onnx"));
    let Some(loss) = loss.and_then(Loss::named) else { return Ok(()) };
    let beside = loss.inputs().iter().map(|input| input.name());
    let mut outputs = vec![tensor_names::LOGITS];
    outputs.extend(loss.is_computed_by_its_graph().then_some(tensor_names::LOSS));
    outputs.push(tensor_names::IMAGES_GRADIENT);
    let inputs: Vec<&str> = inputs(graph).into_iter().map(ValueInfoProto::name).collect();
    let found: Vec<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    expect_names("inputs", &inputs, &[tensor_names::IMAGES].into_iter().chain(beside).collect::<Vec<_>>())?;
    expect_names("outputs", &found, &outputs)
}

fn expect_names(what: &str, found: &[&str], wanted: &[&str]) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    let found = found.iter().map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    Err(Error::format(format!(
        "its {what} are {found}, wanted {} for a gradient graph of this loss",
        wanted.join(", ")
    )))
}

/// The dimensions that a file states of a value; none of one that it leaves open.
fn dimensions(value: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let shape = value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let size = |size: Option<i64>| size.and_then(|size| usize::try_from(size).ok());
    Some(shape.dim.iter().map(|dim| size(dim.dim_value)).collect())
}

fn element_type(value: &ValueInfoProto) -> Option<DataType> {
    DataType::from_onnx(value.r#type.as_ref()?.tensor_type.as_ref()?.elem_type?).ok()
}
