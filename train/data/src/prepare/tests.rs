use std::fs;

use image::{Rgb, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::augment::Evaluation;
use crate::{Preparation, Split, TrainingSet, open, open_prepared};

const ALL: ReadOptions = ReadOptions { split: Split::Train, first: None };

/// Seven images of two classes, larger and smaller than ten pixels on their shorter side.
fn folder() -> (tempfile::TempDir, DataSource) {
    let root = tempfile::tempdir().unwrap();
    let sizes = [(20, 13), (11, 30), (10, 10), (4, 9), (31, 12), (12, 12), (40, 11)];
    for (image, (width, height)) in sizes.into_iter().enumerate() {
        let class = root.path().join(if image < 3 { "n01" } else { "n02" });
        fs::create_dir_all(&class).unwrap();
        let pixels = RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 9 + image as u32 * 31) as u8, (y * 17) as u8, (x * y) as u8])
        });
        pixels.save(class.join(format!("{image}.png"))).unwrap();
    }
    let source = format!("folder:{}", root.path().display()).parse().unwrap();
    (root, source)
}

fn options(threads: usize) -> PrepareOptions {
    PrepareOptions { read: ALL, side: 10, threads: NonZero::new(threads).unwrap() }
}

/// Three images in a file.
fn prepared(source: &DataSource, folder: &Path, threads: usize) -> Result<PreparedCount, DataError> {
    prepare_in_files(source, folder, &options(threads), 3, |_| true)
}

fn source_of(folder: &Path) -> DataSource {
    format!("prepared:{}", folder.display()).parse().unwrap()
}

fn bytes_of(folder: &Path) -> Vec<Vec<u8>> {
    (0..3).map(|shard| fs::read(Manifest::shard_path(folder, shard)).unwrap()).collect()
}

#[test]
fn evaluation_sees_the_same_bytes_and_training_the_same_images() {
    let ((_root, source), out) = (folder(), tempfile::tempdir().unwrap());
    assert_eq!(prepared(&source, out.path(), 2).unwrap(), PreparedCount { done: 7, of: 7 });
    let (before, after) =
        (open_pictures(&source, &ALL).unwrap(), open_pictures(&source_of(out.path()), &ALL).unwrap());
    assert_eq!((&after.labels, &after.names, after.channels()), (&before.labels, &before.names, 3));
    let evaluation = Evaluation { resize: Some(10), crop: 8 };
    let images: Vec<usize> = (0..7).collect();
    assert_eq!(
        after.read_batch(&images, &evaluation, 2).unwrap(),
        before.read_batch(&images, &evaluation, 1).unwrap()
    );
    // Smaller ones are as they were.
    let sizes = images.iter().map(|image| after.read_rgb(*image).unwrap().shape());
    assert_eq!(
        sizes.map(|(width, height, _)| (width, height)).collect::<Vec<_>>(),
        [(15, 10), (10, 27), (10, 10), (4, 9), (25, 10), (10, 10), (36, 10)]
    );
    assert!(after.location(4).ends_with("images-00001.bin, entry `n02/4.png`"), "{}", after.location(4));
    // They are the same images for a network that was trained on them.
    let identity = |set| {
        let mut bytes = Vec::new();
        TrainingSet::new(std::sync::Arc::new(set))
            .unwrap()
            .identify(|piece| bytes.extend_from_slice(piece))
            .unwrap();
        bytes
    };
    assert_eq!(identity(before), identity(after));
}

/// For a certificate too, where pictures are of one size after the transform.
#[test]
fn a_prepared_set_is_a_source_of_evaluation() {
    let ((_root, source), out) = (folder(), tempfile::tempdir().unwrap());
    prepared(&source, out.path(), 1).unwrap();
    let crop = Some(crate::augment::Size { height: 8, width: 8 });
    let preparation =
        Preparation { transform: Some(Transform { crop, ..transform(10) }), ..Preparation::default() };
    let [before, after] =
        [source, source_of(out.path())].map(|source| open_prepared(&source, &ALL, &preparation).unwrap());
    assert!((0..7).all(|image| before.row(image) == after.row(image)));
    let first = open_pictures(&source_of(out.path()), &ReadOptions { first: Some(4), ..ALL }).unwrap();
    assert_eq!((first.count(), first.whole.map(|whole| whole[&1])), (4, Some(4)));
    assert!(matches!(open(&source_of(out.path()), &ALL), Err(DataError::MixedSizes { .. })));
}

#[test]
fn no_number_of_threads_changes_a_byte() {
    let (_root, source) = folder();
    let written = [1, 2, 5].map(|threads| {
        let out = tempfile::tempdir().unwrap();
        prepared(&source, out.path(), threads).unwrap();
        bytes_of(out.path())
    });
    assert!(written[0] == written[1] && written[1] == written[2]);
}

#[test]
fn what_is_finished_is_kept_and_the_same_call_goes_on() {
    let ((_root, source), out, whole) =
        (folder(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    prepared(&source, whole.path(), 1).unwrap();
    let until = |most: usize| {
        prepare_in_files(&source, out.path(), &options(1), 3, |count| count.done < most).unwrap()
    };
    assert_eq!(until(6), PreparedCount { done: 6, of: 7 });
    let error = open_pictures(&source_of(out.path()), &ALL).unwrap_err().to_string();
    assert!(
        error.contains("images-00002.bin: found no such file: the images are not all prepared"),
        "{error}"
    );
    assert!(error.contains("go on with `mimir-train prepare folder:"), "{error}");
    // Nothing half is left, and nothing that is finished is made again.
    let names = || fs::read_dir(out.path()).unwrap().count();
    assert_eq!(names(), 3);
    let mut heard = Vec::new();
    prepare_in_files(&source, out.path(), &options(1), 3, |count| {
        heard.push(count.done);
        true
    })
    .unwrap();
    assert_eq!(heard, [6]);
    assert!(bytes_of(out.path()) == bytes_of(whole.path()));
}

#[test]
fn another_preparation_in_the_folder_is_named() {
    let ((root, source), out) = (folder(), tempfile::tempdir().unwrap());
    prepared(&source, out.path(), 1).unwrap();
    let other = PrepareOptions { side: 9, ..options(1) };
    let error = prepare_in_files(&source, out.path(), &other, 3, |_| true).unwrap_err().to_string();
    assert!(error.contains("shorter side of 10, wanted 7 images"), "{error}");
    assert!(error.contains("shorter side of 9: name another folder, or remove this one"), "{error}");
    fs::rename(root.path().join("n01/0.png"), root.path().join("n01/00.png")).unwrap();
    assert!(prepared(&source, out.path(), 1).is_err(), "other images");
}

#[test]
fn an_image_that_cannot_be_decoded_is_named() {
    let ((root, source), out) = (folder(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("n02/4.png"), "no image").unwrap();
    let error = prepared(&source, out.path(), 2).unwrap_err().to_string();
    assert!(error.contains("n02/4.png: found "), "{error}");
    assert!(Manifest::shard_path(out.path(), 0).exists() && !Manifest::shard_path(out.path(), 1).exists());
}

/// A file without end that claims to be one index.
#[test]
fn an_index_cannot_ask_for_the_machine() {
    let ((_root, source), out) = (folder(), tempfile::tempdir().unwrap());
    prepared(&source, out.path(), 1).unwrap();
    let path = Manifest::shard_path(out.path(), 2);
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let end = encode_index(&[], 0);
    io::Seek::seek(&mut &file, io::SeekFrom::End(0)).unwrap();
    let one = [&end[..8], &1_u32.to_le_bytes(), &end[12..]].concat();
    (&file).write_all(&one).unwrap();
    let error = open_pictures(&source_of(out.path()), &ALL).unwrap_err().to_string();
    assert!(error.contains("found an index of 1099511627776 bytes"), "{error}");
}

/// A pixel that is not the one that was written.
#[test]
fn damaged_pixels_are_named_when_they_are_read() {
    let ((_root, source), out) = (folder(), tempfile::tempdir().unwrap());
    prepared(&source, out.path(), 1).unwrap();
    let path = Manifest::shard_path(out.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[5] ^= 1;
    fs::write(&path, bytes).unwrap();
    let set = open_pictures(&source_of(out.path()), &ALL).unwrap();
    set.read_rgb(0).unwrap();
    let error = set.read_rgb(3).unwrap_err().to_string();
    assert!(error.contains("images-00001.bin, entry `n02/3.png`: found other pixels"), "{error}");
    assert!(error.contains("remove the file, and go on with `mimir-train prepare`"), "{error}");
}

#[test]
fn a_shard_that_is_cut_is_an_error_wherever_it_is_cut() {
    let ((_root, source), out) = (folder(), tempfile::tempdir().unwrap());
    prepared(&source, out.path(), 1).unwrap();
    let path = Manifest::shard_path(out.path(), 2);
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = open_pictures(&source_of(out.path()), &ALL).unwrap_err().to_string();
        assert!(error.contains("images-00002.bin: found "), "{length}: {error}");
        assert!(error.contains("go on with `mimir-train prepare"), "{length}: {error}");
    }
    // And the same call mends it.
    prepared(&source, out.path(), 1).unwrap();
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_manifest_that_is_none_is_named() {
    let out = tempfile::tempdir().unwrap();
    let read = || open_pictures(&source_of(out.path()), &ALL).unwrap_err().to_string();
    assert!(read().contains("prepared.json"), "{}", read());
    let manifest = Manifest::new("folder:x".into(), "train".into(), 10, 3, (7, 0));
    for (text, wanted) in [
        ("{", "wanted what `mimir-train prepare` writes"),
        ("[]", "wanted what `mimir-train prepare` writes"),
        (
            &serde_json::to_string(&manifest).unwrap().replace("\"version\":1", "\"version\":2"),
            "found version 2",
        ),
        (
            &serde_json::to_string(&Manifest { images_in_shard: 0, ..manifest.clone() }).unwrap(),
            "in files of 0",
        ),
        (&serde_json::to_string(&Manifest { channels: 4, ..manifest.clone() }).unwrap(), "of 4 channels"),
    ] {
        fs::write(out.path().join("prepared.json"), text).unwrap();
        assert!(read().contains(wanted), "{}", read());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hostile_prepared_files_never_panic(place in 0_usize..4000, byte: u8, shard in 0_usize..3) {
        let ((_root, source), out) = (folder(), tempfile::tempdir().unwrap());
        prepared(&source, out.path(), 1).unwrap();
        let path = Manifest::shard_path(out.path(), shard);
        let mut bytes = fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[place % length] = byte;
        fs::write(&path, bytes).unwrap();
        if let Ok(set) = open_pictures(&source_of(out.path()), &ALL) {
            for image in 0..7 {
                let _ = set.read_rgb(image);
            }
        }
    }
}
