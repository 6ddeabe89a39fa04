//! Processor time and memory of another process, and the middle of many numbers.

use std::{fs, time::Duration};

use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::{SysconfVar, sysconf},
};

/// Thousands of connections need thousands of files; child processes inherit this.
pub fn raise_file_limit() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Processor time used by a process so far, all threads, user and kernel.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name, in brackets, may contain anything.
    let (_, fields) = stat.rsplit_once(')').expect("the kernel's format");
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).expect("a number");
    let both = ticks() + ticks();
    let a_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_secs_f64(both as f64 / a_second as f64)
}

pub use journeys::processes::held_memory;

pub fn megabytes_a_second(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

/// The middle one. Sorts.
pub fn median(numbers: &mut [Duration]) -> Duration {
    percentile(numbers, 50)
}

/// The one that `percent` of all are at or below. Sorts.
pub fn percentile(numbers: &mut [Duration], percent: usize) -> Duration {
    numbers.sort_unstable();
    numbers[(numbers.len() * percent / 100).min(numbers.len() - 1)]
}
