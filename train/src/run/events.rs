//! Scalars for TensorBoard: its event file is a sequence of TFRecords, each a protobuf `Event`
//! (`tensorflow/core/util/event.proto`, `summary.proto`; `record_writer.cc`).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use super::RunError;
use super::log::unix_seconds;

const PREFIX: &str = "events.out.tfevents.";
/// What the first event of a file says.
const FILE_VERSION: &str = "brain.Event:2";

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "EventContent", tags = "3, 5, 7")]
    content: Option<EventContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum EventContent {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    /// 1 is START.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// An open event file. Events that were not [flushed](Self::flush) are lost if the process is killed.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Events {
    /// A new event file in `folder`, beside those of earlier parts of the run. `step` is the number of steps that are
    /// done: TensorBoard forgets what earlier files say of later ones.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn open(folder: &Path, step: u64) -> Result<Self, RunError> {
        // Read in the order of names: time first, then a number for parts that began in one second.
        let earlier = count_event_files(folder).map_err(RunError::io(folder))?;
        let path = folder.join(format!("{PREFIX}{:010}.mimir.{earlier:04}", unix_seconds() as u64));
        let file = mimir_files::create_new(&path, 0o666).map_err(RunError::io(&path))?;
        let mut events = Self { path, file: BufWriter::new(file) };
        events.write(0, EventContent::FileVersion(FILE_VERSION.to_owned()))?;
        if earlier > 0 {
            events.write(step + 1, EventContent::SessionLog(SessionLog { status: 1 }))?;
        }
        events.flush()?;
        Ok(events)
    }

    /// One number of one step.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<(), RunError> {
        let scalar = Scalar { tag: tag.to_owned(), simple_value: value as f32 };
        self.write(step, EventContent::Summary(Summary { value: vec![scalar] }))
    }

    /// Writes buffered events to the file.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn flush(&mut self) -> Result<(), RunError> {
        self.file.flush().map_err(RunError::io(&self.path))
    }

    fn write(&mut self, step: u64, content: EventContent) -> Result<(), RunError> {
        let event = Event { wall_time: unix_seconds(), step: step as i64, content: Some(content) };
        write_record(&mut self.file, &event.encode_to_vec()).map_err(RunError::io(&self.path))
    }
}

fn count_event_files(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        count += usize::from(entry?.file_name().to_string_lossy().starts_with(PREFIX));
    }
    Ok(count)
}

/// A TFRecord: length, its checksum, data, its checksum.
fn write_record(sink: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    sink.write_all(&length)?;
    sink.write_all(&masked_crc32c(&length).to_le_bytes())?;
    sink.write_all(data)?;
    sink.write_all(&masked_crc32c(data).to_le_bytes())
}

/// Rotated and shifted, since a checksum of data that holds checksums is weak (`crc32c.h`).
fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The Castagnoli polynomial, least significant bit first. A few bytes for each scalar need no table.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of 0, of 255, and 0 to 31; the check value of the CRC catalogue.
        let rising: Vec<u8> = (0..32).collect();
        let cases: [(&[u8], u32); 4] = [
            (&[0; 32], 0x8a91_36aa),
            (&[255; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (b"123456789", 0xe306_9283),
        ];
        for (data, wanted) in cases {
            assert_eq!(crc32c(data), wanted, "{data:?}");
        }
    }

    #[test]
    fn a_scalar_is_these_bytes() {
        let scalar = Scalar { tag: "loss".to_owned(), simple_value: 0.5 };
        let content = EventContent::Summary(Summary { value: vec![scalar] });
        let event = Event { wall_time: 1.0, step: 300, content: Some(content) };
        let mut found = Vec::new();
        write_record(&mut found, &event.encode_to_vec()).unwrap();
        let mut wanted = vec![27, 0, 0, 0, 0, 0, 0, 0];
        wanted.extend(masked_crc32c(&wanted).to_le_bytes());
        let data = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f][..], // 1: double 1
            &[0x10, 0xac, 0x02],                       // 2: varint 300
            &[0x2a, 13, 0x0a, 11],                     // 5: summary, 1: value
            &[0x0a, 4, b'l', b'o', b's', b's'],        // 1: tag
            &[0x15, 0, 0, 0, 0x3f],                    // 2: float 0.5
        ]
        .concat();
        wanted.extend(&data);
        wanted.extend(masked_crc32c(&data).to_le_bytes());
        assert_eq!(found, wanted);
    }

    /// The events of one file, checksums checked.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc32c(&rest[..8]).to_le_bytes());
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked_crc32c(data).to_le_bytes());
            events.push(Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    #[test]
    fn a_resumed_part_has_a_file_of_its_own_that_takes_later_steps_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Events::open(folder.path(), 0).unwrap();
        first.scalar("loss", 5, 1.0).unwrap();
        drop(first);
        let mut second = Events::open(folder.path(), 3).unwrap();
        second.scalar("loss", 4, 2.0).unwrap();
        second.flush().unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        assert_eq!(names.len(), 2);
        let version =
            |event: &Event| event.content == Some(EventContent::FileVersion(FILE_VERSION.to_owned()));
        let (before, after) = (read(&names[0]), read(&names[1]));
        assert!(version(&before[0]) && version(&after[0]));
        assert_eq!(before[1].step, 5);
        assert_eq!(
            (after[1].step, &after[1].content),
            (4, &Some(EventContent::SessionLog(SessionLog { status: 1 })))
        );
        assert_eq!(after[2].step, 4);
    }
}
