//! Digests that bind a certificate to bytes: SHA-256, in lowercase hexadecimal.
//!
//! Numbers are digested in one fixed form, whatever file they came from: every length as a little-endian `u64`,
//! pixels as little-endian `f32`, labels as little-endian `u64`. Shapes go first, so that two arrays of the same
//! values and different shapes have different digests.

use std::io::{self, Read};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file as it was read: what binds a record to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Its name; for external data of a model, the location that the model gives, relative to the model's folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of all its bytes, in lowercase hexadecimal: what `sha256sum` prints.
    pub sha256: String,
}

impl FileDigest {
    /// The digest of a file of that name with those bytes.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), bytes: bytes.len() as u64, sha256: digest_bytes(bytes) }
    }
}

/// Digest of a model: the number of its files, then the name, the length and the SHA-256 of each.
///
/// Each length goes before what it is the length of, so that no bytes can move from one file to another. The first
/// file is the ONNX file itself: it enters with an empty name, because nothing depends on what it is called. The names
/// of the others stand in it.
pub fn digest_model(files: &[FileDigest]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(length(files.len()));
    for (index, FileDigest { name, bytes, sha256 }) in files.iter().enumerate() {
        let name = if index == 0 { "" } else { name };
        hasher.update(length(name.len()));
        hasher.update(name);
        hasher.update(bytes.to_le_bytes());
        hasher.update(length(sha256.len()));
        hasher.update(sha256);
    }
    hex(hasher.finalize().as_slice())
}

/// Digest of a string of bytes.
pub fn digest_bytes(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// The digest of [`digest_bytes`] for everything that is left to read.
///
/// # Errors
/// When reading fails.
pub fn digest_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(hasher.finalize().as_slice())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The [`FileDigest`] of bytes that come in parts.
#[derive(Debug, Clone, Default)]
pub struct RunningDigest {
    hasher: Sha256,
    bytes: u64,
}

impl RunningDigest {
    /// The bytes that come next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The digest of a file of that name with all bytes so far.
    pub fn finish(self, name: impl Into<String>) -> FileDigest {
        let sha256 = hex(self.hasher.finalize().as_slice());
        FileDigest { name: name.into(), bytes: self.bytes, sha256 }
    }
}

/// Digest of a tensor: its rank, its dimensions, then its values in row-major order.
///
/// The caller's `values` are as many as the product of `shape`.
pub fn digest_tensor<'a>(shape: &[usize], values: impl IntoIterator<Item = &'a f32>) -> String {
    let mut digest = TensorDigest::new(shape);
    digest.update(values);
    hex(digest.hasher.finalize().as_slice())
}

/// The digest of [`digest_tensor`] for a tensor that is never in memory as a whole.
///
/// ```
/// use mimir_bundle::digest::{TensorDigest, digest_tensor};
///
/// let mut digest = TensorDigest::new(&[2, 2]);
/// digest.update(&[0.0, 0.25]);
/// digest.update(&[0.5, 1.0]);
/// assert_eq!(digest.finish()?, digest_tensor(&[2, 2], &[0.0, 0.25, 0.5, 1.0]));
/// # Ok::<(), mimir_bundle::digest::WrongCount>(())
/// ```
#[derive(Debug, Clone)]
pub struct TensorDigest {
    hasher: Sha256,
    /// Values given so far.
    found: u128,
    /// The product of the shape.
    wanted: u128,
}

/// A tensor was given more or fewer values than its shape holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tensor: found {found} values, wanted {wanted}")]
pub struct WrongCount {
    /// Values given.
    pub found: u128,
    /// Values in the shape, or the most that the type holds.
    pub wanted: u128,
}

impl TensorDigest {
    /// The digest of a tensor of this shape, before any of its values.
    pub fn new(shape: &[usize]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(length(shape.len()));
        for &dimension in shape {
            hasher.update(length(dimension));
        }
        let wanted =
            shape.iter().fold(1, |product: u128, &dimension| product.saturating_mul(dimension as u128));
        Self { hasher, found: 0, wanted }
    }

    /// The values that come next in row-major order, as many as there are at hand.
    pub fn update<'a>(&mut self, values: impl IntoIterator<Item = &'a f32>) {
        for value in values {
            self.hasher.update(value.to_le_bytes());
            self.found += 1;
        }
    }

    /// The digest, in lowercase hexadecimal.
    ///
    /// # Errors
    /// When the values were not as many as the shape holds.
    pub fn finish(self) -> Result<String, WrongCount> {
        let Self { hasher, found, wanted } = self;
        if found == wanted {
            Ok(hex(hasher.finalize().as_slice()))
        } else {
            Err(WrongCount { found, wanted })
        }
    }
}

/// Digest of class labels: their number, then each of them.
pub fn digest_labels(labels: &[usize]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(length(labels.len()));
    for &label in labels {
        hasher.update(length(label));
    }
    hex(hasher.finalize().as_slice())
}

/// Whether a text is a SHA-256 digest in lowercase hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn length(value: usize) -> [u8; 8] {
    (value as u64).to_le_bytes()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = bytes.iter().flat_map(|&byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from Python: `hashlib.sha256(struct.pack(...)).hexdigest()`.
    #[test]
    fn agree_with_an_independent_implementation() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_bytes(b""), empty);
        // struct.pack('<QQQffff', 2, 2, 2, 0.0, 0.25, 0.5, 1.0)
        assert_eq!(digest_tensor(&[2, 2], &[0.0, 0.25, 0.5, 1.0]), TENSOR);
        // struct.pack('<QQQQ', 3, 7, 0, 2)
        assert_eq!(digest_labels(&[7, 0, 2]), LABELS);
    }

    /// Expected value from Python:
    ///
    /// ```text
    /// q = lambda n: struct.pack('<Q', n)
    /// entry = lambda name, data: (q(len(name)) + name + q(len(data)) + q(64)
    ///                             + hashlib.sha256(data).hexdigest().encode())
    /// hashlib.sha256(q(3) + entry(b'', b'onnx') + entry(b'a.bin', b'12') + entry(b'b.bin', b'3')).hexdigest()
    /// ```
    #[test]
    fn the_digest_of_a_model_agrees_with_an_independent_implementation() {
        let files = |a: &str, b: &str| {
            [("model.onnx", "onnx"), ("a.bin", a), ("b.bin", b)]
                .map(|(name, bytes)| FileDigest::new(name, bytes.as_bytes()))
        };
        assert_eq!(digest_model(&files("12", "3")), MODEL);
        assert_ne!(digest_model(&files("1", "23")), MODEL);
        let mut renamed = files("12", "3");
        renamed[0].name = "other.onnx".into();
        assert_eq!(digest_model(&renamed), MODEL, "what the ONNX file is called decides nothing");
        renamed[1].name = "c.bin".into();
        assert_ne!(digest_model(&renamed), MODEL);
    }

    const MODEL: &str = "2ea23c7e5f96de2cb6b17275c1e71bf35f3e267f44ab6c77f42dc4f108da331a";
    const TENSOR: &str = "ae7c7c650754ad266c5a2e8802d6838e0b998f28c2798160cf892927b4aa8bcc";
    const LABELS: &str = "b72d7583a6b2445acc63ccbcd2d5a0f644e0e9453f8c1f47766e29bab15d0206";

    #[test]
    fn parts_give_the_digest_of_the_whole() {
        let values: Vec<f32> = (0..60).map(|index| index as f32 / 60.0).collect();
        let shape = [5, 3, 2, 2];
        for part in [1, 7, 12, 60] {
            let mut digest = TensorDigest::new(&shape);
            values.chunks(part).for_each(|part| digest.update(part));
            assert_eq!(digest.finish().unwrap(), digest_tensor(&shape, &values), "parts of {part}");
        }
        assert_eq!(TensorDigest::new(&[0, 3]).finish().unwrap(), digest_tensor(&[0, 3], &[]));
    }

    #[test]
    fn what_is_read_has_the_digest_of_its_bytes() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
        assert_eq!(digest_reader(&bytes[..]).unwrap(), digest_bytes(&bytes));
        assert_eq!(digest_reader(&[][..]).unwrap(), digest_bytes(b""));
    }

    #[test]
    fn a_file_in_parts_has_the_digest_of_the_whole() {
        let mut digest = RunningDigest::default();
        [&b"ab"[..], b"", b"c"].iter().for_each(|part| digest.update(part));
        assert_eq!(digest.finish("a.bin"), FileDigest::new("a.bin", b"abc"));
    }

    #[test]
    fn a_wrong_number_of_values_has_no_digest() {
        for (found, values) in [(0, &[][..]), (3, &[0.0; 3]), (5, &[0.0; 5])] {
            let mut digest = TensorDigest::new(&[2, 2]);
            digest.update(values);
            let error = digest.finish().unwrap_err();
            assert_eq!(error, WrongCount { found, wanted: 4 });
            assert_eq!(error.to_string(), format!("tensor: found {found} values, wanted 4"));
        }
        let error = TensorDigest::new(&[usize::MAX; 3]).finish().unwrap_err();
        assert_eq!(error.wanted, u128::MAX);
    }

    #[test]
    fn tell_shapes_and_signs_apart() {
        let values = [0.0, 0.25, 0.5, 1.0];
        assert_ne!(digest_tensor(&[2, 2], &values), digest_tensor(&[4, 1], &values));
        assert_ne!(digest_tensor(&[1], &[0.0]), digest_tensor(&[1], &[-0.0]));
        assert_ne!(digest_labels(&[1, 2]), digest_labels(&[2, 1]));
    }
}
