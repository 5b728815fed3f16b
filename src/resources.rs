//! What the process has used, as the system counts it.

/// The largest resident set of this process so far, in bytes; 0 where the system does not say.
pub(crate) fn peak_rss_bytes() -> u64 {
    // Preferred to `getrusage`, whose maximum is inherited from the process that started this one.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
