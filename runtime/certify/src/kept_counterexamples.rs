//! The pixels of counterexamples, for a program that asked for them.

use std::sync::Arc;

use mimir_runtime::journal::CounterexampleStore;

use crate::error::{ErrorKind, OrKind, Result};

/// The counterexamples of a certification, as the attacks found them, to the last bit. They are in a file, not in memory;
/// without a report folder it is a temporary one without a name, which goes with the last clone of this.
#[derive(Debug, Clone)]
pub struct KeptCounterexamples {
    store: Arc<CounterexampleStore>,
    /// Where that of each image is.
    slots: Vec<Option<u64>>,
    pixels_per_image: usize,
}

impl KeptCounterexamples {
    pub(crate) fn new(store: CounterexampleStore, slots: Vec<Option<u64>>, pixels_per_image: usize) -> Self {
        Self { store: Arc::new(store), slots, pixels_per_image }
    }

    /// Values in one image, `C·H·W`.
    pub fn pixels_per_image(&self) -> usize {
        self.pixels_per_image
    }

    /// Reads the counterexample of an image, counted from 0, into `pixels`: `[C·H·W]`, every value in `[0, 1]`. Returns
    /// whether there is one; nothing is written where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when `pixels` is not [`Self::pixels_per_image`] long, or the file cannot be read.
    pub fn read(&self, image: usize, pixels: &mut [f32]) -> Result<bool> {
        let Some(slot) = self.slots.get(image).copied().flatten() else { return Ok(false) };
        self.store.read(slot, pixels).or_kind(ErrorKind::Storage)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use mimir_bundle::{AttackSpec, ImageShape, Norm, Normalisation, ThreatModel};
    use mimir_data::{DataSource, ImageDims, ReadOptions, Split};
    use mimir_runtime::evaluate::{Silent, Verdict};

    use crate::counterexamples::StoredCounterexamples;
    use crate::options::{
        ExistingJournal, ImageSource, KeepCounterexamples, ReportOptions, StoreCounterexamples,
    };
    use crate::{Certified, CertifyOptions, EngineOptions, certify, image_shape};

    const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/demo");
    const IMAGES: usize = 16;
    const SHAPE: ImageShape = ImageShape { channels: 3, height: 24, width: 24 };

    fn options() -> CertifyOptions {
        let images = format!("npz:{DEMO}/images.npz").parse().unwrap();
        let threat_model = ThreatModel::new(Norm::Linf, 8.0 / 255.0).unwrap();
        let mut options = CertifyOptions::new(format!("{DEMO}/model.onnx"), images, threat_model);
        options.images.read.first = Some(IMAGES);
        options.normalisation = Some(Normalisation::new([0.5], [0.25]));
        options.attacks = vec![AttackSpec::named("fgsm").unwrap()];
        options
    }

    fn run(options: &CertifyOptions) -> Certified {
        certify(options, &Silent, &AtomicBool::new(false)).unwrap()
    }

    /// Without times, and without where the images were and what is beside the report.
    fn timeless(certified: &Certified) -> serde_json::Value {
        fn strip(value: &mut serde_json::Value) {
            match value {
                serde_json::Value::Object(fields) => {
                    for name in
                        ["seconds", "model_seconds", "created_at", "source", "first", "counterexamples"]
                    {
                        fields.remove(name);
                    }
                    fields.values_mut().for_each(strip);
                }
                serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
                _ => {}
            }
        }
        let mut both = serde_json::json!([&certified.report, &certified.certificate]);
        strip(&mut both);
        both
    }

    #[test]
    fn what_is_kept_is_what_broke_the_model_and_changes_no_report() {
        let plain = run(&options());
        assert!(plain.counterexamples.is_none() && plain.outcomes.len() == IMAGES);
        let folder = tempfile::tempdir().unwrap();
        let report = ReportOptions {
            folder: folder.path().join("out"),
            counterexamples: StoreCounterexamples::Yes,
            existing_journal: ExistingJournal::Refuse,
        };
        let file = report.folder.join("adversarial.npz");
        for report in [None, Some(report)] {
            let (in_folder, keep_counterexamples) = (report.is_some(), KeepCounterexamples::Yes);
            let found = run(&CertifyOptions { report, keep_counterexamples, ..options() });
            assert_eq!((&found.outcomes, timeless(&found)), (&plain.outcomes, timeless(&plain)));
            let kept = found.counterexamples.unwrap();
            assert_eq!(kept.pixels_per_image(), SHAPE.pixels());
            let mut pixels = vec![f32::NAN; SHAPE.pixels()];
            let mut broken = Vec::new();
            for outcome in &found.outcomes {
                let is_broken = matches!(outcome.verdict, Verdict::Broken { .. });
                assert_eq!(kept.read(outcome.image, &mut pixels).unwrap(), is_broken);
                if is_broken {
                    broken.extend(pixels.clone());
                }
            }
            assert!(!broken.is_empty());
            assert!(!kept.read(IMAGES, &mut pixels).unwrap());
            if in_folder {
                let opened = std::fs::File::open(&file).unwrap();
                let mut stored = StoredCounterexamples::open(opened, &file, SHAPE, IMAGES).unwrap();
                let images = stored.pixels().unwrap().next(IMAGES).unwrap().unwrap();
                assert_eq!(images.into_iter().collect::<Vec<_>>(), broken);
            }
        }
    }

    #[test]
    fn images_in_memory_are_evaluated_as_those_of_a_file() {
        let from_file = run(&options());
        let read = ReadOptions { split: Split::Test, first: Some(IMAGES) };
        let set = mimir_data::open(&options().images.source, &read).unwrap();
        let mut pixels = vec![0.0; IMAGES * set.pixels_per_image()];
        for (image, out) in pixels.chunks_exact_mut(set.pixels_per_image()).enumerate() {
            set.read(image, out).unwrap();
        }
        let dims = ImageDims { channels: 3, height: 24, width: 24 };
        let source = DataSource::in_memory(dims, pixels, set.labels).unwrap();
        let from_memory = run(&CertifyOptions { images: ImageSource::new(source), ..options() });
        assert_eq!(from_memory.outcomes, from_file.outcomes);
        let (certificate, wanted) = (from_memory.certificate.unwrap(), from_file.certificate.unwrap());
        assert_eq!(certificate.data.images_digest, wanted.data.images_digest);
        assert_eq!(certificate.data.labels_digest, wanted.data.labels_digest);
        assert_eq!((certificate.data.source.as_str(), certificate.data.first), ("memory", None));
    }

    #[test]
    fn a_file_shows_the_images_that_it_takes() {
        let model = options().model;
        assert_eq!(image_shape(&model, &EngineOptions::default()).unwrap(), SHAPE);
        let missing = image_shape(&"/nonexistent.onnx".into(), &EngineOptions::default()).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent.onnx"), "{missing}");
    }
}
