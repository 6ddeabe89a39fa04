//! What a saved file is called: a name that any system takes, that stays in its folder and reads as it is.

use std::path::Path;

/// Longer names are refused by file systems; left of it is room for a number. Bytes.
const LONGEST: usize = 180;
/// Names that Windows has for things that are no files.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// A file's name out of what somebody called it.
pub fn file_name(asked: &str) -> String {
    let last = asked.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().map(|letter| if is_unfit(letter) { '-' } else { letter }).collect();
    // Windows takes no dots and spaces at the end; at the beginning a dot would hide it.
    let plain = plain.trim().trim_end_matches(['.', ' ']);
    let hidden = plain.trim_start_matches('.');
    let mut name = if hidden.len() == plain.len() { plain.to_owned() } else { format!("_{hidden}") };
    if name.is_empty() || name == "_" {
        "download".clone_into(&mut name);
    }
    let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let port = |kind: &str| stem.strip_prefix(kind).is_some_and(|number| number.len() == 1);
    if RESERVED.contains(&&*stem) || port("com") || port("lpt") {
        name.insert(0, '_');
    }
    shortened(name)
}

/// Control characters, what some system cannot have in a name, and what turns the reading direction: a name must not
/// look like another one.
fn is_unfit(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '<' | '>' | ':' | '"' | '|' | '?' | '*')
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let (stem, extension) = match parts(&name) {
        (stem, extension) if extension.len() <= 20 => (stem, extension),
        _ => (&*name, ""),
    };
    let mut end = LONGEST - extension.len();
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &stem[..end])
}

/// The second of a name is `name (2).txt`.
pub fn numbered(name: &str, number: u32) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let (stem, extension) = parts(name);
    format!("{stem} ({number}){extension}")
}

/// With its dot; `.tar.gz` is one.
fn parts(name: &str) -> (&str, &str) {
    let Some(extension) = Path::new(name).extension() else { return (name, "") };
    let mut end = name.len() - extension.len() - 1;
    if name[..end].ends_with(".tar") {
        end -= 4;
    }
    name.split_at(end)
}

/// The name that an answer gives, by RFC 6266.
pub fn name_in(disposition: &str) -> Option<String> {
    let mut plain = None;
    for part in disposition.split(';').map(str::trim) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let value = value.trim();
        match key.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                let (charset, rest) = value.split_once('\'')?;
                let (_, text) = rest.split_once('\'')?;
                if charset.eq_ignore_ascii_case("utf-8") {
                    return percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into);
                }
            }
            "filename" => plain = Some(value.trim_matches('"').to_owned()),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_stays_in_its_folder_and_reads_as_it_is() {
        for (asked, name) in [
            ("report.csv", "report.csv"),
            ("Größe 1.txt", "Größe 1.txt"),
            ("../../.bashrc", "_bashrc"),
            ("C:\\Windows\\a.exe", "a.exe"),
            ("a\u{202e}gpj.exe", "a-gpj.exe"),
            ("what?*.log", "what--.log"),
            ("nul.txt", "_nul.txt"),
            ("com1", "_com1"),
            ("command.txt", "command.txt"),
            ("name. ", "name"),
            ("..", "download"),
            ("", "download"),
        ] {
            assert_eq!(file_name(asked), name, "{asked}");
        }
    }

    #[test]
    fn a_number_goes_before_the_ending() {
        assert_eq!(numbered("a.txt", 1), "a.txt");
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered("a.tar.gz", 3), "a (3).tar.gz");
        assert_eq!(numbered("Makefile", 2), "Makefile (2)");
    }

    #[test]
    fn an_answer_says_its_name() {
        assert_eq!(name_in("attachment; filename=\"task-1.log\"").as_deref(), Some("task-1.log"));
        assert_eq!(name_in("attachment; filename=x; filename*=UTF-8''a%20b.txt").as_deref(), Some("a b.txt"));
        assert_eq!(name_in("inline"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_one_name(asked in "\\PC{0,300}", number in 1_u32..2_000) {
            let name = numbered(&file_name(&asked), number);
            let path = Path::new("folder").join(&name);
            prop_assert_eq!(path.parent(), Some(Path::new("folder")));
            prop_assert!(!name.is_empty() && !name.starts_with('.') && name.len() <= 255);
            prop_assert!(!name.contains(['/', '\\']));
        }
    }
}
