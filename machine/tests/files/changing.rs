//! Moving, making, deleting and bringing back.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::{Arc, Mutex},
};

use foreman_machine::files::{Files, FilesError};
use foreman_protocol::{FileKind, MoveFile, Policy};

use crate::{
    place::{Place, SmallDisk},
    skipped::skipped,
};

fn moving(place: &Place, from: &str, to: &str, replace: bool) -> Result<(), FilesError> {
    let wanted = MoveFile { from: place.text(from), to: place.text(to), replace };
    place.files.rename(&place.policy, &wanted, "Mia").map(|entry| assert_eq!(entry.path, place.text(to)))
}

#[test]
fn a_directory_is_made_once() {
    let place = Place::new();
    let made = place.files.make_directory(&place.policy, &place.text("work/new"), "Mia").unwrap();
    assert_eq!(made.kind, FileKind::Directory);
    for (name, expected) in
        [("work/new", "Conflict"), ("work/no/new", "NotFound"), ("outside/new", "Outside")]
    {
        let error = place.files.make_directory(&place.policy, &place.text(name), "Mia").unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{name}: {error:?}");
    }
    assert!(place.files.make_directory(&place.policy, &place.text("work/later"), "Mia").is_err());
    assert!(!place.path("outside/new").exists());
}

#[test]
fn moving_never_overwrites_by_itself() {
    let place = Place::new();
    place.write("work/a", "a");
    place.write("work/b", "b");
    assert!(matches!(moving(&place, "work/a", "work/b", false), Err(FilesError::Conflict(..))));
    assert_eq!(place.read("work/b").unwrap(), "b");
    moving(&place, "work/a", "work/deep/c", false).unwrap();
    assert_eq!(place.read("work/deep/c").unwrap(), "a");
    moving(&place, "work/deep/c", "work/b", true).unwrap();
    assert_eq!(place.read("work/b").unwrap(), "a");
    assert!(!place.path("work/deep/c").exists());
    assert!(matches!(moving(&place, "work/none", "work/x", false), Err(FilesError::NotFound)));
    moving(&place, "work/b", "work/b", false).unwrap();
}

#[test]
fn nothing_moves_in_or_out_of_what_is_forbidden() {
    let place = Place::new();
    place.link(place.path("outside"), "work/out");
    for (from, to) in [
        ("work/readme.md", "outside/readme.md"),
        ("work/readme.md", "work/out/readme.md"),
        ("work/readme.md", "work/secret/readme.md"),
        ("work/readme.md", "work/state/readme.md"),
        ("work/readme.md", "work/later"),
        ("outside/key", "work/key"),
        ("work/out/key", "work/key"),
        ("work/secret/key", "work/key"),
        ("work/secret", "work/open"),
        ("work/state", "work/open"),
        ("work", "work/deep/work"),
        ("work/deep", "work/deep/er/deep"),
    ] {
        assert!(moving(&place, from, to, true).is_err(), "{from} → {to}");
    }
    assert!(place.path("work/readme.md").exists() && place.path("work/secret/key").exists());
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 2);
}

#[test]
fn what_a_rule_hangs_on_stays_where_it_is() {
    let mut place = Place::new();
    for name in ["work/a/b/hidden", "work/real"] {
        fs::create_dir_all(place.path(name)).unwrap();
    }
    place.link("real", "work/alias");
    place.write("work/real/key", "x");
    place.policy.blocked_paths.extend([
        place.text("work/a/b/hidden"),
        place.text("work/alias"),
        place.text("work/not/yet"),
    ]);
    for name in ["work/a", "work/a/b", "work/alias", "work/real", "work"] {
        let text = place.text(name);
        assert!(place.files.trash(&place.policy, &text, "Mia").is_err(), "{name} went to the trash");
        assert!(moving(&place, name, "work/deep/gone", false).is_err(), "{name} was moved");
    }
    assert!(moving(&place, "work/deep", "work/not", false).is_err());
    assert!(place.read("work/real/key").is_err());
}

#[test]
fn what_is_deleted_comes_back() {
    let place = Place::new();
    place.write("work/tree/leaf", "leaf");
    place.link("tree", "work/link");
    for name in ["work/tree", "work/link", "work/readme.md"] {
        let trashed = place.files.trash(&place.policy, &place.text(name), "Mia").unwrap();
        assert_eq!(trashed.path, place.text(name));
        assert!(fs::symlink_metadata(place.path(name)).is_err());
        // Another agent after this one can bring it back too.
        let files = Files::new(place.path("work/state"));
        assert_eq!(files.restore(&place.policy, &trashed.id, "Mia").unwrap().path, place.text(name));
        assert!(fs::symlink_metadata(place.path(name)).is_ok());
        let again = files.restore(&place.policy, &trashed.id, "Mia").unwrap_err();
        assert!(matches!(again, FilesError::NotFound));
    }
    assert_eq!(place.read("work/link/leaf").unwrap(), "leaf");
}

#[test]
fn what_comes_back_takes_nobody_elses_place() {
    let place = Place::new();
    let trashed = place.files.trash(&place.policy, &place.text("work/readme.md"), "Mia").unwrap();
    place.write("work/readme.md", "new");
    let error = place.files.restore(&place.policy, &trashed.id, "Mia").unwrap_err();
    assert!(matches!(error, FilesError::Conflict(..)));
    fs::remove_file(place.path("work/readme.md")).unwrap();
    place.files.restore(&place.policy, &trashed.id, "Mia").unwrap();
    assert_eq!(place.read("work/readme.md").unwrap(), "# Hello\n");
}

#[test]
fn an_id_of_the_trash_is_no_path() {
    let place = Place::new();
    for id in ["", "../identity", "..", "/etc/passwd", "a/b", "\0", "zz"] {
        let error = place.files.restore(&place.policy, id, "Mia").unwrap_err();
        assert!(matches!(error, FilesError::NotFound), "{id}: {error:?}");
    }
}

#[test]
fn a_rule_made_after_deleting_holds_for_bringing_back() {
    let mut place = Place::new();
    let trashed = place.files.trash(&place.policy, &place.text("work/deep/er/leaf.txt"), "Mia").unwrap();
    place.policy.blocked_paths.push(place.text("work/deep"));
    assert!(matches!(place.files.restore(&place.policy, &trashed.id, "Mia"), Err(FilesError::Blocked)));
    assert!(!place.path("work/deep/er/leaf.txt").exists());
}

#[test]
fn where_the_agents_directory_is_elsewhere_the_trash_is_on_the_same_disk() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let place = Place::new();
    fs::create_dir(disk.path().join("files")).unwrap();
    fs::write(disk.path().join("files/a"), "a").unwrap();
    let policy = Policy { allowed_paths: vec![disk.text("files")], ..place.policy.clone() };
    let trashed = place.files.trash(&policy, &disk.text("files/a"), "Mia").unwrap();
    let folder = disk.path().join("files/.foreman-trash");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    place.files.restore(&policy, &trashed.id, "Mia").unwrap();
    assert_eq!(fs::read(disk.path().join("files/a")).unwrap(), b"a");
    // A folder that others may write in is no trash.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        place.files.trash(&policy, &disk.text("files/a"), "Mia"),
        Err(FilesError::Conflict(..))
    ));
    assert!(disk.path().join("files/a").exists());
    // And nothing moves there from another one.
    let both = Policy { allowed_paths: vec![disk.text("files"), place.text("work")], ..place.policy.clone() };
    let wanted = MoveFile { from: disk.text("files/a"), to: place.text("work/a"), replace: false };
    assert!(matches!(place.files.rename(&both, &wanted, "Mia"), Err(FilesError::Conflict(..))));
}

#[test]
fn each_change_is_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let place = Place::new();
    let hears = Arc::clone(&told);
    let files = Files::new(place.path("work/state")).on_change(move |change| {
        assert_eq!(change.by, "Mia");
        hears.lock().unwrap().push((change.action, change.path));
    });
    files.make_directory(&place.policy, &place.text("work/new"), "Mia").unwrap();
    let wanted = MoveFile { from: place.text("work/new"), to: place.text("work/newer"), replace: false };
    files.rename(&place.policy, &wanted, "Mia").unwrap();
    let trashed = files.trash(&place.policy, &place.text("work/newer"), "Mia").unwrap();
    files.restore(&place.policy, &trashed.id, "Mia").unwrap();
    assert!(files.trash(&place.policy, &place.text("work/secret"), "Mia").is_err());
    let expected = [
        ("mkdir", place.text("work/new")),
        ("rename", place.text("work/newer")),
        ("trash", place.text("work/newer")),
        ("restore", place.text("work/newer")),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn nothing_is_deleted_where_the_agent_has_no_right() {
    let place = Place::new();
    if nix::unistd::geteuid().is_root() {
        // Root has every right but to what cannot be changed.
        let locked = Command::new("chattr").arg("+i").arg(place.path("work/readme.md")).status();
        if !locked.is_ok_and(|status| status.success()) {
            skipped("this file system has no immutable files");
            return;
        }
    } else {
        fs::set_permissions(place.path("work"), fs::Permissions::from_mode(0o500)).unwrap();
    }
    let error = place.files.trash(&place.policy, &place.text("work/readme.md"), "Mia").unwrap_err();
    let _ = Command::new("chattr").arg("-i").arg(place.path("work/readme.md")).status();
    let _ = fs::set_permissions(place.path("work"), fs::Permissions::from_mode(0o700));
    assert!(matches!(error, FilesError::NoRight), "{error:?}");
}
