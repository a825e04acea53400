//! What is attacked: an ONNX file, or a bundle, which says how images become the input of its model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mimir_bundle::bundle::{Bundle, BundleError, BundleManifest, MANIFEST, MODEL};
use mimir_bundle::{Manifest, bundle, one_line};
use mimir_export::InputSpec;
use mimir_export::onnx::{Limits, ModelFile, read_bundled, read_model};

use crate::error::{Error, ErrorKind, OrKind, Result};
use crate::opened_bundle::{expect_no_archive, open_bundle};

/// A model: an ONNX file that is yet to be read, or a bundle that was opened and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInput {
    path: PathBuf,
    bundle: Option<Arc<Bundle>>,
}

impl ModelInput {
    /// The model at a path: a folder or a file that ends in `.mimir` is a bundle, anything else an ONNX file.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when a bundle has a fault anywhere.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        expect_no_archive(&path)?;
        let bundle = Bundle::is_at(&path).then(|| open_bundle(&path)).transpose()?;
        Ok(Self { path, bundle: bundle.map(Arc::new) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bundle; none for an ONNX file.
    pub fn bundle(&self) -> Option<&Bundle> {
        self.bundle.as_deref()
    }

    /// The description of the model in the bundle.
    pub fn manifest(&self) -> Option<&BundleManifest> {
        self.bundle().map(Bundle::manifest)
    }

    /// The path of the description: `bundle/manifest.json`.
    pub fn manifest_path(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// What the description says of the model's input; nothing for an ONNX file.
    pub fn input_spec(&self) -> Option<InputSpec> {
        self.manifest().map(described_input)
    }

    /// Reads the ONNX file. That of a bundle is in memory, with its external data, and nothing else is read.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when it is not there, or not a valid ONNX file.
    pub fn read(&self) -> Result<ModelFile> {
        let Some(bundle) = self.bundle() else {
            return read_model(&self.path, &Limits::default()).or_kind(ErrorKind::Model);
        };
        let file = read_bundled(bundle, MODEL, &Limits::default()).or_kind(ErrorKind::Model);
        let file = file.map_err(|error| error.context(self.path.display()))?;
        self.expect_features(bundle, &file)?;
        Ok(file)
    }

    /// Checks that the model of a bundle is as its description says.
    ///
    /// # Errors
    /// [`ErrorKind::Model`]: names the fact, and what file and description say.
    pub(crate) fn expect(&self, model: &Manifest) -> Result<()> {
        let Some(manifest) = self.manifest() else { return Ok(()) };
        manifest.expect_model(MODEL, model).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &BundleError) -> Error {
        Error::new(ErrorKind::Model, format!("{}: {error}", self.path.display()))
    }

    /// The feature tensors that the description names are in the file.
    fn expect_features(&self, bundle: &Bundle, file: &ModelFile) -> Result<()> {
        let is_missing = |feature: &&bundle::FeatureTensor| file.graph.find(&feature.name).is_none();
        match bundle.manifest().features.iter().find(is_missing) {
            None => Ok(()),
            Some(feature) => Err(Error::new(
                ErrorKind::Model,
                format!(
                    "{}: features: {MODEL} has no tensor `{}`",
                    self.manifest_path().display(),
                    feature.name,
                ),
            )),
        }
    }

    /// The path of one of the model's files, for messages.
    pub(crate) fn path_of(&self, file: &str) -> PathBuf {
        match self.bundle {
            Some(_) => self.path.join(file),
            None => self.path.with_file_name(file),
        }
    }

    /// The name of the ONNX file or of the bundle.
    pub(crate) fn name(&self) -> String {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        // `.` and `..` have none.
        one_line(&name.unwrap_or_else(|| self.path.display().to_string())).into_owned()
    }
}

/// What a description says of the model's input.
pub(crate) fn described_input(manifest: &BundleManifest) -> InputSpec {
    let BundleManifest { input, output, .. } = manifest;
    InputSpec {
        normalisation: input.normalisation.clone(),
        channel_order: input.channel_order,
        layout: Some(input.layout),
        image: Some(input.image),
        output: Some(output.clone()),
    }
}

/// An ONNX file, which is read later.
impl From<PathBuf> for ModelInput {
    fn from(path: PathBuf) -> Self {
        Self { path, bundle: None }
    }
}

/// An ONNX file, which is read later.
impl From<&Path> for ModelInput {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

/// An ONNX file, which is read later.
impl From<&str> for ModelInput {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

/// An ONNX file, which is read later.
impl From<String> for ModelInput {
    fn from(path: String) -> Self {
        PathBuf::from(path).into()
    }
}
