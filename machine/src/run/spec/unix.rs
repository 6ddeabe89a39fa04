//! A line for bash or sh.

use std::path::Path;

pub(super) fn shell_line(line: &str) -> (String, Vec<String>) {
    (shell_program().to_owned(), vec!["-c".to_owned(), line.to_owned()])
}

fn shell_program() -> &'static str {
    ["/bin/bash", "/usr/bin/bash"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("/bin/sh")
}
