//! The images and labels of an evaluation, and what a certificate says about them.

use std::path::Path;

use mimir_bundle::certificate::{self, EvaluationData, Preprocessing, SampleRecord};
use mimir_bundle::digest::{self, TensorDigest};
use mimir_bundle::{ImageShape, Manifest, Pixels, one_line};
use mimir_data::augment::{Interpolation, Resize, Size, Transform};
use mimir_data::{ClassMap, DataError, ImageDims, ImageSet, JPEG_DECODER, Preparation, Sample, Split};
use mimir_runtime::evaluate::{self, EvaluationSet};
use mimir_runtime::report::Warning;

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::image_warnings::image_warnings;
use crate::options::ImageSource;

/// Labelled images, opened: pixels are read when an evaluation asks for them.
#[derive(Debug)]
pub struct OpenedImages(ImageSet);

impl evaluate::Images for OpenedImages {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn pixels(&self) -> usize {
        self.0.pixels_per_image()
    }

    fn read(&self, image: usize, out: &mut [f32]) -> std::result::Result<(), String> {
        self.0.read(image, out).map_err(|error| error.to_string())
    }
}

impl OpenedImages {
    /// Opens the images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when they are not there, or not what their format says.
    pub fn open(images: &ImageSource) -> Result<Self> {
        let opened = mimir_data::open_prepared(&images.source, &images.read, &images.preparation);
        opened.map(Self).map_err(|error| {
            let sizes = matches!(error, DataError::MixedSizes { .. });
            let error = Error::new(ErrorKind::Data, error);
            if sizes { error.about(OptionName::ImageSize) } else { error }
        })
    }

    /// Names of the classes by label, where the source names them.
    pub(crate) fn class_names(&self) -> Option<&[String]> {
        self.0.names.as_deref()
    }

    /// Gives each class its index in a map.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a class is not in it.
    pub(crate) fn map_classes(&mut self, map: &ClassMap) -> Result<()> {
        self.0.map_classes(map).or_kind(ErrorKind::Data)
    }

    /// Whether every file is grey, whatever it is decoded to.
    pub fn is_grey(&self) -> bool {
        self.0.grey
    }

    /// Decodes images to so many channels, where they are files.
    pub fn take_channels(&mut self, channels: usize) {
        if self.0.dims.channels != channels {
            self.0.set_channels(channels);
        }
    }

    /// Takes the channels that a model takes, where the images are files, and the labels that its classes ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the images have more classes than the model.
    pub fn fit(&mut self, manifest: &Manifest) -> Result<()> {
        self.take_channels(manifest.image.channels);
        let (classes, named) = (manifest.classes, self.0.names.as_ref().map_or(0, Vec::len));
        if named > classes {
            let message = format!(
                "the images have {named} classes, the model {classes}: leave out the images of other classes, or give \
                 the model's index of each class"
            );
            return Err(Error::new(ErrorKind::Data, message).about(OptionName::ClassMap));
        }
        let fewer = !self.0.mapped && 0 < named && named < classes;
        if fewer && !self.0.label_as_imagenet(classes) {
            self.0.label_by_number(classes);
        }
        Ok(())
    }

    /// What a reader must know of the images. They [fit](Self::fit) that model.
    pub fn warnings(&self, manifest: &Manifest) -> Vec<Warning> {
        image_warnings(&self.0, manifest)
    }

    /// The shape of the images, for models whose own input does not show it.
    pub fn shape(&self) -> ImageShape {
        let ImageDims { channels, height, width } = self.0.dims;
        ImageShape { channels, height, width }
    }

    /// The shape of the images, which `stated` names where they are flat rows.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] when the images have another shape than is stated.
    pub fn shape_as_stated(&self, stated: Option<ImageShape>) -> Result<ImageShape> {
        let found = self.shape();
        match stated {
            None => Ok(found),
            Some(stated) if is_of_shape(found, stated) => Ok(stated),
            Some(stated) => Err(Error::new(
                ErrorKind::Options,
                format!("an image is said to be {}, but the images are {}", shown(stated), shown(found)),
            )
            .about(OptionName::InputShape)),
        }
    }

    /// The shape that the description of a bundle states, which is that of the images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the images have another shape: the bundle says it all, so that no option helps.
    pub(crate) fn shape_as_described(&self, described: ImageShape, manifest: &Path) -> Result<ImageShape> {
        let found = self.shape();
        if is_of_shape(found, described) {
            return Ok(described);
        }
        let message = format!(
            "the images are {}, but {} says {}, and has no `preprocessing` that makes the one of the other; \
             `mimir-export bundle` makes a bundle with one of this one",
            shown(found),
            manifest.display(),
            shown(described)
        );
        Err(Error::new(ErrorKind::Data, message))
    }

    /// The images and labels, checked against what the model takes. `pixels` says which values count.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when the model takes other images, or does not have the class of a label.
    pub fn for_model(&self, manifest: &Manifest, pixels: Pixels) -> Result<EvaluationSet<'_>> {
        let (found, wanted) = (self.shape(), manifest.image);
        if !is_of_shape(found, wanted) {
            let message = format!("the images are {}, but the model expects {}", shown(found), shown(wanted));
            let error = Error::new(ErrorKind::Data, message);
            let is_size = found.channels == wanted.channels;
            return Err(if is_size { error.about(OptionName::ImageSize) } else { error });
        }
        let set = EvaluationSet::new(self, &self.0.labels).or_kind(ErrorKind::Data)?;
        set.fits(wanted.pixels(), manifest.classes).or_kind(ErrorKind::Data)?;
        Ok(set.with_pixels(pixels))
    }
}

/// Where the images came from, and the digests that bind them. Reads every image once.
///
/// # Errors
/// When one cannot be read, or has a pixel outside `[0, 1]`.
pub(crate) fn describe(
    images: &ImageSource,
    opened: &OpenedImages,
    set: &EvaluationSet,
    image: ImageShape,
) -> Result<EvaluationData> {
    let ImageSet { names, .. } = &opened.0;
    Ok(EvaluationData {
        class_names: names.clone(),
        image_files: opened.0.file_names(images.source.path()),
        source: images.source.to_string(),
        split: images.source.has_splits().then(|| images.read.split.to_string()),
        first: images.read.first,
        sample: images.preparation.sample.map(sample_record),
        preprocessing: images.preparation.transform.map(preprocessing),
        class_map: images.preparation.classes.as_ref().map(|classes| classes.indices().clone()),
        jpeg_decoder: opened.0.is_decoded().then(|| JPEG_DECODER.to_owned()),
        images_digest: images_digest(set, image)?,
        labels_digest: digest::digest_labels(set.labels()),
    })
}

fn sample_record(sample: Sample) -> SampleRecord {
    let Sample { count, seed } = sample;
    SampleRecord { count, seed, method: Sample::METHOD.to_owned() }
}

fn preprocessing(transform: Transform) -> Preprocessing {
    let sides = |size: Size| [size.height, size.width];
    Preprocessing {
        resize: transform.resize.map(|resize| match resize {
            Resize::ShorterSide(side) => certificate::Resize::ShorterSide(side),
            Resize::Exact(size) => certificate::Resize::Exact(sides(size)),
        }),
        crop: transform.crop.map(sides),
        interpolation: match transform.interpolation {
            Interpolation::Bilinear => certificate::Interpolation::Bilinear,
            Interpolation::Bicubic => certificate::Interpolation::Bicubic,
        },
    }
}

/// What was done to the images that a certificate speaks about.
///
/// # Errors
/// [`ErrorKind::Data`] when a size is out of range, or the sample was drawn by another rule.
pub(crate) fn recorded_preparation(recorded: &EvaluationData) -> Result<Preparation> {
    let sample = recorded.sample.as_ref().map(|sample| match sample.method.as_str() {
        Sample::METHOD => Ok(Sample { count: sample.count, seed: sample.seed }),
        other => {
            Err(Error::new(ErrorKind::Data, format!("certificate: images drawn by another rule: {other}")))
        }
    });
    let transform = recorded.preprocessing.map(transform_of).transpose().or_kind(ErrorKind::Data)?;
    let written = |name: &str| one_line(name).into_owned();
    let classes = recorded.class_map.clone().map(|indices| ClassMap::of_record(indices, written));
    Ok(Preparation { sample: sample.transpose()?, transform, classes })
}

/// The part of a data set that a record names.
///
/// # Errors
/// [`ErrorKind::Data`] when there is no such part.
pub(crate) fn recorded_split(recorded: &EvaluationData) -> Result<Split> {
    match recorded.split.as_deref() {
        None | Some("test") => Ok(Split::Test),
        Some("train") => Ok(Split::Train),
        Some(other) => Err(Error::new(ErrorKind::Data, format!("certificate: unknown split `{other}`"))),
    }
}

/// What is done to pictures, as a record says it.
///
/// # Errors
/// When a size is out of range.
pub(crate) fn transform_of(recorded: Preprocessing) -> std::result::Result<Transform, DataError> {
    let size = |[height, width]: [usize; 2]| Size { height, width };
    let transform = Transform {
        resize: recorded.resize.map(|resize| match resize {
            certificate::Resize::ShorterSide(side) => Resize::ShorterSide(side),
            certificate::Resize::Exact(sides) => Resize::Exact(size(sides)),
        }),
        crop: recorded.crop.map(size),
        interpolation: match recorded.interpolation {
            certificate::Interpolation::Bilinear => Interpolation::Bilinear,
            certificate::Interpolation::Bicubic => Interpolation::Bicubic,
        },
    };
    transform.check().map(|()| transform)
}

fn images_digest(set: &EvaluationSet, image: ImageShape) -> Result<String> {
    let mut digest = TensorDigest::new(&[set.count(), image.channels, image.height, image.width]);
    let mut pixels = vec![0.0; set.pixels_per_image()];
    for image in 0..set.count() {
        set.read(image, &mut pixels).or_kind(ErrorKind::Data)?;
        digest.update(&pixels);
    }
    digest.finish().or_kind(ErrorKind::Internal)
}

/// Whether images are of that shape. Flat rows, as some NPZ files have them, carry no shape that could differ.
fn is_of_shape(found: ImageShape, wanted: ImageShape) -> bool {
    let is_flat = found.channels == 1 && found.height == 1;
    found == wanted || (is_flat && found.pixels() == wanted.pixels())
}

pub(crate) fn shown(shape: ImageShape) -> String {
    let ImageShape { channels, height, width } = shape;
    format!("{channels} × {height} × {width} (channels, height, width)")
}
