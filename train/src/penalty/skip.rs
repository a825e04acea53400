//! Reasons to skip the penalty of a batch.

/// Why a batch has no penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SkipReason {
    /// The estimator is not defined on so few rows.
    #[error("{found} samples in the batch, the estimator needs {wanted}")]
    TooFewSamples {
        /// Rows of the batch.
        found: i64,
        /// Fewest rows.
        wanted: i64,
    },
    /// A distance between rows is infinite or not a number.
    #[error("a value of the {0} is not finite or too large")]
    NonFiniteInput(Argument),
    /// All rows are equal.
    #[error("all rows of the {0} are equal")]
    EqualRows(Argument),
    /// The width that the data give to the kernel is zero: too many rows are equal.
    #[error("too many rows of the {0} are equal: the kernel width would be zero")]
    ZeroWidth(Argument),
    /// The kernel matrix is constant up to rounding.
    #[error("the kernel matrix is constant up to rounding: its width is too large for the data")]
    ConstantKernel,
    /// A Cholesky or eigenvalue decomposition failed.
    #[error("the kernel matrix could not be factorised")]
    Factorisation,
    /// The estimate or its derivative is infinite or not a number.
    #[error("the estimate is not finite")]
    NonFinite,
    /// The estimate is exactly zero.
    #[error("the estimate is exactly zero")]
    Zero,
}

/// One of the two arguments of a penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Argument {
    /// x, the image.
    Image,
    /// z, the latent.
    Latent,
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Latent => "latent",
        })
    }
}
