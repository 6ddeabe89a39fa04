//! `DEVICE:path` or a path here.

use std::path::PathBuf;

use anyhow::{Result, bail};
use foreman_client::DeviceConnection;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Local(PathBuf),
    Remote { device: String, path: String },
}

impl Place {
    /// A colon before any slash names a device; `./a:b` is a file here, and on Windows `C:\a` is.
    pub fn parse(text: &str) -> Self {
        Self::parse_on(text, cfg!(windows))
    }

    fn parse_on(text: &str, windows: bool) -> Self {
        match text.split_once(':') {
            Some((device, path))
                if !device.is_empty()
                    && !device.contains('/')
                    && !(windows && (device.contains('\\') || is_drive(device))) =>
            {
                Self::Remote { device: device.to_owned(), path: path.to_owned() }
            }
            _ => Self::Local(text.into()),
        }
    }

    /// The device and its path.
    pub fn remote(&self, text: &str) -> Result<(&str, &str)> {
        match self {
            Self::Remote { device, path } => Ok((device, path)),
            Self::Local(_) => bail!("{text} names no device: write DEVICE:{text}"),
        }
    }
}

/// A device whose name is one letter is reached from Windows by its id.
fn is_drive(name: &str) -> bool {
    name.len() == 1 && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
}

/// The path on the device, from its home when it is relative.
pub async fn absolute(device: &DeviceConnection, path: &str) -> Result<String> {
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    let roots = device.file_roots().await?;
    let Some(home) = roots.roots.first() else { bail!("The device shows no files: its policy allows none") };
    let rest = path.strip_prefix('~').unwrap_or(path).trim_start_matches('/');
    let rest = rest.strip_prefix("./").unwrap_or(rest);
    Ok(match rest {
        "" | "." => home.clone(),
        rest => join(home, rest),
    })
}

pub fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_before_a_slash_names_a_device() {
        let remote = |device: &str, path: &str| Place::Remote { device: device.into(), path: path.into() };
        assert_eq!(Place::parse("anvil:a/b"), remote("anvil", "a/b"));
        assert_eq!(Place::parse("anvil:"), remote("anvil", ""));
        assert_eq!(Place::parse("anvil:/a:b"), remote("anvil", "/a:b"));
        for local in ["a", "./a:b", "/x/a:b", ":a"] {
            assert_eq!(Place::parse(local), Place::Local(local.into()));
        }
        for local in [r"C:\Users\Jörg", "c:/x", r".\a:b", r"..\x:y"] {
            assert_eq!(Place::parse_on(local, true), Place::Local(local.into()), "{local}");
        }
        assert_eq!(Place::parse_on(r"anvil:C:\x", true), remote("anvil", r"C:\x"));
        assert_eq!(Place::parse_on("c:/x", false), remote("c", "/x"));
        assert_eq!(join("/", "a"), "/a");
        assert_eq!(join("/home/", "a"), "/home/a");
    }
}
