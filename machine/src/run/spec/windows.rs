//! A line for `cmd`, which every Windows has.

/// `/d` leaves out what the registry would run before, and with `/s` exactly the outer quotes are taken away. The console's
/// code page, which also `cmd` writes in, is one of this country's from before Unicode, unless somebody says UTF-8.
pub(super) fn shell_line(line: &str) -> (String, Vec<String>) {
    let args = ["/d", "/s", "/c", &format!("\"chcp 65001 >nul & {line}\"")].map(str::to_owned);
    ("cmd.exe".to_owned(), args.to_vec())
}
