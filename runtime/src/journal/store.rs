//! The pixels of counterexamples, in slots of one size.
//!
//! Slot `s` of images with `C·H·W` pixels begins at byte `s · (4·C·H·W + 4)`: the pixels as little-endian f32, then the
//! CRC-32 of these bytes. There is no header: the journal says which slots count, and holds the lock.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mimir_files::OursWhere;

use super::sync_interval::SyncInterval;

/// Bytes of a pixel, and of the checksum.
const WORD: usize = 4;

/// Counterexamples on disk. Workers share it by reference.
#[derive(Debug)]
pub struct CounterexampleStore {
    /// The path, or words where the file has none.
    place: String,
    /// Whether the file has a name and outlives the process.
    is_kept: bool,
    /// Pixels of one image, C·H·W.
    pixels: usize,
    slots: Mutex<Slots>,
}

/// Why pixels cannot be stored or read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, measured or cut.
    #[error("cannot open {place}: {cause}")]
    Open {
        /// The file.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// The journal names slots that the file does not have.
    #[error(
        "{place} holds {held} counterexamples, but the journal refers to {in_use}; restore the file that belongs to \
         the journal, or delete both to start over"
    )]
    Missing {
        /// The file.
        place: String,
        /// Whole slots in the file.
        held: u64,
        /// Slots that the journal needs.
        in_use: u64,
    },
    /// No memory holds such an image.
    #[error("images of {0} pixels are too large")]
    ImageTooLarge(usize),
    /// Pixels of another image size.
    #[error("{given} pixels, must be {expected}, as for every counterexample of this run")]
    Pixels {
        /// Pixels that were given.
        given: usize,
        /// Pixels of a slot.
        expected: usize,
    },
    /// A slot that was never written.
    #[error("{place} has no slot {slot}, only {slots} slots")]
    NoSuchSlot {
        /// The file.
        place: String,
        /// The slot asked for.
        slot: u64,
        /// How many there are.
        slots: u64,
    },
    /// A slot that does not match its checksum.
    #[error("the counterexample in slot {slot} of {place} is damaged; delete the journal to start over")]
    Damaged {
        /// The file.
        place: String,
        /// The slot.
        slot: u64,
    },
    /// A slot cannot be read.
    #[error("cannot read {place}: {cause}")]
    Read {
        /// The file.
        place: String,
        /// What the system said.
        cause: String,
    },
    /// A slot cannot be written, as on a full disk.
    #[error(
        "cannot write {place}: {cause}; free some space and run again{}",
        if *is_kept { " with --resume (finished work is kept)" } else { ", with --report to keep what is finished" }
    )]
    Write {
        /// The file.
        place: String,
        /// What the system said.
        cause: String,
        /// Whether the store outlives the process, as its journal does.
        is_kept: bool,
    },
}

impl CounterexampleStore {
    /// An empty store at `path` for images of `pixels` (C·H·W) pixels, in place of the file that may be there. The
    /// caller holds the journal's lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`], [`StoreError::ImageTooLarge`].
    pub fn create(path: &Path, pixels: usize) -> Result<Self, StoreError> {
        Self::resume(path, pixels, 0)
    }

    /// The store at `path` with its first `slots_in_use` slots, those that the journal's records
    /// [name](super::slots_in_use). What lies behind is dropped: a slot that was cut off, or one whose record was
    /// not written. With no slot in use the file need not be there. The caller holds the journal's lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] where there are fewer slots, [`StoreError::Open`], [`StoreError::ImageTooLarge`].
    pub fn resume(path: &Path, pixels: usize, slots_in_use: u64) -> Result<Self, StoreError> {
        let slot_bytes = slot_bytes(pixels)?;
        let place = path.display().to_string();
        let missing = |held| StoreError::Missing { place: place.clone(), held, in_use: slots_in_use };
        let failed = |cause: &io::Error| StoreError::Open { place: place.clone(), cause: cause.to_string() };
        let wanted = if slots_in_use == 0 { OursWhere::Wanted } else { OursWhere::Exists };
        let file = mimir_files::open_ours(path, wanted).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound if wanted == OursWhere::Exists => missing(0),
            _ => failed(&cause),
        })?;
        let held = file.metadata().map_err(|cause| failed(&cause))?.len() / slot_bytes as u64;
        if held < slots_in_use {
            return Err(missing(held));
        }
        file.set_len(slots_in_use * slot_bytes as u64).map_err(|cause| failed(&cause))?;
        let slots = Mutex::new(Slots::new(file, slots_in_use, slot_bytes));
        Ok(Self { place, is_kept: true, pixels, slots })
    }

    /// An empty store in a temporary file without a name, which ends with the process.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`], [`StoreError::ImageTooLarge`].
    pub fn anonymous(pixels: usize) -> Result<Self, StoreError> {
        let slot_bytes = slot_bytes(pixels)?;
        let place = format!("a temporary file in {}", std::env::temp_dir().display());
        let file = tempfile::tempfile()
            .map_err(|cause| StoreError::Open { place: place.clone(), cause: cause.to_string() })?;
        let slots = Mutex::new(Slots::new(file, 0, slot_bytes));
        Ok(Self { place, is_kept: false, pixels, slots })
    }

    /// Stores the pixels of one image, and returns the slot they are in. They survive the death of the process; name
    /// the slot in a record only after this has returned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Pixels`], [`StoreError::Write`]. After an error the store is as it was, and may be used on.
    pub fn append(&self, pixels: &[f32]) -> Result<u64, StoreError> {
        self.check_pixels(pixels.len())?;
        self.slots().append(pixels, Instant::now()).map_err(|cause| self.write_error(&cause))
    }

    /// Reads the pixels of one slot.
    ///
    /// # Errors
    ///
    /// [`StoreError::Pixels`], [`StoreError::NoSuchSlot`], [`StoreError::Read`]; [`StoreError::Damaged`] where the
    /// checksum does not match. After an error `pixels` means nothing.
    pub fn read(&self, slot: u64, pixels: &mut [f32]) -> Result<(), StoreError> {
        self.check_pixels(pixels.len())?;
        let place = || self.place.clone();
        let mut slots = self.slots();
        if slot >= slots.count {
            return Err(StoreError::NoSuchSlot { place: place(), slot, slots: slots.count });
        }
        match slots.read(slot, pixels) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Damaged { place: place(), slot }),
            Err(cause) => Err(StoreError::Read { place: place(), cause: cause.to_string() }),
        }
    }

    /// How many slots there are.
    pub fn slots_stored(&self) -> u64 {
        self.slots().count
    }

    /// Waits until all slots are on the disk. Before [`Journal::sync`](super::Journal::sync), so that no record is
    /// there without its pixels.
    ///
    /// # Errors
    ///
    /// [`StoreError::Write`].
    pub fn sync(&self) -> Result<(), StoreError> {
        self.slots().file.sync_data().map_err(|cause| self.write_error(&cause))
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // A panic elsewhere leaves no slot half-way: the count changes after the write only.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_pixels(&self, given: usize) -> Result<(), StoreError> {
        let expected = self.pixels;
        if given == expected { Ok(()) } else { Err(StoreError::Pixels { given, expected }) }
    }

    fn write_error(&self, cause: &io::Error) -> StoreError {
        let (place, is_kept) = (self.place.clone(), self.is_kept);
        StoreError::Write { place, cause: cause.to_string(), is_kept }
    }
}

fn slot_bytes(pixels: usize) -> Result<usize, StoreError> {
    let bytes = pixels.checked_mul(WORD).and_then(|bytes| bytes.checked_add(WORD));
    // A buffer of more bytes cannot be allocated, whatever the memory.
    bytes.filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or(StoreError::ImageTooLarge(pixels))
}

/// The file, and how much of it counts.
#[derive(Debug)]
struct Slots {
    file: File,
    count: u64,
    slot_bytes: usize,
    /// One slot, used again and again.
    buffer: Vec<u8>,
    sync_interval: SyncInterval,
}

impl Slots {
    fn new(file: File, count: u64, slot_bytes: usize) -> Self {
        Self { file, count, slot_bytes, buffer: Vec::new(), sync_interval: SyncInterval::new(Instant::now()) }
    }

    fn append(&mut self, pixels: &[f32], now: Instant) -> io::Result<u64> {
        self.buffer.clear();
        self.buffer.extend(pixels.iter().flat_map(|value| value.to_le_bytes()));
        let checksum = crc32fast::hash(&self.buffer);
        self.buffer.extend(checksum.to_le_bytes());
        let slot = self.count;
        // To its place and not to the end: what a failed write left there is overwritten.
        self.seek(slot)?;
        self.file.write_all(&self.buffer)?;
        if self.sync_interval.is_due(now) {
            self.file.sync_data()?;
        }
        self.count += 1;
        Ok(slot)
    }

    /// Whether the slot matches its checksum.
    fn read(&mut self, slot: u64, pixels: &mut [f32]) -> io::Result<bool> {
        self.seek(slot)?;
        self.buffer.resize(self.slot_bytes, 0);
        self.file.read_exact(&mut self.buffer)?;
        let (stored, checksum) = self.buffer.split_at(self.slot_bytes - WORD);
        for (value, bytes) in pixels.iter_mut().zip(stored.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(crc32fast::hash(stored).to_le_bytes() == checksum)
    }

    fn seek(&mut self, slot: u64) -> io::Result<u64> {
        let offset = slot.checked_mul(self.slot_bytes as u64).ok_or(ErrorKind::FileTooLarge)?;
        self.file.seek(SeekFrom::Start(offset))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    const PIXELS: usize = 3;
    const SLOT_BYTES: usize = 16;

    fn folder_and_path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counterexamples");
        (folder, path)
    }

    /// Different in every pixel of every image.
    fn image(number: u64) -> [f32; PIXELS] {
        std::array::from_fn(|pixel| number as f32 + pixel as f32 / 4.0)
    }

    fn read(store: &CounterexampleStore, slot: u64) -> Result<[f32; PIXELS], StoreError> {
        let mut pixels = [f32::NAN; PIXELS];
        store.read(slot, &mut pixels).map(|()| pixels)
    }

    fn stored(path: &Path, images: u64) {
        let store = CounterexampleStore::create(path, PIXELS).unwrap();
        for number in 0..images {
            assert_eq!(store.append(&image(number)), Ok(number));
        }
        store.sync().unwrap();
    }

    #[test]
    fn slots_are_read_back_in_any_order() {
        let (_folder, path) = folder_and_path();
        for store in [CounterexampleStore::create(&path, PIXELS), CounterexampleStore::anonymous(PIXELS)] {
            let store = store.unwrap();
            assert_eq!(store.append(&image(0)), Ok(0));
            assert_eq!(store.append(&image(1)), Ok(1));
            assert_eq!(read(&store, 0), Ok(image(0)));
            // Behind a read, which moved the file's position.
            assert_eq!(store.append(&image(2)), Ok(2));
            assert_eq!([2, 1, 0].map(|slot| read(&store, slot).unwrap()), [image(2), image(1), image(0)]);
            assert_eq!(store.slots_stored(), 3);
        }
    }

    /// The specification: f32, little-endian, then the CRC-32 (value from Python's zlib.crc32).
    #[test]
    fn the_bytes_are_pinned() {
        let (_folder, path) = folder_and_path();
        CounterexampleStore::create(&path, 1).unwrap().append(&[0.5]).unwrap();
        let checksum = CHECKSUM_OF_A_HALF.to_le_bytes();
        assert_eq!(std::fs::read(path).unwrap(), [&[0, 0, 0, 0x3f], &checksum[..]].concat());
    }

    const CHECKSUM_OF_A_HALF: u32 = 0x9722_f221;

    #[test]
    fn a_slot_cut_off_anywhere_is_dropped() {
        let (_folder, path) = folder_and_path();
        for kept in 0..SLOT_BYTES {
            stored(&path, 3);
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len((2 * SLOT_BYTES + kept) as u64).unwrap();
            let store = CounterexampleStore::resume(&path, PIXELS, 2).unwrap();
            assert_eq!(store.append(&image(7)), Ok(2), "{kept}");
            assert_eq!([0, 1, 2].map(|slot| read(&store, slot).unwrap()), [image(0), image(1), image(7)]);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 * SLOT_BYTES as u64, "{kept}");
        }
    }

    #[test]
    fn a_slot_without_a_record_is_dropped() {
        let (_folder, path) = folder_and_path();
        stored(&path, 3);
        let store = CounterexampleStore::resume(&path, PIXELS, 1).unwrap();
        assert_eq!(store.slots_stored(), 1);
        assert!(matches!(read(&store, 1), Err(StoreError::NoSuchSlot { slot: 1, slots: 1, .. })));
        assert_eq!(store.append(&image(9)), Ok(1));
        assert_eq!(read(&store, 1), Ok(image(9)));
    }

    #[test]
    fn slots_that_the_journal_names_must_be_there() {
        let (_folder, path) = folder_and_path();
        let missing = |held, in_use| {
            let found = CounterexampleStore::resume(&path, PIXELS, in_use).unwrap_err();
            assert_eq!(found, StoreError::Missing { place: path.display().to_string(), held, in_use });
        };
        missing(0, 1);
        assert_eq!(CounterexampleStore::resume(&path, PIXELS, 0).unwrap().slots_stored(), 0);
        stored(&path, 2);
        missing(2, 3);
        missing(2, u64::MAX);
        // Refusing lost nothing.
        assert_eq!(read(&CounterexampleStore::resume(&path, PIXELS, 2).unwrap(), 1), Ok(image(1)));
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let (_folder, path) = folder_and_path();
        stored(&path, 2);
        let sound = std::fs::read(&path).unwrap();
        for byte in SLOT_BYTES..2 * SLOT_BYTES {
            let mut bytes = sound.clone();
            bytes[byte] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let store = CounterexampleStore::resume(&path, PIXELS, 2).unwrap();
            assert_eq!(read(&store, 0), Ok(image(0)));
            assert!(matches!(read(&store, 1), Err(StoreError::Damaged { slot: 1, .. })), "byte {byte}");
        }
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let store = CounterexampleStore::anonymous(PIXELS).unwrap();
        store.append(&image(0)).unwrap();
        assert_eq!(store.append(&[0.0; 2]), Err(StoreError::Pixels { given: 2, expected: 3 }));
        assert_eq!(store.read(0, &mut [0.0; 4]), Err(StoreError::Pixels { given: 4, expected: 3 }));
        for pixels in [usize::MAX, usize::MAX / 4, usize::MAX / 8 + 1] {
            let refused = CounterexampleStore::anonymous(pixels).unwrap_err();
            assert_eq!(refused, StoreError::ImageTooLarge(pixels));
        }
    }

    #[test]
    fn several_workers_get_slots_of_their_own() {
        let store = CounterexampleStore::anonymous(PIXELS).unwrap();
        let slots: Vec<(u64, u64)> = std::thread::scope(|scope| {
            let worker = |first: u64| {
                let store = &store;
                let append = move |number| (number, store.append(&image(number)).unwrap());
                scope.spawn(move || (first..first + 50).map(append).collect::<Vec<_>>())
            };
            let workers: Vec<_> = [0, 50, 100].map(worker).into();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(slots.iter().map(|(_, slot)| *slot).collect::<BTreeSet<_>>(), (0..150).collect());
        for (number, slot) in slots {
            assert_eq!(read(&store, slot), Ok(image(number)));
        }
    }

    /// /dev/full answers every write with ENOSPC.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_says_what_to_do() {
        let file = std::fs::OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
        let slots = Mutex::new(Slots::new(file, 0, SLOT_BYTES));
        let mut store =
            CounterexampleStore { place: "counterexamples".to_owned(), is_kept: true, pixels: PIXELS, slots };
        let text = store.append(&image(0)).unwrap_err().to_string();
        assert_eq!(
            text,
            "cannot write counterexamples: No space left on device (os error 28); free some space and run again \
             with --resume (finished work is kept)"
        );
        assert_eq!(store.slots_stored(), 0);
        store.is_kept = false;
        let text = store.append(&image(0)).unwrap_err().to_string();
        assert!(
            text.ends_with("run again, with --report to keep what is finished"),
            "nothing is kept: {text}"
        );
    }
}
