use std::io::{Cursor, Write};

use image::{ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

fn png(red: u8, width: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, 2, Rgb([red, 0, 255])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A tar file of these entries, by an independent writer.
fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn open_bytes(bytes: &[u8]) -> Result<PictureSet, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.tar");
    std::fs::write(&path, bytes).unwrap();
    pictures(&path, None, Indices::Ignored)
}

fn two_shards() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/b.0", "deep".repeat(40));
    let first = tar(&[
        ("train/a.x.png", b"not this one"),
        ("train/a.png", &png(10, 3)),
        ("train/a.cls", b"7"),
        (&format!("{long}.cls").replace("b.0", "b"), b" 12\n"),
        (&format!("{long}.json").replace("b.0", "b"), b"{}"),
        (&format!("{long}.PNG").replace("b.0", "b"), &png(20, 5)),
    ]);
    let second = tar(&[("notes.txt", b"nothing"), ("c.cls", b"0"), ("c.jpeg", &png(30, 1))]);
    std::fs::write(folder.path().join("s-0.tar"), first).unwrap();
    std::fs::write(folder.path().join("s-1.tar"), second).unwrap();
    folder
}

#[test]
fn samples_of_several_shards_are_in_order() {
    let folder = two_shards();
    for path in [folder.path().to_owned(), folder.path().join("s-{0..1}.tar"), folder.path().join("s-?.tar")]
    {
        let set = pictures(&path, None, Indices::Ignored).unwrap();
        assert_eq!(set.labels, [7, 12, 0]);
        let found = [2, 0, 1].map(|image| {
            let picture = set.read_rgb(image).unwrap();
            (picture.bytes()[0], picture.width())
        });
        assert_eq!(found, [(30, 1), (10, 3), (20, 5)]);
        assert!(set.location(2).ends_with("s-1.tar, entry `c.jpeg`"), "{}", set.location(2));
    }
    let first = pictures(folder.path(), Some(1), Indices::Ignored).unwrap();
    assert_eq!((first.labels.as_slice(), first.read_rgb(1).is_err()), ([7].as_slice(), true));
    let error = pictures(folder.path(), Some(4), Indices::Ignored).unwrap_err().to_string();
    assert!(error.ends_with("found 3 images, but 4 were asked for"), "{error}");
}

/// Python's `tarfile` writes a header of attributes in front of each entry with a fractional time.
#[test]
fn attributes_in_front_of_entries_are_understood() {
    let image = png(40, 2);
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in [("a.cls", b"3".as_slice()), ("a.png", &image)] {
        builder.append_pax_extensions([("mtime", b"1700000000.25".as_slice())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pax.tar");
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    let set = pictures(&path, None, Indices::Ignored).unwrap();
    assert_eq!((set.labels.clone(), set.read_rgb(0).unwrap().bytes()[0]), (vec![3], 40));
}

#[test]
fn what_is_wrong_is_named() {
    let image = png(1, 1);
    let long = [b'1'; 40];
    let cases: [(Vec<u8>, &str); 9] = [
        (tar(&[]), "shard.tar: found no images"),
        (Vec::new(), "found a tar file that is cut after byte 0"),
        (tar(&[("a.png", &image)]), "entry `a`: found a sample without class, wanted a .cls"),
        (tar(&[("a.cls", b"1"), ("b.cls", b"1")]), "entry `a`: found a sample without image"),
        (tar(&[("a.cls", b"cat")]), "entry `a.cls`: found class `cat`, wanted a decimal number"),
        (tar(&[("a.cls", b"-1")]), "found class `-1`"),
        (tar(&[("a.cls", &long)]), "found class `1111"),
        (tar(&[("a.png", &image), ("a.jpg", &image)]), "entry `a.jpg`: found a second one in its sample"),
        (vec![0x1f; 2000], "wanted an uncompressed tar file"),
    ];
    for (bytes, wanted) in cases {
        let error = open_bytes(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn links_are_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "a.png", "/etc/passwd").unwrap();
    let error = open_bytes(&builder.into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.contains("entry `a.png`: found an entry of type Symlink"), "{error}");
}

/// Wherever it is cut, also between two entries.
#[test]
fn a_cut_tar_is_an_error() {
    let bytes = tar(&[("a.cls", b"1"), ("a.png", &png(1, 1)), ("b.png", &png(2, 2)), ("b.cls", b"1")]);
    assert_eq!(open_bytes(&bytes).unwrap().labels, [1, 1]);
    for length in (0..bytes.len()).step_by(64).chain([bytes.len() - 1]) {
        assert!(open_bytes(&bytes[..length]).is_err(), "cut to {length} of {} bytes", bytes.len());
    }
}

#[test]
fn a_corrupt_image_is_named_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.tar");
    std::fs::write(&path, tar(&[("a.cls", b"1"), ("a.jpg", b"\xff\xd8\xff no image")])).unwrap();
    let set = pictures(&path, None, Indices::Ignored).unwrap();
    let error = set.read_rgb(0).unwrap_err().to_string();
    assert!(error.contains("s.tar, entry `a.jpg`: found "), "{error}");
    assert!(error.ends_with("wanted an 8-bit PNG or JPEG image"), "{error}");
    File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    let error = set.read_rgb(0).unwrap_err();
    assert!(matches!(error, DataError::Changed { .. }), "{error}");
}

#[test]
fn one_size_is_an_evaluation_set() {
    let folder = two_shards();
    let error =
        pictures(folder.path(), None, Indices::Ignored).unwrap().one_size(None).unwrap_err().to_string();
    assert!(error.contains("entry `train/a.png` is 3x2x3") && error.contains("is 3x2x5"), "{error}");
    let set = pictures(folder.path(), Some(1), Indices::Ignored).unwrap().one_size(None).unwrap();
    assert_eq!((set.pixels_per_image(), set.row(0)[17]), (18, 1.0));
}

/// The list of a tar file, as text.
fn listed(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("s-0.tar.index.json")).unwrap()
}

fn opened(folder: &Path, indices: Indices) -> Result<(Vec<usize>, Vec<String>, Vec<u8>), DataError> {
    let set = pictures(&folder.join("s-0.tar"), None, indices)?;
    let names = (0..set.count()).map(|image| set.location(image)).collect();
    let reds = (0..set.count()).map(|image| Ok(set.read_rgb(image)?.bytes()[0])).collect::<Result<_, _>>()?;
    Ok((set.labels, names, reds))
}

#[test]
fn what_training_finds_is_kept_beside_the_file_and_read_in_its_place() {
    let folder = two_shards();
    let wanted = opened(folder.path(), Indices::Ignored).unwrap();
    assert!(!folder.path().join("s-0.tar.index.json").exists());
    assert_eq!(opened(folder.path(), Indices::Kept).unwrap(), wanted);
    assert_eq!(opened(folder.path(), Indices::Kept).unwrap(), wanted);
    // It is read in the place of the tar file, but not where a certificate speaks about that.
    std::fs::write(folder.path().join("s-0.tar.index.json"), listed(folder.path()).replace("[7,", "[8,"))
        .unwrap();
    assert_eq!(opened(folder.path(), Indices::Kept).unwrap().0, [8, 12]);
    assert_eq!(opened(folder.path(), Indices::Ignored).unwrap(), wanted);
}

#[test]
fn a_list_of_another_file_is_written_anew() {
    let folder = two_shards();
    let before = opened(folder.path(), Indices::Kept).unwrap();
    let path = folder.path().join("s-0.tar");
    // Long enough for every place of the list.
    let other = tar(&[("x.cls", b"5"), ("x.png", &png(50, 1)), ("x.txt", &[0; 1 << 17])]);
    std::fs::write(&path, other).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let after = opened(folder.path(), Indices::Kept).unwrap();
    assert_ne!(after, before);
    assert_eq!((after.0, after.2), (vec![5], vec![50]));
    assert!(listed(folder.path()).contains("[5,"));
}

/// Whatever is in its place, the tar file is read.
#[test]
fn a_list_that_does_not_fit_is_not_used() {
    let folder = two_shards();
    let wanted = opened(folder.path(), Indices::Kept).unwrap();
    let whole = listed(folder.path());
    let beyond = |text: &str| text.replacen("[7,", "[7,99999", 1);
    let long = whole.replacen(",\"train/a.png\"", "99999999,\"train/a.png\"", 1);
    assert_ne!(long, whole);
    let mut others = vec![
        beyond(&whole),
        long,
        String::new(),
        "{}".to_owned(),
        whole.replace("\"version\":1", "\"version\":2"),
    ];
    others.extend((0..whole.len()).step_by(7).map(|length| whole[..length].to_owned()));
    for text in others {
        std::fs::write(folder.path().join("s-0.tar.index.json"), &text).unwrap();
        assert_eq!(opened(folder.path(), Indices::Kept).unwrap(), wanted, "{text}");
        assert_eq!(listed(folder.path()), whole, "written anew");
    }
    #[cfg(unix)]
    {
        // A link is replaced, not followed.
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "kept").unwrap();
        std::fs::remove_file(folder.path().join("s-0.tar.index.json")).unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join("s-0.tar.index.json")).unwrap();
        assert_eq!(opened(folder.path(), Indices::Kept).unwrap(), wanted);
        assert_eq!(std::fs::read_to_string(precious).unwrap(), "kept");
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(place in 0_usize..4096, byte: u8) {
        let mut bytes = tar(&[("a.cls", b"1"), ("a.png", &png(1, 1))]);
        let length = bytes.len();
        bytes[place % length] = byte;
        if let Ok(set) = open_bytes(&bytes) {
            let _ = set.read_rgb(0);
        }
    }
}
