//! The digest that binds a verdict to a model.

use sha2::{Digest, Sha256};

/// SHA-256 over the model file and then its external data.
#[derive(Debug)]
pub(super) struct ModelDigest(Sha256);

impl ModelDigest {
    /// The digest of the model file's bytes so far.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(bytes))
    }

    /// The digest over the external files too, in lower-case hexadecimal.
    pub(super) fn finish<'f>(mut self, external_files: impl Iterator<Item = &'f [u8]>) -> String {
        external_files.for_each(|bytes| self.0.update(bytes));
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hashed_as_one_text() {
        // FIPS 180-2, appendix B.1.
        let wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let external_files = [b"b".as_slice(), b"c"].into_iter();
        assert_eq!(ModelDigest::new(b"a").finish(external_files), wanted);
    }
}
