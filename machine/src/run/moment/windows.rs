//! Windows gives a boot no number, so ages are told by the wall clock.

pub(super) fn since_boot_ms() -> u64 {
    sysinfo::System::uptime().map_or(0, |seconds| seconds.saturating_mul(1000))
}

pub(super) fn boot_id() -> String {
    String::new()
}
