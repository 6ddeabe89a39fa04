//! What a file may be called on Windows.

/// Names that stand for something else than a file, with whatever ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Whether Windows makes a file of exactly this name in the folder that is meant. With a backslash it would lie elsewhere, with
/// a colon it would be a hidden part of another file, and dots and spaces at the end are silently left away.
pub(super) fn fits_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let port = |kind: &str| stem.strip_prefix(kind).is_some_and(|number| number.chars().count() == 1);
    !name.contains(|letter: char| letter.is_control() || r#"<>:"|?*/\"#.contains(letter))
        && !name.ends_with(['.', ' '])
        && !DEVICES.contains(&&*stem)
        && !port("com")
        && !port("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_windows_reads_otherwise_does_not_fit() {
        for name in ["a.txt", "Größe 1.txt", ".bashrc", "command.txt", "comet", "null", "a.b.c", "lpt10"] {
            assert!(fits_windows(name), "{name}");
        }
        for name in [
            r"..\..\Startup\a.bat",
            r"C:\a",
            "a:b",
            "what?",
            "a*",
            "a.",
            "a ",
            "nul",
            "NUL.txt",
            "con .txt",
            "COM1",
            "lpt9.log",
            "a\u{1}",
            "..",
        ] {
            assert!(!fits_windows(name), "{name:?}");
        }
    }
}
