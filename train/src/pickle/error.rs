//! Why a pickle was refused.

/// Why a pickle was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// It ends in the middle of an opcode or of its data.
    #[error("the pickle ends at byte {at}, in the middle of an instruction")]
    Truncated {
        /// Length of the pickle in bytes.
        at: usize,
    },
    /// It names a function or class that is not allowed.
    #[error("the pickle asks for {module}.{name}; only tensors and plain values are read")]
    Forbidden {
        /// Python module.
        module: String,
        /// Name in it.
        name: String,
    },
    /// An opcode that no checkpoint of tensors and plain values has.
    #[error("the pickle has opcode {opcode:#04x} at byte {at}; only tensors and plain values are read")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Its byte.
        at: usize,
    },
    /// The instructions do not fit together.
    #[error("the pickle is malformed at byte {at}: {found}")]
    Malformed {
        /// Byte of the instruction.
        at: usize,
        /// What is wrong.
        found: &'static str,
    },
}
