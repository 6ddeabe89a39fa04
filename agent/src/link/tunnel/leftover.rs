//! The `cloudflared` of an agent that was killed: it would carry on for a tunnel that may be gone. It is remembered by
//! its number and when it began, so that no other program is ended in its place.

use std::{fs, path::Path};

use crate::{
    process::{self, began},
    state::{remove_file, replace_file},
};

/// Remembers a child. When that fails, it is only not found again.
pub(super) fn remember(path: &Path, pid: u32) {
    if let Some(began) = began(pid)
        && let Err(error) = replace_file(path, format!("{pid} {began}").as_bytes(), false)
    {
        tracing::debug!(%error, "a child cannot be remembered");
    }
}

/// Ends the one that is remembered, if it still runs.
pub(super) fn end(path: &Path) {
    let Ok(text) = fs::read_to_string(path) else { return };
    if let Some((pid, began_then)) = text.split_once(' ')
        && let Ok(pid) = pid.parse::<u32>()
        && began(pid).is_some_and(|began| began.to_string() == began_then)
    {
        tracing::info!(pid, "the `cloudflared` of an earlier agent is ended");
        process::end(pid);
    }
    let _ = remove_file(path);
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_process_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloudflared");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(&path, format!("{} 1", child.id())).unwrap();
        end(&path);
        assert!(child.try_wait().unwrap().is_none(), "another one with its number");
        remember(&path, child.id());
        end(&path);
        assert!(!child.wait().unwrap().success());
        assert!(!path.exists());
        end(&path);
    }
}
