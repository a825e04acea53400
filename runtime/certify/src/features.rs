//! The tensor whose values attacks on features move: named, described by the bundle, or chosen; and which there are.

use std::fmt;

use mimir_bundle::AttackSpec;
use mimir_export::{FeatureCandidate, FeaturePlace, InputSpec};
use mimir_runtime::attack::pgd_mi::reference_images;
use mimir_runtime::report::Warning;
use serde::Serialize;

use crate::engines::Engines;
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::model::{CalibratedModel, Feature, PreparedModel};
use crate::model_input::ModelInput;
use crate::options::EngineOptions;

/// Names that an error suggests.
const SUGGESTIONS: usize = 3;

/// Letters of a column, at most.
const WIDEST: usize = 80;

/// Where the features of a run are, as far as somebody says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeatureRequest<'a> {
    /// The tensor that was named.
    pub(crate) named: Option<&'a str>,
    /// The model, whose description may name one.
    pub(crate) model: &'a ModelInput,
    /// Images of the set.
    pub(crate) images: usize,
    /// Key of the run.
    pub(crate) seed: u64,
}

/// Fills in for attacks on features what follows from the model and its images: the tensor, which the model is then cut open
/// at, and the images that a penalty is computed with.
///
/// # Errors
/// [`ErrorKind::Options`] when a tensor that is named is not in the file, with the nearest names; [`ErrorKind::Model`] when
/// there is none to choose.
pub(crate) fn with_features(
    model: CalibratedModel,
    attacks: &mut [AttackSpec],
    request: FeatureRequest<'_>,
) -> Result<CalibratedModel> {
    let of_attacks: Vec<Option<String>> = attacks.iter().filter_map(AttackSpec::feature).collect();
    if of_attacks.is_empty() {
        return Ok(model);
    }
    let described = request.model.manifest().and_then(|manifest| manifest.features.first());
    let named = of_attacks.into_iter().flatten().next();
    let named = named.or_else(|| request.named.map(str::to_owned));
    let (tensor, fault, warning) = match (named, described) {
        (Some(tensor), _) => (tensor, ErrorKind::Options, None),
        (None, Some(feature)) => (feature.name.clone(), ErrorKind::Model, None),
        (None, None) => {
            let (tensor, warning) = chosen(&model)?;
            (tensor, ErrorKind::Model, warning)
        }
    };
    expect_in_file(&model, &tensor, fault)?;
    for attack in attacks.iter_mut() {
        if let Some(feature) = attack.feature_mut() {
            feature.get_or_insert_with(|| tensor.clone());
        }
        if let AttackSpec::PgdMi(spec) = attack
            && spec.reference_images.is_empty()
        {
            spec.reference_images = reference_images(spec, request.images, request.seed);
        }
    }
    Ok(model.cut_open_at(Feature { tensor, fault }, warning))
}

/// The tensor that is taken where nobody names one, and that it was.
fn chosen(model: &CalibratedModel) -> Result<(String, Option<Warning>)> {
    let FeatureCandidate { name, place, .. } = model.default_feature().or_kind(ErrorKind::Model)?;
    let is_penultimate = place == FeaturePlace::Penultimate;
    Ok((name.clone(), Some(Warning::FeatureChosen { tensor: name, is_penultimate })))
}

/// # Errors
/// Names the nearest tensors.
fn expect_in_file(model: &CalibratedModel, tensor: &str, fault: ErrorKind) -> Result<()> {
    if model.has_tensor(tensor) {
        return Ok(());
    }
    let candidates = model.feature_candidates().or_kind(ErrorKind::Model)?;
    let mut names: Vec<&str> = candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    let similarity = |name: &str| strsim::jaro_winkler(tensor, name);
    names.sort_by(|left, right| similarity(right).total_cmp(&similarity(left)));
    names.truncate(SUGGESTIONS);
    let nearest = match &names[..] {
        [] => String::new(),
        names => format!("; the nearest are `{}`", names.join("`, `")),
    };
    let message = format!(
        "no operator between the images and the scores makes a tensor `{tensor}`{nearest} (`mimir-certify features MODEL` \
         lists all)"
    );
    Err(Error::new(fault, message).about(OptionName::Feature))
}

/// What a list of features needs to know.
#[derive(Debug, Clone)]
pub struct FeaturesOptions {
    /// The ONNX file, or the bundle with it.
    pub model: ModelInput,
    /// What the file does not say of its own input.
    pub input: InputSpec,
    /// What helps where shapes cannot be worked out.
    pub engine: EngineOptions,
}

/// The tensors of a model that attacks on features can move. `Display` is a table for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureList {
    /// The file's name.
    pub file: String,
    /// In the order of the graph.
    pub features: Vec<ListedFeature>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedFeature {
    /// Its name.
    pub name: String,
    /// The operator that makes it.
    pub operator: String,
    /// Its shape for one image.
    pub shape: Vec<usize>,
    /// Its values for one image.
    pub values: usize,
    /// Share of the nodes between images and scores that are done when it is, in `(0, 1]`.
    pub depth: f64,
    /// What it is.
    pub place: ListedPlace,
    /// Whether it is taken where nobody names one.
    pub is_default: bool,
}

/// What a tensor inside a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListedPlace {
    /// Nothing in particular.
    Inner,
    /// The sum at the end of a residual block.
    BlockOutput,
    /// What the last linear layer reads.
    Penultimate,
}

/// Lists the tensors of a model that attacks on features can move. Nothing is run.
///
/// # Errors
/// As [`check`](crate::check()) for what the file is.
pub fn list_features(options: &FeaturesOptions) -> Result<FeatureList> {
    let engines = Engines::load(&options.engine)?;
    let prepared = PreparedModel::new(&engines.deciding, options.model.read()?, &options.input)?;
    options.model.expect(prepared.manifest())?;
    let candidates = prepared.feature_candidates().or_kind(ErrorKind::Model)?;
    let described = options.model.manifest().and_then(|manifest| manifest.features.first());
    let default = match described {
        Some(feature) => Some(feature.name.clone()),
        None if candidates.is_empty() => None,
        None => Some(prepared.default_feature().or_kind(ErrorKind::Model)?.name),
    };
    let listed = |candidate: FeatureCandidate| ListedFeature {
        is_default: default.as_ref() == Some(&candidate.name),
        values: candidate.values(),
        place: match candidate.place {
            FeaturePlace::Inner => ListedPlace::Inner,
            FeaturePlace::BlockOutput => ListedPlace::BlockOutput,
            FeaturePlace::Penultimate => ListedPlace::Penultimate,
        },
        name: candidate.name,
        operator: candidate.operator,
        shape: candidate.shape,
        depth: candidate.depth,
    };
    Ok(FeatureList { file: options.model.name(), features: candidates.into_iter().map(listed).collect() })
}

impl fmt::Display for FeatureList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.features.is_empty() {
            return writeln!(
                f,
                "{} has no tensor between the images and the scores that attacks on features could move",
                self.file
            );
        }
        let rows: Vec<[String; 5]> = self.features.iter().map(ListedFeature::cells).collect();
        let heads = ["tensor", "operator", "shape", "values", "way"].map(str::to_owned);
        let width = |column: usize| {
            let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
            // A name of thousands of letters leaves the table, and the others stay in it.
            cells.filter(|letters| *letters <= WIDEST).max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3, 4].map(width);
        let mut line = |row: &[String; 5], remark: &str| {
            let [name, operator, shape, values, way] = row;
            let [of_name, of_operator, of_shape, of_values, of_way] = widths;
            let text = format!(
                "{name:of_name$}  {operator:of_operator$}  {shape:of_shape$}  {values:>of_values$}  {way:>of_way$}  {remark}"
            );
            writeln!(f, "{}", text.trim_end())
        };
        line(&heads, "")?;
        for (feature, row) in self.features.iter().zip(&rows) {
            line(row, &feature.remark())?;
        }
        writeln!(f, "\n--feature NAME takes one of them for pgd-feature, pgd-mi and feature-ce")
    }
}

impl ListedFeature {
    fn cells(&self) -> [String; 5] {
        let shape = match &self.shape[..] {
            [] => "1".to_owned(),
            sizes => sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
        };
        let way = format!("{:.0} %", 100.0 * self.depth);
        [self.name.clone(), self.operator.clone(), shape, self.values.to_string(), way]
    }

    fn remark(&self) -> String {
        let place = match self.place {
            ListedPlace::Inner => "",
            ListedPlace::BlockOutput => "output of a block",
            ListedPlace::Penultimate => "what the last linear layer reads",
        };
        match (place, self.is_default) {
            (place, false) => place.to_owned(),
            ("", true) => "default".to_owned(),
            (place, true) => format!("{place}; default"),
        }
    }
}
