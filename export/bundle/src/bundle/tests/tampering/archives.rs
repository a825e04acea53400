//! Archives that other readers of ZIP files may take for something else.

use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;

use super::*;

/// Where the local header of a file begins.
fn local(bytes: &[u8], name: &str) -> usize {
    header(bytes, b"PK\x03\x04", 30, name)
}

/// Where the entry of a file in the central directory begins.
fn central(bytes: &[u8], name: &str) -> usize {
    header(bytes, b"PK\x01\x02", 46, name)
}

fn header(bytes: &[u8], signature: &[u8; 4], length: usize, name: &str) -> usize {
    let is_it = |at: &usize| {
        let rest = &bytes[*at..];
        let place = if length == 30 { 26 } else { 28 };
        let is_long = rest.get(place).is_some_and(|byte| usize::from(*byte) == name.len());
        is_long
            && rest.starts_with(signature)
            && rest.get(length..).is_some_and(|rest| rest.starts_with(name.as_bytes()))
    };
    (0..bytes.len()).rfind(is_it).unwrap()
}

fn end(bytes: &[u8]) -> usize {
    bytes.len() - 22
}

fn set16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn set32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

type Tamper = fn(&mut Vec<u8>);

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_header_is_the_one_that_the_writer_writes() {
    let cases: [(&str, Tamper, &str); 31] = [
        (
            "compressed",
            |b| {
                let at = local(b, MODEL);
                set16(b, at + 8, 8);
            },
            "model.onnx: local header: compression method is 8, wanted 0",
        ),
        (
            "compressed in the directory",
            |b| {
                let at = central(b, MODEL);
                set16(b, at + 10, 8);
            },
            "model.onnx: entry of the central directory: compression method is 8",
        ),
        (
            "encrypted",
            |b| {
                let at = local(b, MODEL);
                set16(b, at + 6, 1);
            },
            "model.onnx: local header: flags is 1, wanted 0",
        ),
        (
            "sizes behind the data",
            |b| {
                let at = local(b, MODEL);
                set16(b, at + 6, 8);
            },
            "model.onnx: local header: flags is 8",
        ),
        (
            "another time",
            |b| {
                let at = local(b, MODEL);
                set16(b, at + 10, 1);
            },
            "model.onnx: local header: time is 1",
        ),
        (
            "another version",
            |b| {
                let at = central(b, MODEL);
                set16(b, at + 6, 45);
            },
            "entry of the central directory: version needed is 45",
        ),
        (
            "a checksum that is not that of the bytes",
            |b| {
                for at in [local(b, MODEL) + 14, central(b, MODEL) + 16] {
                    b[at] ^= 1;
                }
            },
            "model.onnx: CRC-32 of its bytes is",
        ),
        (
            "checksums that differ",
            |b| {
                let at = central(b, MODEL) + 16;
                b[at] ^= 1;
            },
            "model.onnx: entry of the central directory: CRC-32 is",
        ),
        (
            "sizes that differ",
            |b| {
                let at = central(b, MODEL);
                set32(b, at + 24, 6);
            },
            "model.onnx: entry of the central directory: size is 6, wanted 7",
        ),
        (
            "compressed sizes that differ",
            |b| {
                let at = local(b, MODEL);
                set32(b, at + 18, 6);
            },
            "model.onnx: local header: compressed size is 6, wanted 7",
        ),
        (
            "a file that hides the next",
            |b| {
                let at = local(b, MODEL);
                set32(b, at + 18, 4096);
                set32(b, at + 22, 4096);
            },
            "neither a file nor the central directory begins here",
        ),
        (
            "a size of ZIP64",
            |b| {
                let at = local(b, MODEL);
                set32(b, at + 18, u32::MAX);
                set32(b, at + 22, u32::MAX);
            },
            "model.onnx: its size is in a ZIP64 record",
        ),
        (
            "a size beyond the end",
            |b| {
                let at = local(b, MODEL);
                set32(b, at + 18, 1 << 30);
                set32(b, at + 22, 1 << 30);
            },
            "model.onnx: is truncated: its data ends at byte",
        ),
        (
            "names that differ",
            |b| {
                let at = central(b, MODEL_DATA);
                b[at + 46] = b'n';
            },
            "model.onnx.data: entry of the central directory: byte 46",
        ),
        (
            "an entry that is another's",
            |b| {
                let (from, at) = (local(b, MODEL) as u32, central(b, MODEL_DATA));
                set32(b, at + 42, from);
            },
            "model.onnx.data: entry of the central directory: offset of the local header is",
        ),
        (
            "attributes of a link",
            |b| {
                let at = central(b, MODEL);
                set32(b, at + 38, 0o120_777 << 16);
            },
            "model.onnx: entry of the central directory: external attributes is",
        ),
        (
            "a comment of an entry",
            |b| {
                let at = central(b, MODEL);
                set16(b, at + 32, 4);
            },
            "length of the comment is 4, wanted 0: there are no comments",
        ),
        (
            "an extra field of the directory",
            |b| {
                let at = central(b, MODEL);
                set16(b, at + 30, 4);
            },
            "entry of the central directory: length of the extra field is 4",
        ),
        (
            "another length of the padding",
            |b| {
                let at = local(b, MODEL);
                set16(b, at + 28, 6);
            },
            "model.onnx: local header: length of the extra field is 6",
        ),
        (
            "something in the padding",
            |b| {
                let at = local(b, MODEL);
                b[at + 100] = b'x';
            },
            "model.onnx: local header: byte 100 is 0x78, wanted 0x00",
        ),
        (
            "an entry less",
            |b| {
                let at = end(b);
                set16(b, at + 10, 5);
            },
            "end of the central directory: entries is 5, wanted 6",
        ),
        (
            "another directory",
            |b| {
                let at = end(b);
                set32(b, at + 16, 0);
            },
            "end of the central directory: offset of the directory is 0",
        ),
        (
            "another disk",
            |b| {
                let at = end(b);
                set16(b, at + 4, 1);
            },
            "end of the central directory: number of the disk is 1",
        ),
        (
            "a comment",
            |b| {
                let at = end(b);
                set16(b, at + 20, 2);
                b.extend(b"hi");
            },
            "end of the central directory: length of the comment is 2",
        ),
        ("a byte behind the end", |b| b.push(0), "bytes behind its end"),
        ("a second archive behind the end", |b| b.extend_from_within(..), "bytes behind its end"),
        ("a byte before the beginning", |b| b.insert(0, b'#'), "archive: byte 0: neither a file"),
        (
            "a gap between files",
            |b| {
                let at = local(b, MODEL);
                b.splice(at..at, [0; 4096]);
            },
            "neither a file nor the central directory begins here",
        ),
        ("the end cut off", |b| b.truncate(b.len() - 1), "the archive ends here, at byte"),
        (
            "the directory cut off",
            |b| {
                let at = central(b, MANIFEST);
                b.truncate(at);
            },
            "archive: is truncated",
        ),
        ("half of it", |b| b.truncate(b.len() / 2), "truncated"),
    ];
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("tampered.mimir");
    for (case, tamper, wanted) in cases {
        let mut bytes = archive(&files());
        tamper(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        expect(case, Bundle::open(&path), wanted);
        expect(case, Bundle::from_bytes(bytes), wanted);
    }
}

/// Archives whose headers are right, of files that no bundle has.
#[test]
fn names_are_those_of_a_bundle_in_their_order_and_once() {
    let all = files();
    let names: Vec<&str> = [MANIFEST]
        .into_iter()
        .chain(all.keys().map(String::as_str).filter(|name| *name != MANIFEST))
        .collect();
    let with = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut names = names.clone();
        change(&mut names);
        let content = |name: &str| all.get(name).map_or(&b"x"[..], Vec::as_slice);
        let mut out = Vec::new();
        write_archive(names.iter().map(|name| (*name, content(name))), &mut out).unwrap();
        out
    };
    let appended = |name: &'static str| with(&|names| names.push(name));
    let long = "certificates/".to_owned() + &"x".repeat(65_000) + ".json";
    let cases = [
        ("a file twice", appended(MODEL), "model.onnx: stands twice in the archive"),
        ("the manifest twice", appended(MANIFEST), "manifest.json: stands twice in the archive"),
        (
            "another order",
            with(&|names| names.swap(1, 2)),
            "certificate.json: stands behind certificates/linf-4_255.json",
        ),
        (
            "the manifest last",
            with(&|names| names.rotate_left(1)),
            "certificate.json: is the first file, wanted manifest.json",
        ),
        ("a path to another folder", appended("../model.onnx"), "`../model.onnx`: leads to another folder"),
        ("a path through a folder", appended("certificates/../../x.json"), "leads to another folder"),
        ("an absolute path", appended("/etc/passwd"), "`/etc/passwd`: is an absolute path"),
        ("a path of another system", appended("..\\x.onnx"), "has the character '\\\\'"),
        ("a drive", appended("C:x.onnx"), "has the character ':'"),
        ("a name with an end inside", appended("model.onnx\0.json"), "has the character '\\0'"),
        ("a folder", appended("certificates/"), "is empty or begins with a point"),
        ("a name without text", appended(""), "is empty or begins with a point"),
        (
            "a name in other letters",
            with(&|names| names.insert(2, "certificates/LINF-4_255.json")),
            "only in the case of letters",
        ),
        ("a file more", appended("readme.txt"), "readme.txt: is no file of a bundle"),
        ("a graph more", appended("gradient-x.onnx"), "gradient-x.onnx: "),
        (
            "a name of many letters",
            with(&|names| names.push(long.clone().leak())),
            "is a name of more than 100 bytes",
        ),
        ("no file", with(&|names| names.clear()), "archive: byte 0: neither a file"),
    ];
    for (case, bytes, wanted) in cases {
        expect(case, Bundle::from_bytes(bytes), wanted);
    }
}

/// What a program for ZIP files makes of the same files is not a bundle: there is one archive for them.
#[test]
fn archives_of_other_programs_are_refused() {
    let options = SimpleFileOptions::default();
    for (method, wanted) in [
        (zip::CompressionMethod::Deflated, "compression method is 8"),
        (zip::CompressionMethod::Stored, "manifest.json: local header: "),
    ] {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(MANIFEST, options.compression_method(method)).unwrap();
        writer.write_all(&files()[MANIFEST]).unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let error = Bundle::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(wanted) || error.contains("version needed"), "{error}");
    }
}

/// What opens as a bundle, if anything, is the bundle that it was.
fn never_another(bytes: Vec<u8>) {
    if let Ok(opened) = Bundle::from_bytes(bytes) {
        assert_eq!(opened, complete());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_bytes_never_make_another_bundle(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = archive(&files());
        for (place, value) in changes {
            *place.get_mut(&mut bytes) = value;
        }
        never_another(bytes);
    }

    /// Of the bytes that are headers, each bit.
    #[test]
    fn changed_bits_of_headers_are_refused(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = archive(&files());
        let start = central(&bytes, MANIFEST);
        *place.get_mut(&mut bytes[start..]) ^= 1 << bit;
        prop_assert!(Bundle::from_bytes(bytes).is_err());
    }

    #[test]
    fn parts_that_are_moved_never_make_another_bundle(
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        length in 0..9000_usize,
    ) {
        let bytes = archive(&files());
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let part = bytes[from..(from + length).min(bytes.len())].to_vec();
        let mut inserted = bytes.clone();
        inserted.splice(to..to, part.clone());
        never_another(inserted);
        let mut overwritten = bytes;
        let end = (to + part.len()).min(overwritten.len());
        overwritten.splice(to..end, part);
        never_another(overwritten);
    }

    #[test]
    fn any_bytes_are_no_reason_to_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Bundle::from_bytes(bytes).is_err());
    }
}
