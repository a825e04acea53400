use std::io::{Cursor, Write};

use ndarray::{Array1, Array2, Array3, Array4, ArrayD, Dimension, IxDyn, array};
use ndarray_npy::{NpzWriter, WritableElement};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::*;
use crate::input::pixel;

/// Writes both arrays with an independent writer.
fn npz<A: WritableElement, L: WritableElement, D: Dimension>(
    images: &ndarray::Array<A, D>,
    labels: &Array1<L>,
) -> Vec<u8> {
    let mut writer = NpzWriter::new_compressed(Cursor::new(Vec::new()));
    writer.add_array("images", images).unwrap();
    writer.add_array("labels", labels).unwrap();
    writer.finish().unwrap().into_inner()
}

fn open_bytes(bytes: &[u8], first: Option<usize>) -> Result<ImageSet, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    std::fs::write(&path, bytes).unwrap();
    open(&path, first)
}

fn error(bytes: &[u8]) -> String {
    open_bytes(bytes, None).unwrap_err().to_string()
}

/// Element `i` is `i`.
fn counting(shape: &[usize]) -> ArrayD<u8> {
    let len: usize = shape.iter().product();
    ArrayD::from_shape_vec(IxDyn(shape), (0..len as u8).collect()).unwrap()
}

#[test]
fn every_layout_becomes_channel_major() {
    let dims = |channels, height, width| ImageDims { channels, height, width };
    let cases = [
        (vec![2, 3, 2, 4], dims(3, 2, 4), [0, 1, 2, 3]),
        (vec![2, 2, 4, 3], dims(3, 2, 4), [0, 3, 6, 9]),
        (vec![2, 1, 5, 4], dims(1, 5, 4), [0, 1, 2, 3]),
        (vec![2, 5, 4, 1], dims(1, 5, 4), [0, 1, 2, 3]),
        (vec![2, 4, 5, 6], dims(4, 5, 6), [0, 1, 2, 3]),
        (vec![2, 5, 6, 4], dims(4, 5, 6), [0, 4, 8, 12]),
        (vec![2, 5, 4], dims(1, 5, 4), [0, 1, 2, 3]),
        (vec![2, 7], dims(1, 1, 7), [0, 1, 2, 3]),
    ];
    for (shape, dims, first_values) in cases {
        let set = open_bytes(&npz(&counting(&shape), &array![0_i64, 1]), None).unwrap();
        assert_eq!(set.dims, dims, "{shape:?}");
        assert_eq!(set.row(0)[..4], first_values.map(pixel), "{shape:?}");
    }
}

#[test]
fn channels_last_moves_every_value() {
    let last = counting(&[2, 4, 5, 3]);
    let first = last.clone().permuted_axes(IxDyn(&[0, 3, 1, 2])).as_standard_layout().into_owned();
    let labels = array![0_u8, 1];
    let as_bytes = [&last, &first].map(|images| open_bytes(&npz(images, &labels), None).unwrap());
    let as_floats =
        [&last, &first].map(|images| open_bytes(&npz(&images.mapv(pixel), &labels), None).unwrap());
    for image in [1, 0] {
        let wanted: Vec<f32> = first.index_axis(ndarray::Axis(0), image).iter().copied().map(pixel).collect();
        for set in as_bytes.iter().chain(&as_floats) {
            assert_eq!(set.row(image), wanted, "image {image}");
        }
    }
}

#[test]
fn floats_pass_through_unchanged() {
    let images = array![[0.0_f32, 1.0, 0.1], [0.5, 1e-30, 0.999_999_94]];
    let set = open_bytes(&npz(&images, &array![5_u16, 0]), None).unwrap();
    assert_eq!(set.labels, [5, 0]);
    for (image, row) in images.rows().into_iter().enumerate() {
        assert_eq!(set.row(image), row.to_vec(), "image {image}");
    }
}

/// More values than are read at once.
#[test]
fn long_arrays_of_floats_stay_in_order() {
    let images = Array2::from_shape_fn((3, 10_001), |(image, place)| pixel((image * 7 + place % 251) as u8));
    let set = open_bytes(&npz(&images, &array![0_i64, 1, 2]), None).unwrap();
    for image in [2, 0, 1] {
        assert_eq!(set.row(image), images.row(image).to_vec(), "image {image}");
    }
}

/// As generated images come: other names, channels last, `numpy.savez` without compression.
#[test]
fn generated_images_are_read_from_memory_and_from_the_file() {
    let images = counting(&[4, 2, 2, 3]);
    let mut writer = NpzWriter::new(Cursor::new(Vec::new()));
    writer.add_array("image", &images).unwrap();
    writer.add_array("label", &array![3_i64, 1, 4, 1]).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("edm.npz");
    std::fs::write(&path, &bytes).unwrap();
    for most in [48, 47] {
        let set = open_within(&path, None, most).unwrap();
        assert_eq!(matches!(set.pixels, PixelStorage::Records(_)), most == 47);
        assert_eq!(set.labels, [3, 1, 4, 1]);
        for image in [3, 0] {
            let wanted = images.index_axis(ndarray::Axis(0), image);
            let picture = set.read_rgb(image).unwrap();
            assert!(picture.bytes().iter().eq(wanted.iter()), "image {image}");
            assert_eq!(set.row(image)[1], pixel(wanted[[0, 1, 0]]));
        }
    }
    // Compressed arrays have no places.
    std::fs::write(&path, npz(&images, &array![3_i64, 1, 4, 1])).unwrap();
    assert!(matches!(open_within(&path, None, 47).unwrap().pixels, PixelStorage::InMemory(_)));
}

#[test]
fn the_first_images_are_taken() {
    let bytes = npz(&Array3::<u8>::zeros((4, 2, 2)), &array![3_i32, 2, -1, 0]);
    let set = open_bytes(&bytes, Some(2)).unwrap();
    assert_eq!((&set.labels, set.count(), set.pixels_per_image()), (&vec![3, 2], 2, 4));
    let error = set.read(2, &mut [0.0; 4]).unwrap_err();
    assert!(matches!(error, DataError::NoSuchImage { image: 2, count: 2 }), "{error}");
    let message = open_bytes(&bytes, Some(5)).unwrap_err().to_string();
    assert!(message.ends_with("set.npz: found 4 images, but 5 were asked for"), "{message}");
}

#[test]
fn every_integer_type_is_a_label() {
    let images = Array2::<u8>::zeros((1, 4));
    let files = [
        npz(&images, &array![7_u8]),
        npz(&images, &array![7_i8]),
        npz(&images, &array![7_u16]),
        npz(&images, &array![7_i16]),
        npz(&images, &array![7_u32]),
        npz(&images, &array![7_i32]),
        npz(&images, &array![7_u64]),
        npz(&images, &array![7_i64]),
    ];
    for bytes in files {
        assert_eq!(open_bytes(&bytes, None).unwrap().labels, [7]);
    }
    let huge = open_bytes(&npz(&images, &array![u64::MAX]), None).unwrap();
    assert_eq!(huge.labels, [usize::MAX]);
}

#[test]
fn what_is_wrong_is_named() {
    let pixels = |value: f32| array![[0.5_f32, 0.5], [0.5, value]];
    let two = array![0_i64, 1];
    let cases = [
        (npz(&pixels(1.000_000_1), &two), "image 1: found pixel value 1.0000001, wanted values in [0, 1]"),
        (npz(&pixels(-1e-9), &two), "image 1: found pixel value -0.000000001"),
        (npz(&pixels(f32::NAN), &two), "image 1: found pixel value NaN"),
        (
            npz(&pixels(0.0).mapv(f64::from), &two),
            "array `images`: found element type <f8, wanted little-endian f32",
        ),
        (npz(&pixels(0.0), &array![0.0_f32, 1.0]), "array `labels`: found element type <f4, wanted"),
        (npz(&pixels(0.0), &array![0_i8, -1]), "image 1: found label -1, wanted 0 or more"),
        (
            npz(&pixels(0.0), &array![0_i64]),
            "array `labels`: found shape [1], wanted [2], one for each image",
        ),
        (npz(&Array4::<u8>::zeros((1, 3, 8, 3)), &array![0_i64]), "second or last, but not both"),
        (npz(&Array4::<u8>::zeros((1, 5, 8, 8)), &array![0_i64]), "1, 3 or 4 channels"),
        (npz(&Array1::<u8>::zeros(4), &array![0_i64]), "[N, C, H, W], [N, H, W, C], [N, H, W] or [N, D]"),
        (npz(&Array2::<u8>::zeros((0, 4)), &Array1::<i64>::zeros(0)), "no images"),
        (npz(&Array2::<u8>::zeros((2, 0)), &two), "no empty dimension"),
        (b"not a zip".to_vec(), "wanted an NPZ file with the arrays `images` and `labels`"),
        (npy("<f4", "(1, 1)", &[0; 4]), "found an NPY file, one array without labels, wanted an NPZ file"),
        (b"\x80\x04pickle..".to_vec(), "found a Python pickle"),
        (npz(&pixels(162.0), &two), "these look like levels 0 to 255; divide them by 255"),
        (
            npz(&pixels(1.000_000_1), &two),
            "found pixel value 1.0000001, wanted values in [0, 1]: rounding may",
        ),
        (npz(&pixels(-1.0), &two), "in [0, 1] before normalisation"),
        (npz(&array![[true, false]], &array![0_i64]), "element type |b1, wanted little-endian f32 in [0, 1]"),
        (npz(&array![[0_i64, 162]], &array![0_i64]), "element type <i8, wanted u8, the levels 0 to 255"),
        (npz(&array![[0_u16, 300]], &array![0_i64]), "element type <u2, wanted u8, the levels 0 to 255"),
    ];
    for (bytes, wanted) in cases {
        let message = error(&bytes);
        assert!(message.contains(wanted), "{message}");
    }
}

/// A zip with these members, stored as they are.
fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), data].concat()
}

#[test]
fn headers_that_claim_more_than_there_is_are_refused() {
    let labels = npy("|u1", "(1,)", &[0]);
    let shapes = ["(1, 5)", "(1, 3)", "(4294967296, 4294967296, 4294967296)", "(1, 9223372036854775807)"];
    for shape in shapes {
        let message = error(&zip_of(&[("images.npy", &npy("|u1", shape, &[0; 4])), ("labels.npy", &labels)]));
        assert!(message.contains("found 4 bytes of data, wanted what shape"), "{message}");
    }
    let message = error(&zip_of(&[("labels.npy", &labels)]));
    assert!(message.contains("found the arrays `labels`, wanted `images` and `labels`"), "{message}");
}

#[test]
fn other_names_are_listed_with_the_way_out() {
    let array = npy("|u1", "(1, 1)", &[0]);
    let cases: [(&[&str], &str); 4] = [
        (
            &["x_train", "y_train", "x_test", "y_test"],
            "found the arrays `x_train`, `y_train`, `x_test`, `y_test`, wanted `images` and `labels`: d = \
             numpy.load(file); numpy.savez(\"set.npz\", images=d[\"x_test\"], labels=d[\"y_test\"])",
        ),
        (&["data", "labels"], "images=d[\"data\"], labels=d[\"labels\"]"),
        (&["images"], "found the arrays `images`, wanted"),
        (&[], "found no arrays"),
    ];
    for (names, wanted) in cases {
        let names: Vec<String> = names.iter().map(|name| format!("{name}.npy")).collect();
        let members: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), array.as_slice())).collect();
        let message = error(&zip_of(&members));
        assert!(message.contains(wanted), "{message}");
    }
    let message = error(&zip_of(&[("archive/data.pkl", b"x")]));
    assert!(message.contains("found a PyTorch file"), "{message}");
}

#[test]
fn object_arrays_are_named() {
    let (objects, numbers) = (npy("|O", "(2,)", b"pickle"), npy("|u1", "(2, 1)", &[0, 1]));
    let message = error(&zip_of(&[("images.npy", &objects), ("labels.npy", &numbers)]));
    assert!(message.contains("array `images`: found an object array (pickled Python objects"), "{message}");
    let message = error(&zip_of(&[("images.npy", &numbers), ("labels.npy", &objects)]));
    assert!(message.contains("array `labels`: found an object array (pickled Python objects"), "{message}");
}

#[test]
fn labels_of_other_shapes_are_taken_or_named() {
    let images = npy("|u1", "(2, 4)", &[0; 8]);
    let column = zip_of(&[("images.npy", &images), ("labels.npy", &npy("|u1", "(2, 1)", &[5, 6]))]);
    assert_eq!(open_bytes(&column, None).unwrap().labels, [5, 6]);
    let one_hot = zip_of(&[("images.npy", &images), ("labels.npy", &npy("|u1", "(2, 3)", &[0; 6]))]);
    assert!(error(&one_hot).contains("of one-hot rows save labels.argmax(1)"), "{}", error(&one_hot));
}

#[test]
fn the_classes_of_the_rest_are_known() {
    let bytes = npz(&Array3::<u8>::zeros((4, 2, 2)), &array![3_i32, 2, 2, 0]);
    let whole = |first| open_bytes(&bytes, first).unwrap().whole;
    assert_eq!((whole(None), whole(Some(1))), (None, Some([(0, 1), (2, 2), (3, 1)].into())));
}

#[test]
fn damage_is_found_by_the_checksum() {
    let mut bytes = zip_of(&[
        ("images.npy", &npy("|u1", "(1, 4)", &[9, 9, 9, 9])),
        ("labels.npy", &npy("|u1", "(1,)", &[0])),
    ]);
    let position = bytes.windows(4).position(|window| window == [9; 4]).unwrap();
    bytes[position] = 8;
    assert!(error(&bytes).contains("checksum"), "{}", error(&bytes));
}

#[test]
fn truncated_files_are_errors() {
    let bytes = npz(&Array2::<u8>::ones((2, 4)), &array![0_i64, 1]);
    for length in 0..bytes.len() {
        assert!(open_bytes(&bytes[..length], None).is_err(), "cut to {length} of {} bytes", bytes.len());
    }
}

proptest! {
    #[test]
    fn hostile_headers_never_panic_or_allocate(shape in prop::collection::vec(any::<usize>(), 0..6), data in any::<Vec<u8>>()) {
        let text = format!("({})", shape.iter().map(|dim| format!("{dim},")).collect::<String>());
        let images = npy("|u1", &text, &data);
        let labels = npy("|u1", "(1,)", &[0]);
        let result = open_bytes(&zip_of(&[("images.npy", &images), ("labels.npy", &labels)]), None);
        let product = shape.iter().fold(1_u128, |product, dim| product.saturating_mul(*dim as u128));
        if product != data.len() as u128 {
            prop_assert!(result.is_err());
        }
    }
}
