use std::path::Path;
use std::sync::Weak;

use image::{Rgb, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::augment::{Augmentation, Crop, PadCrop, RandAugment};
use crate::training_set::tests::plain;
use crate::{DataError, DataSource, ReadOptions, Split, open_pictures};

fn options(batch: usize, threads: usize) -> LoaderOptions {
    let augmentation = Augmentation {
        crop: Crop::PadCrop(PadCrop { padding: 1 }),
        flip: 0.5,
        rand_augment: Some(RandAugment::default()),
        ..Augmentation::default()
    };
    LoaderOptions { batch, threads, augmentation, ..LoaderOptions::new(9, 4) }
}

fn real_and_generated() -> Arc<TrainingSet> {
    let set = TrainingSet::subset(plain(100, 0, 3), &(0..90).collect::<Vec<_>>()).unwrap();
    Arc::new(set.with_generated(plain(37, 128, 3), 0.3).unwrap())
}

fn batches(set: &Arc<TrainingSet>, options: LoaderOptions, start: (u64, usize), count: usize) -> Vec<Batch> {
    let loader = Loader::new(Arc::clone(set), options).unwrap();
    loader.start(start.0, start.1).take(count).map(Result::unwrap).collect()
}

#[test]
fn no_number_of_threads_changes_a_batch() {
    let set = real_and_generated();
    // Two epochs and a half; a batch of 40 is several parts.
    let reference = batches(&set, options(40, 1), (0, 0), 8);
    let places: Vec<_> = reference.iter().map(|batch| (batch.epoch, batch.step)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]);
    for (threads, prefetch) in [(2, 3), (5, 1), (3, 64)] {
        assert!(batches(&set, LoaderOptions { prefetch, ..options(40, threads) }, (0, 0), 8) == reference);
    }
}

#[test]
fn a_resumed_run_sees_what_it_would_have_seen() {
    let set = real_and_generated();
    let reference = batches(&set, options(20, 2), (0, 0), 20);
    for start in [1, 5, 6, 13] {
        let steps = Loader::new(Arc::clone(&set), options(20, 1)).unwrap().steps_per_epoch();
        let (epoch, step) = ((start / steps) as u64, start % steps);
        let resumed = batches(&set, options(20, 2), (epoch, step), 20 - start);
        assert!(resumed == reference[start..], "from epoch {epoch}, step {step}");
    }
    assert!(batches(&set, options(20, 1), (0, 13), 3) == reference[13..16]);
}

#[test]
fn a_batch_holds_the_pixels_and_labels_of_its_ids() {
    let set = real_and_generated();
    let none = LoaderOptions { augmentation: Augmentation::default(), ..options(20, 2) };
    for batch in batches(&set, none, (0, 0), 12) {
        assert_eq!((batch.sample_ids.len(), batch.labels.len(), batch.pixels.len()), (20, 20, 20 * 48));
        for (row, (id, label)) in batch.sample_ids.iter().zip(&batch.labels).enumerate() {
            // 14 real ones, then 6 generated ones, whose ids follow the 100 of the whole set.
            let is_real = *id < 90;
            assert_eq!(is_real, row < 14, "row {row} has id {id}");
            assert!(is_real || (100..137).contains(id), "{id}");
            let (value, wanted) = if is_real { (*id, id % 10) } else { (id + 28, (id - 100) % 10) };
            assert_eq!(*label as u64, wanted);
            let bytes = &batch.pixels[row * 48..][..48];
            assert!(bytes.iter().all(|found| u64::from(*found) == value), "id {id}");
        }
    }
}

#[test]
fn an_epoch_takes_each_real_image_once() {
    let set = Arc::new(TrainingSet::new(plain(60, 0, 1)).unwrap());
    let mut ids: Vec<u64> =
        batches(&set, options(20, 2), (4, 0), 3).into_iter().flat_map(|b| b.sample_ids).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..60));
}

#[test]
fn an_image_is_augmented_anew_in_each_epoch() {
    let set = Arc::new(TrainingSet::new(plain(20, 1, 1)).unwrap());
    let augmentation =
        Augmentation { crop: Crop::PadCrop(PadCrop { padding: 3 }), ..Augmentation::default() };
    let options = LoaderOptions { augmentation, ..options(20, 1) };
    let image = |batch: &Batch, id: u64| {
        let row = batch.sample_ids.iter().position(|found| *found == id).unwrap();
        batch.pixels[row * 16..][..16].to_vec()
    };
    let epochs = batches(&set, options, (0, 0), 2);
    let same = (0..20).filter(|id| image(&epochs[0], *id) == image(&epochs[1], *id)).count();
    // One place in 49 is the same; more than 5 of 20 are so with a probability of 3e-6, and the key is fixed.
    assert!(same <= 5, "{same} of 20");
}

#[test]
fn dropping_ends_the_threads() {
    let set = real_and_generated();
    let loader = Loader::new(Arc::clone(&set), options(20, 3)).unwrap();
    let builder: Weak<BatchBuilder> = Arc::downgrade(&loader.builder);
    let mut batches = loader.start(0, 0);
    drop(loader);
    batches.next().unwrap().unwrap();
    assert!(builder.strong_count() > 0);
    drop(batches);
    // Every thread held it.
    assert_eq!(builder.strong_count(), 0);
}

/// Two classes of PNG files, one of which (class `b`, number 7 of 12) is broken.
fn folder() -> (tempfile::TempDir, Arc<TrainingSet>) {
    let root = tempfile::tempdir().unwrap();
    for image in 0..12_u8 {
        let class = root.path().join(if image < 6 { "a" } else { "b" });
        std::fs::create_dir_all(&class).unwrap();
        let path = class.join(format!("{image:02}.png"));
        if image == 7 {
            std::fs::write(path, b"\xff\xd8\xff\xe0 no image").unwrap();
        } else {
            RgbImage::from_pixel(4, 4, Rgb([image, 0, 0])).save(path).unwrap();
        }
    }
    let set = training_set(root.path());
    (root, set)
}

fn training_set(root: &Path) -> Arc<TrainingSet> {
    let source = format!("folder:{}", root.display()).parse::<DataSource>().unwrap();
    let pictures = open_pictures(&source, &ReadOptions { split: Split::Train, first: None }).unwrap();
    Arc::new(TrainingSet::new(Arc::new(pictures)).unwrap())
}

fn folder_options(broken: BrokenImages, threads: usize) -> LoaderOptions {
    LoaderOptions { broken, threads, augmentation: Augmentation::default(), ..options(4, threads) }
}

#[test]
fn a_broken_image_stops_its_batch_and_is_named() {
    let (_root, set) = folder();
    for threads in [1, 3] {
        let loader = Loader::new(Arc::clone(&set), folder_options(BrokenImages::Stop, threads)).unwrap();
        let found: Vec<_> = loader.start(0, 0).take(3).collect();
        let errors: Vec<_> = found.iter().filter_map(|batch| batch.as_ref().err()).collect();
        assert_eq!(errors.len(), 1, "of the three batches of an epoch");
        let error = errors[0].to_string();
        assert!(error.starts_with("sample 7 (") && error.contains("b/07.png): "), "{error}");
        assert!(error.ends_with("wanted an 8-bit PNG or JPEG image"), "{error}");
    }
}

#[test]
fn a_broken_image_is_replaced_by_the_next_one_and_named() {
    let (_root, set) = folder();
    let reference = batches(&set, folder_options(BrokenImages::Skip, 1), (0, 0), 30);
    assert!(batches(&set, folder_options(BrokenImages::Skip, 4), (0, 0), 30) == reference);
    for epoch in reference.chunks(3) {
        let order = Sampler::new(9, 4, 12, (0, 0.0)).unwrap().epoch(epoch[0].epoch);
        let place = order.real().iter().position(|image| *image == 7).unwrap();
        let ids: Vec<u64> = epoch.iter().flat_map(|batch| batch.sample_ids.clone()).collect();
        let mut wanted: Vec<u64> = order.real().iter().map(|image| u64::from(*image)).collect();
        wanted[place] = wanted[(place + 1) % 12];
        assert_eq!(ids, wanted);
        let skipped: Vec<&Skipped> = epoch.iter().flat_map(|batch| &batch.skipped).collect();
        let [Skipped { sample_id: 7, row, location: file, reason }] = skipped[..] else {
            panic!("{skipped:?}")
        };
        assert_eq!(*row, place % 4);
        assert!(file.ends_with("b/07.png") && reason.contains("b/07.png: found "), "{file}: {reason}");
        let batch = &epoch[place / 4];
        assert_eq!(u64::from(batch.pixels[row * 48]), wanted[place]);
    }
}

#[test]
fn what_is_not_a_broken_image_always_stops() {
    let errors = |set: &Arc<TrainingSet>, options: LoaderOptions| {
        let loader = Loader::new(Arc::clone(set), options).unwrap();
        loader.start(0, 0).take(3).filter_map(Result::err).map(|error| error.to_string()).collect::<Vec<_>>()
    };
    let (root, set) = folder();
    std::fs::remove_file(root.path().join("a/03.png")).unwrap();
    let missing = errors(&set, folder_options(BrokenImages::Skip, 2));
    assert!(missing.len() == 1 && missing[0].starts_with("sample 3 ("), "{missing:?}");
    // A set of other sizes than the network takes is no accident of one file.
    let (_root, set) = folder();
    let sizes = errors(&set, LoaderOptions { image_size: 5, ..folder_options(BrokenImages::Skip, 2) });
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    assert!(sizes[0].contains("found a picture of 4 x 4 pixels, wanted 5 x 5"), "{sizes:?}");
}

#[test]
fn a_set_of_broken_images_ends() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    for name in ["0.png", "1.jpg"] {
        std::fs::write(root.path().join("a").join(name), b"nothing").unwrap();
    }
    let options = LoaderOptions { batch: 1, ..folder_options(BrokenImages::Skip, 2) };
    let loader = Loader::new(training_set(root.path()), options).unwrap();
    let error = loader.start(0, 0).next().unwrap().unwrap_err();
    assert!(matches!(error, DataError::Format { .. }), "{error}");
}

#[test]
fn options_out_of_range_are_named() {
    let set = real_and_generated();
    let usual = options(20, 1);
    for (options, name) in [
        (LoaderOptions { image_size: 0, ..usual.clone() }, "image_size"),
        (LoaderOptions { threads: 0, ..usual.clone() }, "threads"),
        (LoaderOptions { prefetch: 65, ..usual.clone() }, "prefetch"),
        (LoaderOptions { batch: 130, ..usual.clone() }, "batch"),
        (LoaderOptions { augmentation: Augmentation { flip: 2.0, ..usual.augmentation }, ..usual }, "flip"),
    ] {
        let error = Loader::new(Arc::clone(&set), options).unwrap_err().to_string();
        assert!(error.starts_with(&format!("parameter `{name}`")), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_start_and_any_threads_agree(
        count in 1_usize..80, batch in 1_usize..40, threads in 1_usize..5, start in 0_usize..6, grey: bool,
    ) {
        let set = Arc::new(TrainingSet::new(plain(count, 0, if grey { 1 } else { 3 })).unwrap());
        let options = |threads| options(batch.min(count), threads);
        let reference = batches(&set, options(1), (2, 0), start + 2);
        prop_assert!(batches(&set, options(threads), (2, start), 2) == reference[start..]);
    }
}
