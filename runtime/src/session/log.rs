//! Where messages of an engine go.

use std::fmt;
use std::sync::Arc;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

/// What takes them.
type Take = dyn Fn(LogLevel, &str) + Send + Sync;

/// Takes messages: level, text. It is called by any thread that uses the session, by several at once.
#[derive(Clone)]
pub struct LogSink {
    least: LogLevel,
    take: Arc<Take>,
}

impl LogSink {
    /// Messages of that level and above go to `take`.
    pub fn new(least: LogLevel, take: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        Self { least, take: Arc::new(take) }
    }

    /// The least level that it wants.
    pub fn least(&self) -> LogLevel {
        self.least
    }

    /// Hands a message over, where its level is wanted.
    pub fn say(&self, level: LogLevel, text: &str) {
        if level >= self.least {
            (self.take)(level, text);
        }
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink").field("least", &self.least).finish_non_exhaustive()
    }
}
