//! A line for `cmd`, which every Windows has.

/// `/d` leaves out what the registry would run before, and with `/s` exactly the outer quotes are taken away.
pub(super) fn shell_line(line: &str) -> (String, Vec<String>) {
    let args = ["/d", "/s", "/c", &format!("\"{line}\"")].map(str::to_owned);
    ("cmd.exe".to_owned(), args.to_vec())
}
