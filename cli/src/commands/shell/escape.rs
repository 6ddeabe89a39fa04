//! `~.` at the beginning of a line, as in ssh.

/// What was typed, for the terminal or for this program.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Keys(Vec<u8>),
    Help,
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// A `~` at a line's start is held back until the next key.
    Tilde,
    Inside,
}

pub struct Escapes {
    at: At,
    on: bool,
}

impl Escapes {
    /// `on`: somebody types. Bytes from a file are never an escape.
    pub const fn new(on: bool) -> Self {
        Self { at: At::LineStart, on }
    }

    pub fn read(&mut self, keys: &[u8]) -> Typed {
        if !self.on {
            return Typed::Keys(keys.to_vec());
        }
        let mut through = Vec::with_capacity(keys.len() + 1);
        for &key in keys {
            let before = self.at;
            self.at = match (before, key) {
                (_, b'\r' | b'\n') => At::LineStart,
                (At::LineStart, b'~') => At::Tilde,
                _ => At::Inside,
            };
            match (before, key) {
                (At::LineStart, b'~') => {}
                (At::Tilde, b'.') => return Typed::Leave,
                (At::Tilde, b'?') if through.is_empty() => {
                    self.at = At::LineStart;
                    return Typed::Help;
                }
                (At::Tilde, b'~') => through.push(b'~'),
                (At::Tilde, key) => through.extend([b'~', key]),
                (_, key) => through.push(key),
            }
        }
        Typed::Keys(through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&str]) -> Vec<Typed> {
        let mut escapes = Escapes::new(true);
        pieces.iter().map(|piece| escapes.read(piece.as_bytes())).collect()
    }

    fn keys(text: &str) -> Typed {
        Typed::Keys(text.as_bytes().to_vec())
    }

    #[test]
    fn only_a_line_that_begins_with_it_leaves() {
        assert_eq!(typed(&["~."]), [Typed::Leave]);
        assert_eq!(typed(&["ls\r", "~", "."]), [keys("ls\r"), keys(""), Typed::Leave]);
        assert_eq!(typed(&["cd ~.\r"]), [keys("cd ~.\r")]);
        assert_eq!(typed(&["~~.\r"]), [keys("~.\r")]);
        assert_eq!(typed(&["~", "a"]), [keys(""), keys("~a")]);
        assert_eq!(typed(&["~?", "~."]), [Typed::Help, Typed::Leave]);
    }

    #[test]
    fn bytes_from_a_file_are_never_an_escape() {
        assert_eq!(Escapes::new(false).read(b"~."), keys("~."));
    }
}
