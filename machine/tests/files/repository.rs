//! The state of real repositories.

use std::{fs, path::Path, process::Command};

use foreman_machine::files::FilesError;

use crate::{place::Place, skipped::skipped};

fn git(directory: &Path, arguments: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=Mia", "-c", "user.email=mia@example.org", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A repository in `work/repo` with one commit.
fn repository(place: &Place) -> std::path::PathBuf {
    let repo = place.path("work/repo");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "-q"]);
    place.write("work/repo/a", "a\n");
    place.write("work/repo/sub/b", "b\n");
    git(&repo, &["add", "."]);
    git(&repo, &["commit", "-qm", "One"]);
    repo
}

#[test]
fn branch_and_changes_are_told() {
    let place = Place::new();
    let repo = repository(&place);
    git(&repo, &["clone", "-q", ".", "../clone"]);
    let clone = place.path("work/clone");
    place.write("work/clone/a", "changed\n");
    place.write("work/clone/new ü", "");
    git(&clone, &["mv", "sub/b", "sub/c"]);
    git(&clone, &["commit", "-qm", "Two"]);
    place.write("work/clone/sub/c", "staged\n");
    git(&clone, &["add", "sub/c"]);
    for asked in ["work/clone", "work/clone/sub", "work/clone/sub/c"] {
        let status = place.rules().git_status(&place.text(asked)).unwrap();
        assert_eq!(status.root, place.text("work/clone"));
        assert_eq!(status.branch.as_deref(), Some("main"));
        assert_eq!(status.upstream.as_deref(), Some("origin/main"));
        assert_eq!((status.ahead, status.behind, status.truncated), (1, 0, false));
        let told: Vec<_> = status
            .entries
            .iter()
            .map(|entry| (entry.path.clone(), entry.staged.as_deref(), entry.unstaged.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                (place.text("work/clone/a"), None, Some("modified")),
                (place.text("work/clone/sub/c"), Some("modified"), None),
                (place.text("work/clone/new ü"), None, Some("untracked")),
            ]
        );
    }
}

#[test]
fn a_repository_out_of_sight_is_none() {
    let mut place = Place::new();
    repository(&place);
    place.policy.allowed_paths = vec![place.text("work/repo/sub")];
    assert!(matches!(place.rules().git_status(&place.text("work/repo/sub")), Err(FilesError::NotFound)));
    assert!(matches!(place.rules().git_status(&place.text("work/repo")), Err(FilesError::Outside)));
    let place = Place::new();
    assert!(matches!(place.rules().git_status(&place.text("work/deep")), Err(FilesError::NotFound)));
    // One whose real place is elsewhere.
    fs::create_dir(place.path("outside/repo")).unwrap();
    git(&place.path("outside/repo"), &["init", "-q"]);
    place.write("work/deep/.git", format!("gitdir: {}\n", place.text("outside/repo/.git")));
    assert!(matches!(place.rules().git_status(&place.text("work/deep")), Err(FilesError::Outside)));
}

#[test]
fn what_is_blocked_in_a_repository_is_not_told() {
    let mut place = Place::new();
    let repo = repository(&place);
    place.write("work/repo/private/key", "x");
    git(&repo, &["add", "private/key"]);
    place.policy.blocked_paths.push(place.text("work/repo/private"));
    assert!(place.rules().git_status(&place.text("work/repo")).unwrap().entries.is_empty());
}

#[test]
fn a_repository_runs_no_programs() {
    let place = Place::new();
    let repo = repository(&place);
    let ran = place.path("work/ran");
    let program = format!("touch {}", ran.display());
    git(&repo, &["config", "core.fsmonitor", &program]);
    git(&repo, &["config", "core.hooksPath", repo.to_str().unwrap()]);
    place.rules().git_status(&place.text("work/repo")).unwrap();
    assert!(!ran.exists());
}

#[test]
fn a_repository_runs_no_filters() {
    let place = Place::new();
    let repo = repository(&place);
    let ran = place.path("work/ran");
    let program = format!("touch {}; cat", ran.display());
    // Names may hold what separates a setting from its value.
    for (name, what) in [("evil", "clean"), ("E=v.il", "clean"), ("long", "process")] {
        git(&repo, &["config", &format!("filter.{name}.{what}"), &program]);
        git(&repo, &["config", &format!("filter.{name}.required"), "true"]);
    }
    place.write("work/repo/.gitattributes", "a filter=evil\nsub/b filter=long\nc filter=E=v.il\n");
    place.write("work/repo/a", "x\n");
    place.write("work/repo/sub/b", "x\n");
    let status = place.rules().git_status(&place.text("work/repo")).unwrap();
    assert!(status.entries.iter().any(|entry| entry.path == place.text("work/repo/a")));
    assert!(!ran.exists(), "looking ran a program of the repository");
}

#[test]
fn a_repository_fetches_nothing() {
    let place = Place::new();
    let repo = repository(&place);
    let ran = place.path("work/ran");
    git(&repo, &["clone", "-q", ".", "../clone"]);
    let clone = place.path("work/clone");
    for (name, value) in [
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.uploadpack", &format!("touch {}; false", ran.display())),
    ] {
        git(&clone, &["config", name, value]);
    }
    // What is missing would be fetched.
    fs::remove_dir_all(clone.join(".git/objects")).unwrap();
    fs::create_dir(clone.join(".git/objects")).unwrap();
    let _ = place.rules().git_status(&place.text("work/clone"));
    assert!(!ran.exists(), "looking ran a program of the repository");
}

#[test]
fn a_repository_among_the_files_of_another_is_none() {
    let place = Place::new();
    repository(&place);
    // What a clone brings along as plain files, with settings that nobody here made.
    let inside = place.path("work/repo/inside");
    fs::create_dir(&inside).unwrap();
    git(&inside, &["init", "-q", "--bare", "."]);
    git(&inside, &["config", "core.bare", "false"]);
    git(&inside, &["config", "core.worktree", place.path("work/repo").to_str().unwrap()]);
    let status = place.rules().git_status(&place.text("work/repo/inside"));
    assert!(matches!(status, Err(FilesError::NotFound)), "{status:?}");
}

#[test]
fn somebody_elses_repository_is_read_as_them() {
    if !nix::unistd::geteuid().is_root() {
        skipped("only root can become somebody else");
        return;
    }
    let place = Place::new();
    let repo = repository(&place);
    let ran = place.path("work/ran");
    // A filter is a program that git runs when it looks whether a file has changed.
    git(&repo, &["config", "filter.evil.clean", &format!("touch {}; cat", ran.display())]);
    place.write("work/repo/.gitattributes", "* filter=evil\n");
    place.write("work/repo/a", "x\n");
    let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(&repo).status().unwrap();
    assert!(owned.success());
    let open = Command::new("chmod").args(["755"]).args([&place.top, &place.path("work")]).status().unwrap();
    assert!(open.success());
    let status = place.rules().git_status(&place.text("work/repo")).unwrap();
    assert!(status.entries.iter().any(|entry| entry.path == place.text("work/repo/a")));
    assert!(!ran.exists(), "the filter ran with the agent's rights");
}
