//! An end to searching.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

/// A reader that gives so many bytes, wherever they are, and then an error.
///
/// A parser of archives looks for a directory from the end of a file backwards. In a file of 70 GB that has none, which
/// takes no room on a disk, it would look for minutes.
#[derive(Debug)]
pub struct Bounded<R> {
    reader: R,
    left: u64,
    most_bytes: u64,
}

impl<R> Bounded<R> {
    /// At most so many bytes of that reader.
    pub fn new(reader: R, most_bytes: u64) -> Self {
        Self { reader, left: most_bytes, most_bytes }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 && !buffer.is_empty() {
            let message = format!("nothing was found within {} bytes", self.most_bytes);
            return Err(Error::new(ErrorKind::FileTooLarge, message));
        }
        let read = self.reader.read(&mut buffer[..wanted])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        self.reader.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn bytes_read_twice_count_twice() {
        let mut reader = Bounded::new(Cursor::new([7; 10]), 6);
        let mut four = [0; 4];
        reader.read_exact(&mut four).unwrap();
        reader.rewind().unwrap();
        assert_eq!(reader.read(&mut four).unwrap(), 2);
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        let error = reader.read(&mut four).unwrap_err();
        assert_eq!(error.to_string(), "nothing was found within 6 bytes");
    }
}
