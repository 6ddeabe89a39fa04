//! Installed Python packages, found by their metadata folders: no interpreter runs, so none can hang.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The version of a package in the system's Python or in one of the given environments.
pub(super) fn package_version(root: &Path, prefixes: &[PathBuf], package: &str) -> Option<String> {
    let system = ["usr/lib", "usr/local/lib"].map(|lib| root.join(lib));
    prefixes
        .iter()
        .map(|prefix| prefix.join("lib"))
        .chain(system)
        .flat_map(|lib| children(&lib).filter(|path| named(path, "python")).collect::<Vec<_>>())
        .flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name)))
        .flat_map(|packages| children(&packages).collect::<Vec<_>>())
        .find_map(|entry| version(entry.file_name()?.to_str()?, package))
}

fn children(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
}

fn named(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}

/// `isaaclab-0.54.3.dist-info` is version 0.54.3 of `isaaclab`.
fn version(folder: &str, package: &str) -> Option<String> {
    let stem = folder.strip_suffix(".dist-info").or_else(|| folder.strip_suffix(".egg-info"))?;
    let (name, version) = stem.split_once('-')?;
    // An egg's name may go on with the interpreter: `isaaclab-0.54.3-py3.11`.
    let version = version.split('-').next()?;
    (name.eq_ignore_ascii_case(package) && version.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_folders_name_the_version() {
        assert_eq!(version("isaaclab-0.54.3.dist-info", "isaaclab").as_deref(), Some("0.54.3"));
        assert_eq!(version("isaaclab-0.54.3-py3.11.egg-info", "isaaclab").as_deref(), Some("0.54.3"));
        assert_eq!(version("isaaclab_rl-0.4.4.dist-info", "isaaclab"), None);
        assert_eq!(version("isaaclab", "isaaclab"), None);
    }

    #[test]
    fn an_environment_is_searched_before_the_system() {
        let root = tempfile::tempdir().unwrap();
        let place = |path: &str| fs::create_dir_all(root.path().join(path)).unwrap();
        place("usr/lib/python3.10/dist-packages/tensorrt-8.6.1.dist-info");
        place("env/lib/python3.11/site-packages/tensorrt-10.3.0.dist-info");
        let env = [root.path().join("env")];
        assert_eq!(package_version(root.path(), &env, "tensorrt").as_deref(), Some("10.3.0"));
        assert_eq!(package_version(root.path(), &[], "tensorrt").as_deref(), Some("8.6.1"));
        assert_eq!(package_version(root.path(), &env, "torch"), None);
    }
}
