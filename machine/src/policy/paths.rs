//! Which directories a task may start in. Paths are compared after every symbolic link is resolved, so a
//! link inside an allowed directory is no way out of it.
//!
//! This decides where a program starts, not what it touches afterwards: a program that may run can do
//! whatever the agent's user can. That is why running is a permission of its own.

use std::path::{Path, PathBuf};

use foreman_protocol::{Policy, TaskSpec};

const WHERE: &str = "Only the device can change that, in its policy.env.";

/// Why a task may not run: what was refused, which setting decides, where it can be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Decides whether a task may run, and in which directory.
///
/// The directory is the canonical `cwd`, where `~` and relative paths start at the home directory. A task
/// without one gets the home directory, or the first allowed path when home is not allowed.
///
/// # Errors
/// A [`Refusal`] with a sentence for people.
pub fn check_run(policy: &Policy, spec: &TaskSpec) -> Result<PathBuf, Refusal> {
    if !policy.allow_bash {
        return Err(Refusal(format!("This device does not run commands: ALLOW_BASH is off. {WHERE}")));
    }
    let home = std::env::home_dir();
    match spec.cwd.as_deref().filter(|cwd| !cwd.is_empty()) {
        Some(cwd) => {
            let base = home.clone().unwrap_or_else(|| PathBuf::from("/"));
            admit_directory(policy, &base.join(expand_home(Path::new(cwd), home.as_deref())))
        }
        None => default_directory(policy, home.as_deref()),
    }
}

fn default_directory(policy: &Policy, home: Option<&Path>) -> Result<PathBuf, Refusal> {
    home.into_iter()
        .chain(policy.allowed_paths.iter().map(Path::new))
        .chain([Path::new("/")])
        .find_map(|candidate| admit_directory(policy, candidate).ok())
        .ok_or_else(|| {
            Refusal(format!(
                "No directory to run in: ALLOWED_PATHS and BLOCKED_PATHS leave none that exists. {WHERE}"
            ))
        })
}

fn admit_directory(policy: &Policy, path: &Path) -> Result<PathBuf, Refusal> {
    // Without the prefix that some programs of Windows do not understand.
    let real = dunce::canonicalize(path)
        .map_err(|error| Refusal(format!("Cannot run in {}: {error}.", path.display())))?;
    if !real.is_dir() {
        return Err(Refusal(format!("Cannot run in {}: it is not a directory.", path.display())));
    }
    admit(policy, &real)?;
    Ok(real)
}

/// Whether a canonical path lies beneath an allowed root and beneath no blocked one.
///
/// # Errors
/// A [`Refusal`] with a sentence for people.
pub fn admit(policy: &Policy, real: &Path) -> Result<(), Refusal> {
    let beneath = |roots: &[String]| roots.iter().any(|root| real.starts_with(resolve(Path::new(root))));
    if beneath(&policy.blocked_paths) {
        return Err(Refusal(format!("{} is in BLOCKED_PATHS of this device. {WHERE}", real.display())));
    }
    if !policy.allowed_paths.is_empty() && !beneath(&policy.allowed_paths) {
        return Err(Refusal(format!("{} is not in ALLOWED_PATHS of this device. {WHERE}", real.display())));
    }
    Ok(())
}

/// The canonical path; for one that does not exist (yet), its deepest existing part resolved and the rest
/// appended, so that a rule about it holds from the moment it is made.
fn resolve(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(real) = dunce::canonicalize(existing) {
            return missing.iter().rev().fold(real, |path, part| path.join(part));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                existing = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

/// `~` and `~/…` with the home directory in place of the tilde. Another user's `~name` stays as it is.
pub(super) fn expand_home(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home.to_owned(),
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use foreman_protocol::TaskCommand;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    struct Place {
        folder: TempDir,
        policy: Policy,
    }

    impl Place {
        /// `work` is allowed, `work/secret` is blocked, `outside` is neither.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["work/deep/er", "work/secret/x", "outside"] {
                std::fs::create_dir_all(folder.path().join(name)).unwrap();
            }
            let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
            let policy = Policy {
                allow_bash: true,
                allowed_paths: vec![path("work")],
                blocked_paths: vec![path("work/secret"), path("work/later")],
                ..Policy::default()
            };
            Self { folder, policy }
        }

        fn check(&self, cwd: &str) -> Result<PathBuf, Refusal> {
            check_run(&self.policy, &spec(Some(&self.folder.path().join(cwd).to_string_lossy())))
        }
    }

    fn spec(cwd: Option<&str>) -> TaskSpec {
        TaskSpec {
            command: TaskCommand::Shell { shell: "true".into() },
            cwd: cwd.map(str::to_owned),
            env: Default::default(),
            timeout_s: None,
        }
    }

    #[test]
    fn nothing_runs_while_the_switch_is_off() {
        let refusal = check_run(&Policy::default(), &spec(None)).unwrap_err().to_string();
        assert!(refusal.contains("ALLOW_BASH") && refusal.contains("policy.env"), "{refusal}");
    }

    #[test]
    fn an_allowed_directory_is_given_back_without_links() {
        let place = Place::new();
        symlink(place.folder.path().join("work/deep"), place.folder.path().join("work/link")).unwrap();
        let real = place.folder.path().canonicalize().unwrap().join("work/deep/er");
        assert_eq!(place.check("work/link/er").unwrap(), real);
        assert_eq!(place.check("work/deep/../deep/er").unwrap(), real);
    }

    #[test]
    fn outside_and_blocked_are_refused_by_name_of_the_setting() {
        let place = Place::new();
        for (cwd, setting) in [
            ("outside", "ALLOWED_PATHS"),
            ("work/../outside", "ALLOWED_PATHS"),
            ("work/secret", "BLOCKED_PATHS"),
            ("work/secret/x", "BLOCKED_PATHS"),
        ] {
            let refusal = place.check(cwd).unwrap_err().to_string();
            assert!(refusal.contains(setting), "{cwd}: {refusal}");
        }
    }

    #[test]
    fn a_link_leads_neither_out_nor_into_what_is_blocked() {
        let place = Place::new();
        symlink(place.folder.path().join("outside"), place.folder.path().join("work/out")).unwrap();
        symlink(place.folder.path().join("work/secret"), place.folder.path().join("work/in")).unwrap();
        assert!(place.check("work/out").is_err());
        assert!(place.check("work/in/x").is_err());
    }

    #[test]
    fn a_rule_written_with_a_link_means_what_it_points_to() {
        let mut place = Place::new();
        symlink(place.folder.path().join("work"), place.folder.path().join("alias")).unwrap();
        place.policy.allowed_paths = vec![place.folder.path().join("alias").to_string_lossy().into_owned()];
        assert!(place.check("work/deep").is_ok());
        assert!(place.check("outside").is_err());
    }

    #[test]
    fn a_rule_about_a_directory_made_later_holds() {
        let place = Place::new();
        std::fs::create_dir_all(place.folder.path().join("work/later/sub")).unwrap();
        assert!(place.check("work/later/sub").is_err());
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not_beneath() {
        let place = Place::new();
        std::fs::create_dir_all(place.folder.path().join("work-else")).unwrap();
        std::fs::create_dir_all(place.folder.path().join("work/secrets")).unwrap();
        assert!(place.check("work-else").is_err());
        assert!(place.check("work/secrets").is_ok());
    }

    #[test]
    fn without_a_directory_the_first_allowed_one_is_taken() {
        let place = Place::new();
        let real = place.folder.path().canonicalize().unwrap().join("work");
        assert_eq!(check_run(&place.policy, &spec(None)).unwrap(), real);
    }

    #[test]
    fn a_file_or_nothing_is_no_directory() {
        let place = Place::new();
        std::fs::write(place.folder.path().join("work/file"), "").unwrap();
        assert!(place.check("work/file").is_err());
        assert!(place.check("work/none").is_err());
    }

    proptest! {
        #[test]
        fn no_walk_ends_outside(steps in prop::collection::vec(
            prop::sample::select(vec!["..", ".", "work", "deep", "er", "secret", "x", "outside", "out"]), 0..8)
        ) {
            let place = Place::new();
            symlink(place.folder.path().join("outside"), place.folder.path().join("work/out")).unwrap();
            let root = place.folder.path().canonicalize().unwrap();
            if let Ok(real) = place.check(&format!("work/{}", steps.join("/"))) {
                prop_assert!(real.starts_with(root.join("work")), "{}", real.display());
                prop_assert!(!real.starts_with(root.join("work/secret")), "{}", real.display());
            }
        }
    }
}
