//! Where a tree of files begins.

use std::path::PathBuf;

use foreman_protocol::{FileRoots, Policy};

use super::{Files, Result};

impl Files {
    /// The places a tree begins with: home first, when it may be seen.
    ///
    /// # Errors
    /// When the policy does not let files be read.
    pub fn roots(&self, policy: &Policy) -> Result<FileRoots> {
        let rules = self.reading(policy)?;
        let home = std::env::home_dir().into_iter();
        let mut roots: Vec<String> = Vec::new();
        for root in home.chain(rules.roots.iter().map(|root| root.real.clone())) {
            let Ok((_, path)) = rules.directory(&root) else { continue };
            let Ok(path) = text(path) else { continue };
            if !roots.contains(&path) {
                roots.push(path);
            }
        }
        Ok(FileRoots { roots, may_write: policy.allow_file_write })
    }
}

fn text(path: PathBuf) -> std::result::Result<String, std::ffi::OsString> {
    path.into_os_string().into_string()
}
