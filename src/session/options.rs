//! Settings of a session, with units, defaults and reasons.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};

/// Settings of a [`Session`](crate::Session).
///
/// ```
/// use brimful::SessionOptions;
/// let options = SessionOptions::new().memory_limit_bytes(512 << 20).threads(2);
/// ```
#[derive(Debug, Clone)]
pub struct SessionOptions {
    pub(crate) memory_limit_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) temp_dirs: Vec<PathBuf>,
    pub(crate) max_temp_bytes: u64,
    pub(crate) batch_rows: usize,
    pub(crate) spill_compression: SpillCompression,
    /// Switches for tests.
    #[doc(hidden)]
    pub knobs: Knobs,
}

/// How temporary files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SpillCompression {
    /// As they are: fastest where disks are.
    None,
    /// Half the size at little cost.
    #[default]
    Lz4,
    /// Smaller than with lz4, at about twice its time: for slow or small disks.
    Zstd,
}

/// Switches for tests, which force what else only large data or failing disks lead to.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// A join keeps no more than this many bytes of its build side in memory; 0 spills everything.
    pub join_build_bytes: Option<u64>,
    /// Bytes an aggregation keeps in memory; 0 sends all of its buckets to disk.
    pub aggregate_bytes: Option<u64>,
    /// Bytes a sort keeps in memory before it writes a run; with 0 each batch is a run.
    pub sort_bytes: Option<u64>,
    /// A window keeps no more than this many bytes of rows in memory; 0 spills everything.
    pub window_bytes: Option<u64>,
    /// Runs that a sort merges at once; at least 2.
    pub merge_runs: Option<usize>,
    /// An attempt in memory holds no more than this many bytes; 0 gives up each.
    pub attempt_bytes: Option<u64>,
    /// A table keeps no more than this many bytes of its rows in memory; 0 spills everything.
    pub table_bytes: Option<u64>,
    /// A partitioned write keeps no more than this many bytes of rows in memory; 0 spills all.
    pub write_bytes: Option<u64>,
    /// Bytes of a CSV file that are looked at before their records are converted.
    pub csv_piece_bytes: Option<usize>,
    /// Buckets an exchange splits rows into: a power of two from 1 to 64.
    pub buckets: Option<usize>,
    /// What was spilled is split again at least down to this many levels.
    pub least_levels: Option<u32>,
    /// The n-th write to a temporary file fails, counted from 1.
    pub fail_write: Option<u64>,
    /// The n-th block read back from a temporary file is altered on the way, counted from 1.
    pub alter_read: Option<u64>,
    /// Memory is governed by what operators reserve, not by what the process uses: for tests that
    /// run several sessions in one process.
    pub reserved_only: bool,
}

impl FromStr for Knobs {
    type Err = Error;

    /// `join_build_bytes=0,buckets=4`
    fn from_str(text: &str) -> Result<Self> {
        let mut knobs = Knobs::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let wrong = || Error::config(format!("\"{pair}\" is not a switch for tests"));
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            let value: u64 = value.parse().map_err(|_| wrong())?;
            match name {
                "join_build_bytes" => knobs.join_build_bytes = Some(value),
                "aggregate_bytes" => knobs.aggregate_bytes = Some(value),
                "sort_bytes" => knobs.sort_bytes = Some(value),
                "merge_runs" => knobs.merge_runs = Some(value as usize),
                "window_bytes" => knobs.window_bytes = Some(value),
                "attempt_bytes" => knobs.attempt_bytes = Some(value),
                "table_bytes" => knobs.table_bytes = Some(value),
                "write_bytes" => knobs.write_bytes = Some(value),
                "csv_piece_bytes" => knobs.csv_piece_bytes = Some(value as usize),
                "buckets" => knobs.buckets = Some(value as usize),
                "least_levels" => knobs.least_levels = Some(value as u32),
                "fail_write" => knobs.fail_write = Some(value),
                "alter_read" => knobs.alter_read = Some(value),
                "reserved_only" => knobs.reserved_only = value != 0,
                _ => return Err(wrong()),
            }
        }
        Ok(knobs)
    }
}

/// The share of the machine's memory that is used unless the user says otherwise: the rest is left
/// to the system and its page cache.
const DEFAULT_MEMORY_SHARE: f64 = 0.8;

/// Below this nothing useful runs: one batch of a wide table in each part of a query.
pub(crate) const MIN_MEMORY_LIMIT_BYTES: u64 = 32 << 20;

/// Temporary files may take this much unless the user says otherwise.
const DEFAULT_MAX_TEMP_BYTES: u64 = 100 << 30;

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            memory_limit_bytes: (available_memory_bytes() as f64 * DEFAULT_MEMORY_SHARE) as u64,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            temp_dirs: vec![default_temp_dir()],
            max_temp_bytes: DEFAULT_MAX_TEMP_BYTES,
            batch_rows: 8192,
            spill_compression: SpillCompression::default(),
            knobs: Knobs::default(),
        }
    }
}

impl SessionOptions {
    /// The defaults: 80 % of the memory this process may use, one thread a core, temporary files in
    /// `TMPDIR` or `/var/tmp` and at most 100 GiB of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Memory that queries may use, in bytes; at least 32 MiB.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = bytes;
        self
    }

    /// Parts of a query that run at the same time.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Folders for temporary files, used in turn. They must exist.
    pub fn temp_dirs(mut self, folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.temp_dirs = folders.into_iter().map(Into::into).collect();
        self
    }

    /// How temporary files are compressed.
    pub fn spill_compression(mut self, compression: SpillCompression) -> Self {
        self.spill_compression = compression;
        self
    }

    /// Most that temporary files may take on disk, in bytes.
    pub fn max_temp_bytes(mut self, bytes: u64) -> Self {
        self.max_temp_bytes = bytes;
        self
    }

    /// Rows in a batch.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.memory_limit_bytes < MIN_MEMORY_LIMIT_BYTES {
            return Err(Error::config(format!(
                "a memory limit of {} is too small",
                ByteSize(self.memory_limit_bytes)
            ))
            .with_hint(format!("give at least {}", ByteSize(MIN_MEMORY_LIMIT_BYTES))));
        }
        if self.threads == 0 || self.batch_rows == 0 {
            return Err(Error::config("threads and rows in a batch must be at least 1"));
        }
        if self.temp_dirs.is_empty() {
            return Err(Error::config("there must be a folder for temporary files"));
        }
        Ok(())
    }
}

/// A number of bytes as people write it: `512MB`, `4GiB`, `1.5 g`, `1048576`.
///
/// `K`, `M`, `G`, `T` with or without `B` are powers of 1000, with `iB` powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!("\"{text}\" is not a size"))
                .with_hint("write it as 512MB, 4GiB or a number of bytes")
        };
        let trimmed = text.trim();
        let digits =
            trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let number: f64 = trimmed[..digits].parse().map_err(|_| wrong())?;
        let unit: u64 = match trimmed[digits..].trim().to_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1_000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            "t" | "tb" => 1_000_000_000_000,
            "ki" | "kib" => 1 << 10,
            "mi" | "mib" => 1 << 20,
            "gi" | "gib" => 1 << 30,
            "ti" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        Ok(ByteSize((number * unit as f64).round() as u64))
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let decimals = usize::from(unit > 0 && value < 100.0 && value.fract() > 0.05);
        write!(f, "{value:.decimals$} {}", UNITS[unit])
    }
}

/// `TMPDIR`, else `/var/tmp`, which is on disk where `/tmp` is often memory.
fn default_temp_dir() -> PathBuf {
    if let Some(folder) = std::env::var_os("TMPDIR") {
        return PathBuf::from(folder);
    }
    let on_disk = Path::new("/var/tmp");
    if on_disk.is_dir() { on_disk.to_path_buf() } else { std::env::temp_dir() }
}

/// The smaller of the machine's memory and the limit of this process's control group.
fn available_memory_bytes() -> u64 {
    /// Where neither can be read.
    const UNKNOWN_MEMORY_BYTES: u64 = 4 << 30;
    let physical = physical_memory_bytes().unwrap_or(UNKNOWN_MEMORY_BYTES);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    match cgroup_limit_bytes(Path::new("/sys/fs/cgroup"), &groups) {
        Some(limit) => physical.min(limit),
        None => physical,
    }
}

fn physical_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// The smallest limit on the way from the process's group to the root, in either version of
/// control groups. `groups` is the content of `/proc/self/cgroup`.
fn cgroup_limit_bytes(root: &Path, groups: &str) -> Option<u64> {
    let mut smallest = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
        let (base, file) = if controllers.is_empty() {
            (root.to_path_buf(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        // In a container the group's path may not be visible below the root; the root is then it.
        let mut folder = base.join(group.trim_start_matches('/'));
        loop {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            if let Ok(limit) = text.trim().parse::<u64>() {
                smallest = Some(smallest.map_or(limit, |s: u64| s.min(limit)));
            }
            if folder == base || !folder.pop() {
                break;
            }
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let bytes = |text: &str| text.parse::<ByteSize>().unwrap().0;
        assert_eq!(bytes("512MB"), 512_000_000);
        assert_eq!(bytes("4GiB"), 4 << 30);
        assert_eq!(bytes("1.5 g"), 1_500_000_000);
        assert_eq!(bytes("1048576"), 1 << 20);
        for wrong in ["", "MB", "12 parsecs", "-1GB", "1..5GB"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong:?}");
        }
        assert_eq!(ByteSize(1536 << 20).to_string(), "1.5 GiB");
        assert_eq!(ByteSize(100).to_string(), "100 B");
    }

    #[test]
    fn the_smallest_group_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "2000000\n");
        assert_eq!(cgroup_limit_bytes(root.path(), "0::/a/b\n"), Some(2_000_000));
        assert_eq!(cgroup_limit_bytes(root.path(), "0::/elsewhere\n"), None);
        write("memory/job/memory.limit_in_bytes", "1000\n");
        assert_eq!(cgroup_limit_bytes(root.path(), "4:cpu,memory:/job\n"), Some(1000));
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        assert!(SessionOptions::new().memory_limit_bytes(1 << 20).check().is_err());
        assert!(SessionOptions::new().threads(0).check().is_err());
        assert!(SessionOptions::new().check().is_ok());
    }
}
