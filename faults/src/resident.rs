//! What a process takes of the machine, as the kernel tells.

use std::fs;

/// Resident memory of a process now, in bytes; `None` once it has ended.
pub(crate) fn memory_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmRSS:").map(|kib| kib * 1024)
}

/// Most resident memory that it ever had, in bytes.
pub(crate) fn memory_peak_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmHWM:").map(|kib| kib * 1024)
}

/// Address space that it has, in bytes.
pub(crate) fn address_space_bytes(pid: u32) -> Option<u64> {
    status_kib(pid, "VmSize:").map(|kib| kib * 1024)
}

/// Files and sockets that it has open.
pub(crate) fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes in mebibytes, for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes / (1 << 20))
}
