//! What a model says about images, without an attack.

use std::fmt;

use mimir_bundle::{Pixels, one_line};
use mimir_export::InputSpec;
use mimir_runtime::answer::{Answer, answers};
use mimir_runtime::model::ModelSource;
use mimir_runtime::report::{Warning, percent};
use mimir_runtime::statistics::fraction;
use serde::Serialize;

use crate::described_images::open_for;
use crate::engines::Engines;
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::images::describe;
use crate::model_input::ModelInput;
use crate::options::{EngineOptions, ImageSource};
use crate::prepare::prepare_for;

/// What to classify, and with what.
#[derive(Debug, Clone)]
pub struct ClassifyOptions {
    /// The ONNX file, or the bundle with it.
    pub model: ModelInput,
    /// The images; their labels are shown beside what the model says.
    pub images: ImageSource,
    /// What the file does not say of its own input.
    pub input: InputSpec,
    /// What runs the model, and how.
    pub engine: EngineOptions,
}

/// What a model says about images. `Display` is a table for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classified {
    /// The model's name.
    pub model: String,
    /// Names of the classes by index, where the bundle or the images name them.
    pub class_names: Option<Vec<String>>,
    /// One entry an image.
    pub images: Vec<ClassifiedImage>,
    /// What a reader must know of the images, such as which class was taken as which.
    pub warnings: Vec<String>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassifiedImage {
    /// Its file, relative to the folder of the source, where it has one.
    pub file: Option<String>,
    /// Its class, as the source says.
    pub label: usize,
    /// What the model says.
    #[serde(flatten)]
    pub answer: Answer,
}

/// Of a model with random operators there is no answer to show.
fn one_answer(error: Error) -> Error {
    match error.option() {
        Some(OptionName::Attacks) => {
            let message = "the model has random operators: each call draws another answer, and one of them says little. A \
                           certification asks for many";
            Error::new(ErrorKind::Model, message)
        }
        _ => error,
    }
}

/// Runs the original model on the images, as a certification does, and attacks nothing.
///
/// # Errors
/// As [`certify`](crate::certify()): what a run would refuse, this refuses.
pub fn classify(options: &ClassifyOptions) -> Result<Classified> {
    let engines = Engines::load(&options.engine)?;
    let (mut images, source) = open_for(&options.model, &options.images)?;
    let prepared = prepare_for(&engines.deciding, &options.model, &options.input, &mut images)?;
    let set = images.for_model(prepared.manifest(), Pixels::Continuous)?;
    let model = prepared.calibrate(&set, &[], options.engine.overrides).map_err(one_answer)?;
    let data = describe(&source, &images, &set, model.manifest().image)?;
    let mut classifier = model.original()?.classifier().or_kind(ErrorKind::Model)?;
    let answers = answers(classifier.as_mut(), &set, model.manifest().output)?;
    let file = |image: usize| data.image_files.as_ref().and_then(|files| files.get(image).cloned());
    // Nobody judges a model by a share of these images.
    let warnings = images.warnings(model.manifest()).into_iter();
    let warnings = warnings.filter(|warning| !matches!(warning, Warning::ClassMix { .. }));
    let described = options.model.manifest().and_then(|manifest| manifest.classes.names.clone());
    Ok(Classified {
        model: options.model.name(),
        class_names: described.or_else(|| data.class_names.clone()),
        images: answers
            .into_iter()
            .zip(set.labels())
            .enumerate()
            .map(|(image, (answer, &label))| ClassifiedImage { file: file(image), label, answer })
            .collect(),
        warnings: warnings.map(|warning| warning.to_string()).collect(),
    })
}

impl Classified {
    fn name(&self, class: usize) -> String {
        let names = self.class_names.as_deref().unwrap_or_default();
        let name = names.get(class).filter(|name| !name.is_empty());
        name.map_or_else(|| class.to_string(), |name| one_line(name).into_owned())
    }
}

impl fmt::Display for Classified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ClassifiedImage { file, label, answer }) in self.images.iter().enumerate() {
            let image =
                file.as_deref().map_or_else(|| format!("image {index}"), |file| one_line(file).into_owned());
            let class =
                answer.class.map_or_else(|| "none: not a number".to_owned(), |class| self.name(class));
            let share =
                answer.probability.map(|share| format!(" ({})", percent(share.into()))).unwrap_or_default();
            let verdict = if answer.class == Some(*label) { "as labelled" } else { "labelled" };
            let label =
                if answer.class == Some(*label) { String::new() } else { format!(" {}", self.name(*label)) };
            writeln!(f, "{image}: {class}{share}, {verdict}{label}")?;
        }
        let correct = self.images.iter().filter(|image| image.answer.class == Some(image.label)).count();
        let count = self.images.len();
        writeln!(f, "{correct} of {count} as labelled ({})", percent(fraction(correct, count)))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {}", one_line(warning)))
    }
}
