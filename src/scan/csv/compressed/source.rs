//! A file that several threads read at places of their own.

use std::fs::File;
use std::io;

/// A file and its size.
pub(super) struct Source {
    file: File,
    /// Bytes in the file.
    pub(super) length: u64,
}

impl Source {
    /// # Errors
    /// If the system does not tell the size.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Source { file, length })
    }

    /// Reads from `offset` on until `buffer` is full or the file ends; how many bytes that were.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() {
            match read_at(&self.file, &mut buffer[count..], offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(count)
    }

    /// The first `N` bytes from `offset` on, if the file has as many.
    pub(super) fn array_at<const N: usize>(&self, offset: u64) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        Ok((self.read_at(&mut bytes, offset)? == N).then_some(bytes))
    }

    /// Whether nothing but zeros is in the file from `offset` on.
    pub(super) fn is_zero_from(&self, mut offset: u64) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        loop {
            let count = self.read_at(&mut bytes, offset)?;
            if count == 0 {
                return Ok(true);
            }
            if bytes[..count].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset += count as u64;
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
