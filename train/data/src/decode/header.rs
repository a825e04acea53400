//! What the header of an image says, and how large an image may be.

/// Bytes that decoding one image may take.
pub(super) const MAX_DECODED: u64 = 1 << 30;

/// What the header of an image says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// One channel of colour.
    pub(crate) grey: bool,
    /// An alpha channel.
    pub(crate) alpha: bool,
}
