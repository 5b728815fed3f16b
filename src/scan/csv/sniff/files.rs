//! Which files of a table are sampled, and how much of them.

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use object_store::ObjectMeta;

use super::split::{Split, after_lines};
use super::{Sniffed, Sniffer};
use crate::error::{Error, Result};
use crate::scan::csv::cuts::FileCuts;
use crate::scan::csv::encoding::BYTE_ORDER_MARK;
use crate::scan::csv::foreign;
use crate::scan::csv::input::{Input, Piece};
use crate::scan::csv::options::{CsvOptions, SampleRows};
use crate::scan::csv::sample::Sample;
use crate::scan::store::FileStore;

/// How many of a table's files are sampled; the others' headers are checked when they are read.
const SAMPLED_FILES: usize = 8;

/// Bytes that are cut into records at once when more than samples is looked at.
const CHUNK_BYTES: usize = 1 << 20;

/// Samples files spread over a list and settles their dialect and schema, or takes what the options
/// say and looks at none.
///
/// # Errors
/// `Input` if the first file is empty, if one is no CSV, or if the files have different columns or
/// encodings; `Config` if options contradict each other or the files; `Io` if a file cannot be read.
pub(crate) async fn sniff_files(
    store: &FileStore,
    objects: &[ObjectMeta],
    options: &CsvOptions,
    compression: FileCompressionType,
) -> Result<Sniffed> {
    if options.as_said {
        return Sniffed::as_said(options, compression);
    }
    let all = options.sample_rows == Some(SampleRows::All);
    let step = if all { 1 } else { objects.len().div_ceil(SAMPLED_FILES).max(1) };
    let sampled: Vec<&ObjectMeta> =
        objects.iter().filter(|object| object.size > 0).step_by(step).collect();
    let is_plain = options.files.compression.is_none() && !compression.is_compressed();
    let mut samples = Vec::with_capacity(sampled.len());
    for object in &sampled {
        let sample = Sample::read(store, object, options, compression).await?;
        let path = store.shown(&object.location);
        if is_plain {
            foreign::check(&path, &sample.head)?;
        }
        samples.push((path, sample));
    }
    if samples.is_empty() {
        let path = objects.first().map(|object| store.shown(&object.location));
        return Err(Error::input(format!(
            "\"{}\" is empty: it has no header and no rows",
            path.unwrap_or_default()
        )));
    }
    let mut sniffer = Sniffer::new(&samples, options, compression)?;
    if let Some(rows) = options.sample_rows {
        for (object, (_, sample)) in sampled.iter().zip(&samples) {
            if !sample.whole {
                add_rows(&mut sniffer, store, object, rows).await?;
            }
        }
    }
    sniffer.finish()
}

/// Looks at rows from the front of a file on.
async fn add_rows(
    sniffer: &mut Sniffer<'_>,
    store: &FileStore,
    object: &ObjectMeta,
    rows: SampleRows,
) -> Result<()> {
    let dialect = sniffer.dialect.clone();
    let mut input = Input::open(store, object, &dialect, &FileCuts::default(), 1).await?;
    let mut piece = Piece::default();
    let mut left = match rows {
        SampleRows::First(rows) => rows.saturating_add(usize::from(dialect.header)),
        SampleRows::All => usize::MAX,
    };
    let (mut position, mut wanted, mut at_start) = (0, CHUNK_BYTES, true);
    while left > 0 {
        input.load(&mut piece, position, wanted).await?;
        let mut lines = piece.bytes.as_slice();
        if at_start {
            let text = lines.strip_prefix(BYTE_ORDER_MARK).unwrap_or(lines);
            lines = after_lines(text, dialect.skip_lines, dialect.newline);
        }
        let split = Split::new(lines, &dialect, left, piece.at_end);
        if split.len() == 0 {
            // A record longer than the chunk.
            if piece.at_end || piece.bytes.len() > dialect.max_record_bytes {
                return Ok(());
            }
            wanted += CHUNK_BYTES;
            continue;
        }
        sniffer.widen(&split, usize::from(at_start && dialect.header));
        left -= split.len();
        if piece.at_end {
            return Ok(());
        }
        position += (piece.bytes.len() - lines.len() + split.used) as u64;
        (at_start, wanted) = (false, CHUNK_BYTES);
    }
    Ok(())
}
