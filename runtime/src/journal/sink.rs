//! Appending to a file such that a failure leaves it whole.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::time::Instant;

use super::sync_interval::SyncInterval;

/// Where a journal is written: a file, or a disk of the tests that fills up.
pub(super) trait Sink: Write + Send + Debug {
    /// Waits until everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;

    /// Keeps the first `length` bytes and goes on behind them.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

/// Why nothing more is appended, in the words of the system.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(String);

/// Appends whole pieces only.
#[derive(Debug)]
pub(super) struct Appender {
    sink: Box<dyn Sink>,
    /// Where the last whole piece ends.
    end: u64,
    sync_interval: SyncInterval,
    failure: Option<Failure>,
}

impl Appender {
    /// Behind the `end` bytes that `sink` holds, and where it stands.
    pub(super) fn new(sink: Box<dyn Sink>, end: u64, now: Instant) -> Self {
        Self { sink, end, sync_interval: SyncInterval::new(now), failure: None }
    }

    /// Writes one piece, and forces it to the disk where that is due.
    pub(super) fn append(&mut self, piece: &[u8], now: Instant) -> Result<(), Failure> {
        self.checked()?;
        if let Err(cause) = self.sink.write_all(piece) {
            // Where this fails too, the part that was written is a torn last record, as nothing follows it.
            let _ = self.sink.truncate(self.end);
            return self.fail(&cause);
        }
        self.end += piece.len() as u64;
        if self.sync_interval.is_due(now) { self.sync() } else { Ok(()) }
    }

    /// Waits until everything is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        self.checked()?;
        match self.sink.sync() {
            Ok(()) => Ok(()),
            Err(cause) => self.fail(&cause),
        }
    }

    /// After a failure nothing is appended: behind a torn record, it would make the file unreadable.
    fn checked(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, cause: &io::Error) -> Result<(), Failure> {
        let failure = Failure(cause.to_string());
        self.failure = Some(failure.clone());
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Counting(Arc<AtomicUsize>);

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for Counting {
        fn sync(&mut self) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn truncate(&mut self, _length: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn syncs_are_few_however_many_pieces() {
        let syncs = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut appender = Appender::new(Box::new(Counting(Arc::clone(&syncs))), 0, start);
        // 20 seconds with 100 pieces in each.
        for piece in 0..2000 {
            appender.append(b"piece", start + Duration::from_millis(10 * piece)).unwrap();
        }
        assert_eq!(syncs.load(Ordering::Relaxed), 3);
        appender.sync().unwrap();
        assert_eq!(syncs.load(Ordering::Relaxed), 4);
    }
}
