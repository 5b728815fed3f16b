//! The bytes of a file: from disk or an object store at any place, or decoded from front to end.

use std::fs::File;
use std::sync::Arc;

use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::error::{DataFusionError, Result};
use object_store::{GetResultPayload, ObjectMeta};

use super::compressed::{Blocks, Compression};
use super::cuts::FileCuts;
use super::dialect::Dialect;
use super::encoding::{Decoder, Encoding};
use super::remote::Remote;
use crate::error::Error;
use crate::scan::store::FileStore;
use crate::spill::RawFile;

/// Bytes that are decompressed or translated at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Where bytes come from.
pub(crate) enum Input {
    /// A local file. Reads block, as they are served from the page cache, or from a disk that is
    /// told in advance what comes next.
    File { file: Arc<File>, size: u64 },
    /// A file elsewhere.
    Remote(Remote),
    /// A file that has to be decompressed or translated: a local one, or a copy.
    Decoded(Decoded),
}

/// A file that can only be read from front to end.
pub(crate) struct Decoded {
    blocks: Source,
    /// `None` for UTF-8.
    decoder: Option<Decoder>,
    encoding: Encoding,
    ended: bool,
    /// For messages.
    path: String,
    /// Removed at the end.
    _copy: Option<RawFile>,
}

/// Bytes before their translation.
enum Source {
    Plain { file: File, position: u64 },
    Compressed(Blocks),
}

impl Decoded {
    fn new(
        file: File,
        copy: Option<RawFile>,
        path: String,
        dialect: &Dialect,
        threads: usize,
    ) -> Result<Self> {
        let compression = match dialect.compression.get_variant() {
            CompressionTypeVariant::UNCOMPRESSED => None,
            CompressionTypeVariant::GZIP => Some(Compression::Gzip),
            CompressionTypeVariant::ZSTD => Some(Compression::Zstd),
            CompressionTypeVariant::BZIP2 => Some(Compression::Bzip2),
            CompressionTypeVariant::XZ => Some(Compression::Xz),
        };
        let blocks = match compression {
            None => Source::Plain { file, position: 0 },
            Some(compression) => {
                let ahead_bytes = (2 * threads + 2) * BLOCK_BYTES;
                let blocks = Blocks::open(file, compression, threads, BLOCK_BYTES, ahead_bytes)?;
                Source::Compressed(blocks)
            }
        };
        let encoding = dialect.encoding;
        let decoder = (encoding != Encoding::Utf8).then(|| Decoder::new(encoding));
        Ok(Decoded { blocks, decoder, encoding, ended: false, path, _copy: copy })
    }

    /// Appends the next text, or ends.
    async fn append(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let block = match &mut self.blocks {
            Source::Plain { file, position } => {
                let mut block = Vec::new();
                read_at(file, &mut block, *position, BLOCK_BYTES)?;
                *position += block.len() as u64;
                (!block.is_empty()).then_some(block)
            }
            Source::Compressed(blocks) => {
                blocks.next().await.map_err(|err| undecodable(&self.path, err))?
            }
        };
        self.ended = block.is_none();
        let Some(decoder) = &mut self.decoder else {
            match block {
                Some(block) if text.is_empty() => *text = block,
                Some(block) => {
                    text.extend_from_slice(&block);
                    if let Source::Compressed(blocks) = &self.blocks {
                        blocks.recycle(block);
                    }
                }
                None => {}
            }
            return Ok(());
        };
        let decoded = match block {
            Some(block) => decoder.decode(&block, text),
            None => decoder.finish(text),
        };
        decoded.map_err(|bad| {
            let encoding = self.encoding.name();
            let path = &self.path;
            Error::input(format!("\"{path}\" byte {} is not {encoding}", bad.offset)).into()
        })
    }
}

/// A damaged file is the user's to mend; anything else is the system's.
fn undecodable(path: &str, err: std::io::Error) -> DataFusionError {
    use std::io::ErrorKind::{InvalidData, OutOfMemory, UnexpectedEof};
    match err.kind() {
        InvalidData | UnexpectedEof | OutOfMemory => {
            Error::input(format!("\"{path}\" cannot be decompressed: {err}")).into()
        }
        _ => Error::io("read", path, err).into(),
    }
}

/// Bytes of a file that follow one another.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// Where the first of them is in the file, decoded.
    pub(crate) base: u64,
    /// Whether the file ends where they end.
    pub(crate) at_end: bool,
}

impl Piece {
    /// Where the byte after the last one is in the file.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Drops what is before `from`, or everything if `from` is somewhere else.
    fn begin_at(&mut self, from: u64) {
        if from == self.base {
            return;
        }
        if self.base < from && from <= self.end() {
            let gone = (from - self.base) as usize;
            self.bytes.copy_within(gone.., 0);
            self.bytes.truncate(self.bytes.len() - gone);
        } else {
            self.bytes.clear();
            self.at_end = false;
        }
        self.base = from;
    }
}

impl Input {
    /// Opens a file for reading it as the dialect says, and decompressing it on so many threads.
    pub(crate) async fn open(
        store: &FileStore,
        meta: &ObjectMeta,
        dialect: &Dialect,
        cuts: &FileCuts,
        threads: usize,
    ) -> Result<Self> {
        let decoded = dialect.is_decoded();
        let path = || store.shown(&meta.location);
        if !store.is_local() {
            if !decoded {
                return Ok(Input::Remote(Remote::new(store.clone(), meta.clone())));
            }
            let copy = store.download(meta).await?;
            let decoded = Decoded::new(copy.reader()?, Some(copy), path(), dialect, threads)?;
            return Ok(Input::Decoded(decoded));
        }
        if !decoded && let Some(file) = cuts.handle() {
            return Ok(Input::File { file, size: meta.size });
        }
        match store.get(meta, None).await?.payload {
            GetResultPayload::File(file, _) if decoded => {
                Ok(Input::Decoded(Decoded::new(file, None, path(), dialect, threads)?))
            }
            GetResultPayload::File(file, _) => {
                // Only advice: the kernel reads further ahead.
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
                let file = Arc::new(file);
                cuts.share_handle(&file);
                Ok(Input::File { file, size: meta.size })
            }
            GetResultPayload::Stream(_) => {
                Err(Error::internal(format!("\"{}\" is no file of this machine", path())).into())
            }
        }
    }

    /// Says that the file will be read up to this place, piece by piece.
    pub(crate) fn read_ahead(&mut self, end: u64, dialect: &Dialect) {
        if let Input::Remote(remote) = self {
            remote.read_ahead(end, dialect);
        }
    }

    /// Makes `piece` begin at byte `from` of the file and hold at least `count` bytes, or all there
    /// are. A decoded file can only go on from within or at the end of the last piece.
    ///
    /// # Errors
    /// `Io` if the file cannot be read; `Input` if it cannot be decoded.
    pub(crate) async fn load(&mut self, piece: &mut Piece, from: u64, count: usize) -> Result<()> {
        piece.begin_at(from);
        match self {
            Input::File { file, size } => {
                let end = from.saturating_add(count as u64).min(*size);
                let missing = end.saturating_sub(piece.end()) as usize;
                if missing > 0 {
                    read_at(file, &mut piece.bytes, piece.base, missing)?;
                    // More has come since the file was opened; its last record may not be whole.
                    piece.bytes.truncate(size.saturating_sub(piece.base) as usize);
                }
                if piece.end() < end {
                    let shrunk = "a file has become shorter while it was read";
                    return Err(DataFusionError::IoError(std::io::Error::new(
                        std::io::ErrorKind::UnexpectedEof,
                        shrunk,
                    )));
                }
                piece.at_end = piece.end() >= *size;
            }
            Input::Remote(remote) => {
                let end = from.saturating_add(count as u64).min(remote.size());
                if piece.end() < end {
                    let from = piece.end();
                    remote.append(&mut piece.bytes, from..end).await?;
                }
                piece.at_end = piece.end() >= remote.size();
            }
            Input::Decoded(decoded) => {
                debug_assert!(!piece.bytes.is_empty() || piece.end() == from);
                while piece.bytes.len() < count && !decoded.ended {
                    decoded.append(&mut piece.bytes).await?;
                }
                piece.at_end = decoded.ended;
            }
        }
        Ok(())
    }
}

/// Appends `count` bytes of the file, of which `bytes` are those from `base` on; fewer if it ends, and
/// more if there is room for them.
fn read_at(file: &File, bytes: &mut Vec<u8>, base: u64, count: usize) -> Result<()> {
    let wanted = bytes.len() + count;
    bytes.reserve_exact(count);
    while bytes.len() < wanted {
        let place = base + bytes.len() as u64;
        let spare = rustix::buffer::spare_capacity(bytes);
        match rustix::io::pread(file, spare, place) {
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(DataFusionError::IoError(err.into())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_file_ends_where_it_ended_when_it_was_opened() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"1,2\n3,4\n5,").unwrap();
        let mut input = Input::File { file: Arc::new(file), size: 8 };
        let bytes = Vec::with_capacity(64);
        let mut piece = Piece { bytes, ..Piece::default() };
        for (from, count) in [(0, 2), (2, 6), (4, 100), (8, 100)] {
            input.load(&mut piece, from, count).await.unwrap();
            assert_eq!((piece.base, piece.end(), piece.at_end), (from, 8, true));
        }
    }
}
