//! Decompression ahead of the parser, on several threads where a file allows it.
//!
//! ```text
//! cut ── finds where parts begin which can be decoded on their own   (one thread at a time)
//!          gzip: members      zstd: frames      bzip2: blocks      xz: blocks
//! decode ── part → blocks of bytes                                   (one thread a part)
//! order ── hands the blocks out in the order of the file, and proves the cuts
//! ```
//!
//! Where a cut is a guess (three bytes that look like a gzip header, 48 bits that look like the
//! start of a bzip2 block) or a claim (the size of a BGZF member), what follows it is decoded all
//! the same, but handed out only after the part before it has ended exactly there. If it ends
//! elsewhere, the parts after it are thrown away and cutting starts again at the true end. So the
//! bytes are always those of a decoder that reads from the first byte to the last, and every
//! checksum of the file is checked.
//!
//! A file of one gzip member, one zstd frame or one xz block is decoded by one thread, ahead of the
//! one that parses.
//!
//! # Memory
//! The blocks that exist at once, apart from those the caller holds, have at most `ahead_bytes` or
//! `(2 * threads + 2) * block_bytes`, whichever is more. More than the latter is used only where
//! parts are large: a part behind the first is decoded as far as there is room for it, so that two
//! threads are twice as fast only if a whole part has room. `xz -T` makes parts of 24 MiB.
//!
//! Each thread has its decoder besides: 0.3 MiB for gzip, 10 MiB for bzip2, and for zstd and xz the
//! window of the file, which is 8 MiB at their usual levels and must not be more than 128 MiB.
//!
//! # References
//! RFC 1952 (gzip), SAM/BAM format specification 4.1 (BGZF), RFC 8878 (zstd), the .xz file format
//! 1.2.1. Decoding bzip2 blocks by the bits that begin them: bzip2recover (J. Seward).

mod bzip2;
mod gzip;
mod order;
mod source;
mod worker;
mod xz;
mod zstd;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::sync::Arc;

use order::Order;
use source::Source;
use worker::Cut;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
    /// bzip2, one stream or several.
    Bzip2,
    /// .xz, one stream or several.
    Xz,
}

impl Compression {
    fn cut(self) -> Box<dyn Cut> {
        match self {
            Compression::Gzip => Box::new(gzip::Members::default()),
            Compression::Zstd => Box::new(zstd::Frames::default()),
            Compression::Bzip2 => Box::new(bzip2::Segments::default()),
            Compression::Xz => Box::new(xz::Streams::default()),
        }
    }
}

/// The decompressed bytes of one file in blocks, made ahead by threads of its own.
///
/// Dropping it stops the threads: each at its next block or read, which takes milliseconds.
pub(crate) struct Blocks {
    order: Arc<Order>,
}

impl Blocks {
    /// Begins to decompress `file` on up to `threads` threads, into blocks of `block_bytes` of which
    /// up to `ahead_bytes` may wait: see the module's words on memory.
    ///
    /// Reads from the file's beginning, wherever its cursor is, and leaves the cursor alone.
    ///
    /// # Errors
    /// If the system gives no size for the file or no thread.
    pub(crate) fn open(
        file: File,
        compression: Compression,
        threads: usize,
        block_bytes: usize,
        ahead_bytes: usize,
    ) -> io::Result<Self> {
        let source = Source::new(file)?;
        let cut = compression.cut();
        let order = Arc::new(Order::new(source, cut, threads, block_bytes, ahead_bytes));
        worker::spawn(&order)?;
        Ok(Blocks { order })
    }

    /// The next block, at most `block_bytes` long and never empty; None at the end of the file.
    ///
    /// Waits without blocking the thread. May be dropped and called again; nothing is lost. A block
    /// comes before the checksum behind it is known: only the None proves what was handed out.
    ///
    /// # Errors
    /// `InvalidData` if the file is damaged, `UnexpectedEof` if it was cut, `OutOfMemory` if it
    /// demands a window of more than 128 MiB, each with the place in the compressed file; whatever
    /// reading gives; `Other` if a thread panicked. The same error comes again when asked again.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.order.next().await
    }

    /// Gives a block back, to be filled again.
    pub(crate) fn recycle(&self, block: Vec<u8>) {
        self.order.recycle(block);
    }

    /// Bytes of the compressed file behind the blocks handed out so far.
    #[cfg(test)]
    pub(crate) fn compressed_bytes(&self) -> u64 {
        self.order.compressed_bytes()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.order.stop();
    }
}
