//! Progress on standard error, where somebody looks at it.

use foreman_client::device::Transfer;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

pub struct Progress(MultiProgress);

/// One file's.
pub struct Bar {
    bar: ProgressBar,
    all: MultiProgress,
}

impl Progress {
    pub fn new() -> Self {
        // Draws to standard error, and nothing when that is no terminal.
        Self(MultiProgress::new())
    }

    pub fn file(&self, name: &str, size: u64) -> Bar {
        let bar = self.0.add(ProgressBar::new(size));
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(
            name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>(),
        );
        Bar { bar, all: self.0.clone() }
    }

    pub fn note(&self, line: impl std::fmt::Display) {
        note(&self.0, line);
    }
}

impl Bar {
    /// Where it begins when some was there.
    pub fn begin(&self, at: u64) {
        self.bar.set_position(at);
        self.bar.reset_eta();
    }

    pub fn tell(&self, step: &Transfer<'_>) {
        match step {
            Transfer::At(at) => self.bar.set_position(*at),
            Transfer::Lost(error) => note(&self.all, format!("{error}; going on where it stood")),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn note(all: &MultiProgress, line: impl std::fmt::Display) {
    all.suspend(|| crate::output::note(line));
}
