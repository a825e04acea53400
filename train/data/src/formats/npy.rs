//! The header of a NPY array, as NumPy writes it.
//!
//! Read here rather than by a library because the header is hostile input: the usual reader reserves what the shape
//! claims before it looks at the data, and parses the dictionary by recursion, so that a file of 200 bytes can end the
//! process. This one accepts exactly the flat dictionary that NumPy writes.

use std::io::Read;
use std::path::Path;

use crate::error::{DataError, FilePart};
use crate::input::read_exactly;

/// NumPy pads to 64 bytes; five dimensions fit in 128.
const MAX_HEADER: usize = 4096;

/// Element type, layout and shape of an array.
#[derive(Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// NumPy's descriptor, e.g. `<f4`.
    pub descr: String,
    /// Dimensions, outermost first, in C order.
    pub shape: Vec<usize>,
    /// Bytes from the start of the file to the data.
    pub length: usize,
}

impl NpyHeader {
    /// Reads the header and leaves the reader at the data. `part` of the file at `path` is what errors name.
    ///
    /// # Errors
    /// When it is none that NumPy writes, or an array in Fortran order.
    pub fn read(reader: &mut impl Read, path: &Path, part: &FilePart) -> Result<Self, DataError> {
        let refuse = |found: String, wanted: &str| DataError::format(path, part.clone(), found, wanted);
        let start = read_exactly(reader, 8, path, part.clone())?;
        let (magic, version) = start.split_at(6);
        if magic != b"\x93NUMPY" {
            return Err(refuse(format!("{magic:02x?}"), "a NPY array"));
        }
        let size_bytes = match version {
            [1, _] => 2,
            [2 | 3, _] => 4,
            _ => return Err(refuse(format!("NPY version {version:?}"), "NPY version 1 to 3")),
        };
        let size = read_exactly(reader, size_bytes, path, part.clone())?;
        let size = size.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte));
        if size > MAX_HEADER {
            return Err(refuse(format!("a header of {size} bytes"), &format!("at most {MAX_HEADER}")));
        }
        let text = read_exactly(reader, size, path, part.clone())?;
        let text = String::from_utf8_lossy(&text);
        let (descr, fortran_order, shape) = parse(text.trim())
            .ok_or_else(|| refuse(format!("header `{}`", text.trim()), "the dictionary that NumPy writes"))?;
        if fortran_order && shape.len() > 1 {
            return Err(refuse("Fortran order".to_owned(), "C order: save numpy.ascontiguousarray(array)"));
        }
        Ok(Self { descr, shape, length: 8 + size_bytes + size })
    }

    /// Bytes that the data takes; `None` where the element type has no size that we know.
    pub fn data_bytes(&self) -> Option<u128> {
        let size = match self.descr.trim_start_matches(['<', '>', '|']) {
            "i1" | "u1" | "b1" => 1,
            "i2" | "u2" | "f2" => 2,
            "i4" | "u4" | "f4" => 4,
            "i8" | "u8" | "f8" => 8,
            _ => return None,
        };
        Some(self.shape.iter().fold(size, |product: u128, dim| product.saturating_mul(*dim as u128)))
    }
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`, keys in any order.
fn parse(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.trim_start();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" => {
                let (found, after) = quoted(value)?;
                descr = Some(found.to_owned());
                after
            }
            "fortran_order" => {
                let (found, after) = boolean(value)?;
                fortran_order = Some(found);
                after
            }
            "shape" => {
                let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                shape = Some(dimensions(inside)?);
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((descr?, fortran_order?, shape?))
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn boolean(text: &str) -> Option<(bool, &str)> {
    let strip = |word, value| text.strip_prefix(word).map(|after| (value, after));
    strip("True", true).or_else(|| strip("False", false))
}

fn dimensions(inside: &str) -> Option<Vec<usize>> {
    let inside = inside.trim();
    if inside.is_empty() {
        return Some(Vec::new());
    }
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    inside.split(',').map(|dim| dim.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn npy(version: u8, header: &str) -> Vec<u8> {
        let size = (header.len() as u32).to_le_bytes();
        let size = if version == 1 { &size[..2] } else { &size[..] };
        [b"\x93NUMPY", [version, 0].as_slice(), size, header.as_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Result<NpyHeader, DataError> {
        NpyHeader::read(&mut &*bytes, Path::new("x.npz"), &FilePart::Array("images"))
    }

    #[test]
    fn what_numpy_writes_is_read() {
        let cases = [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }     \n", "<f4", vec![3, 2]),
            ("{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }\n", "|u1", vec![7]),
            ("{'descr': '<i8', 'fortran_order': True, 'shape': (), }\n", "<i8", vec![]),
            ("{\"shape\":(1,2,3),\"fortran_order\":False,\"descr\":\"<f8\"}", "<f8", vec![1, 2, 3]),
        ];
        for (text, descr, shape) in cases {
            for version in [1, 2] {
                let header = read(&npy(version, text)).unwrap();
                assert_eq!((header.descr.as_str(), &header.shape), (descr, &shape), "{text}");
                assert_eq!(header.length, npy(version, text).len());
            }
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        let cases = [
            (npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }"), "Fortran order"),
            (npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }"), "NumPy writes"),
            (npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -2), }"), "NumPy writes"),
            (
                npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
                "NumPy writes",
            ),
            (npy(1, "{'descr': '<f4', 'shape': (3,), }"), "NumPy writes"),
            (npy(1, &"(".repeat(4000)), "NumPy writes"),
            (npy(2, &" ".repeat(4097)), "header of 4097 bytes, wanted at most 4096"),
            (npy(9, "{}"), "NPY version [9, 0]"),
            (b"PK\x03\x04abcd".to_vec(), "a NPY array"),
            (b"\x93NUM".to_vec(), "only 4 bytes"),
        ];
        for (bytes, wanted) in cases {
            let error = read(&bytes).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert!(error.starts_with("x.npz, array `images`: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(text in "[{}()'\",: a-zA-Z0-9<|é-]{0,80}", bytes in any::<Vec<u8>>()) {
            let _ = read(&npy(1, &text));
            let _ = read(&bytes);
            let fortran = text.contains("True");
            prop_assert!(fortran || parse(text.trim()).is_some() == read(&npy(3, &text)).is_ok());
        }
    }
}
