//! The engines that there are.

/// What runs models. `Display` of a value is in reports: the name that its makers give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// ONNX Runtime.
    OnnxRuntime,
    /// rten, pure Rust.
    Rten,
}

impl EngineKind {
    /// The word of certificates, reports and journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::Rten => "rten",
        }
    }

    /// The engine that a certificate names; `None` for a word that is none.
    pub fn named(name: &str) -> Option<Self> {
        [Self::OnnxRuntime, Self::Rten].into_iter().find(|kind| kind.name() == name)
    }
}
