//! Uploads that are cut, continued, taken over, too large for the disk.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use foreman_machine::files::{Files, FilesError, MAX_UPLOAD};
use foreman_protocol::{Policy, StartUpload, Upload};

use crate::place::{Place, SmallDisk};

fn wanted(path: String, size: usize, replace: bool) -> StartUpload {
    StartUpload { path, size: size as u64, replace }
}

fn start(place: &Place, name: &str, size: usize) -> Upload {
    place.files.start_upload(&place.policy, &wanted(place.text(name), size, false), None, "Mia").unwrap()
}

fn send(
    files: &Files,
    policy: &Policy,
    upload: &Upload,
    offset: u64,
    bytes: &[u8],
) -> Result<Upload, FilesError> {
    let piece = files.continue_upload(policy, upload.id, offset)?;
    piece.write(bytes)?;
    files.finish_piece(policy, &piece, "Mia")
}

/// What is in a directory that belongs to an upload.
fn gathering(place: &Place, name: &str) -> usize {
    let names = place.names(name).unwrap();
    names.iter().filter(|name| name.starts_with(".foreman-upload-")).count()
}

#[test]
fn pieces_become_a_file_only_at_the_end() {
    let place = Place::new();
    let upload = start(&place, "work/up", 6);
    assert_eq!((upload.received, upload.done), (0, false));
    let after = send(&place.files, &place.policy, &upload, 0, b"abc").unwrap();
    assert_eq!((after.received, after.done), (3, false));
    assert!(!place.path("work/up").exists());
    let hidden = fs::read_dir(place.path("work"))
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(".foreman-upload-"))
        .unwrap();
    assert_eq!(hidden.metadata().unwrap().mode() & 0o777, 0o600);
    let after = send(&place.files, &place.policy, &upload, 3, b"def").unwrap();
    assert_eq!((after.received, after.done), (6, true));
    assert_eq!(place.read("work/up").unwrap(), "abcdef");
    assert_eq!(gathering(&place, "work"), 0);
    assert!(place.files.upload(&place.policy, upload.id).unwrap().done);
    fs::write(place.path("work/ordinary"), "").unwrap();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("work/up"), mode("work/ordinary"));
}

#[test]
fn an_empty_file_is_there_at_once() {
    let place = Place::new();
    assert!(start(&place, "work/empty", 0).done);
    assert_eq!(place.read("work/empty").unwrap(), "");
}

#[test]
fn data_that_does_not_continue_is_refused_with_where_it_stands() {
    let place = Place::new();
    let upload = start(&place, "work/up", 6);
    send(&place.files, &place.policy, &upload, 0, b"abc").unwrap();
    for offset in [0, 2, 4, 6, u64::MAX] {
        let error = send(&place.files, &place.policy, &upload, offset, b"x").unwrap_err();
        assert!(matches!(error, FilesError::Offset { expected: 3 }), "{offset}: {error:?}");
    }
    let error = send(&place.files, &place.policy, &upload, 3, b"defg").unwrap_err();
    assert!(matches!(error, FilesError::Invalid { field: "body", .. }));
    assert!(send(&place.files, &place.policy, &upload, 3, b"def").unwrap().done);
}

#[test]
fn the_next_agent_goes_on_where_the_last_one_was_sure() {
    let place = Place::new();
    let upload = start(&place, "work/up", 6);
    send(&place.files, &place.policy, &upload, 0, b"abc").unwrap();
    // Written and never made sure of: the agent was killed.
    let piece = place.files.continue_upload(&place.policy, upload.id, 3).unwrap();
    piece.write(b"XX").unwrap();
    let files = Files::new(place.path("work/state"));
    assert_eq!(files.upload(&place.policy, upload.id).unwrap().received, 3);
    assert!(send(&files, &place.policy, &upload, 3, b"def").unwrap().done);
    assert_eq!(place.read("work/up").unwrap(), "abcdef");
    let files = Files::new(place.path("work/state"));
    assert!(files.upload(&place.policy, upload.id).unwrap().done);
}

#[test]
fn a_second_connection_takes_over_from_one_that_hangs() {
    let place = Place::new();
    let upload = start(&place, "work/up", 6);
    let hangs = place.files.continue_upload(&place.policy, upload.id, 0).unwrap();
    hangs.write(b"abc").unwrap();
    assert_eq!(place.files.upload(&place.policy, upload.id).unwrap().received, 3);
    let takes_over = place.files.continue_upload(&place.policy, upload.id, 3).unwrap();
    assert!(matches!(hangs.write(b"late"), Err(FilesError::Conflict(..))));
    assert!(matches!(place.files.finish_piece(&place.policy, &hangs, "Mia"), Err(FilesError::Conflict(..))));
    takes_over.write(b"def").unwrap();
    assert!(place.files.finish_piece(&place.policy, &takes_over, "Mia").unwrap().done);
    assert_eq!(place.read("work/up").unwrap(), "abcdef");
}

#[test]
fn a_file_that_is_replaced_goes_to_the_trash_and_hands_on_its_permissions() {
    let place = Place::new();
    place.write("work/tool", "old");
    place.link("tool", "work/link");
    fs::set_permissions(place.path("work/tool"), fs::Permissions::from_mode(0o751)).unwrap();
    let refused =
        place.files.start_upload(&place.policy, &wanted(place.text("work/tool"), 3, false), None, "Mia");
    assert!(matches!(refused, Err(FilesError::Conflict(..))));
    // Through a link the file is replaced and not the link.
    let replace = wanted(place.text("work/link"), 3, true);
    let upload = place.files.start_upload(&place.policy, &replace, None, "Mia").unwrap();
    assert_eq!(upload.path, place.text("work/tool"));
    send(&place.files, &place.policy, &upload, 0, b"new").unwrap();
    assert_eq!(place.read("work/link").unwrap(), "new");
    assert_eq!(fs::metadata(place.path("work/tool")).unwrap().mode() & 0o777, 0o751);
    assert_eq!(gathering(&place, "work"), 0);
    let items = place.path("work/state/trash/items");
    let old = fs::read_dir(items).unwrap().next().unwrap().unwrap();
    assert_eq!(fs::read(old.path()).unwrap(), b"old");
}

#[test]
fn what_changed_since_it_was_read_is_not_overwritten() {
    let place = Place::new();
    let path = place.text("work/readme.md");
    let etag = place.rules().stat(&path).unwrap().etag.unwrap();
    let replace = wanted(path.clone(), 3, true);
    let upload = place.files.start_upload(&place.policy, &replace, Some(&etag), "Mia").unwrap();
    place.write("work/readme.md", "somebody else's");
    let error = send(&place.files, &place.policy, &upload, 0, b"new").unwrap_err();
    assert!(matches!(error, FilesError::Changed), "{error:?}");
    assert_eq!(place.read("work/readme.md").unwrap(), "somebody else's");
    let stale = place.files.start_upload(&place.policy, &replace, Some(&etag), "Mia").unwrap_err();
    assert!(matches!(stale, FilesError::Changed));
    // What came is kept: it can be brought to its place once that is free.
    fs::remove_file(place.path("work/readme.md")).unwrap();
    assert_eq!(place.files.upload(&place.policy, upload.id).unwrap().received, 3);
}

#[test]
fn a_place_taken_in_the_meantime_is_left_alone() {
    let place = Place::new();
    let upload = start(&place, "work/up", 3);
    place.write("work/up", "mine");
    let error = send(&place.files, &place.policy, &upload, 0, b"new").unwrap_err();
    assert!(matches!(error, FilesError::Conflict(..)));
    assert_eq!(place.read("work/up").unwrap(), "mine");
    fs::remove_file(place.path("work/up")).unwrap();
    assert!(send(&place.files, &place.policy, &upload, 3, b"").unwrap().done);
    assert_eq!(place.read("work/up").unwrap(), "new");
}

#[test]
fn uploads_go_nowhere_else() {
    let place = Place::new();
    place.link(place.path("outside/new"), "work/out");
    place.link(place.path("outside"), "work/dir");
    for name in [
        "outside/new",
        "work/out",
        "work/dir/new",
        "work/secret/new",
        "work/later",
        "work/state/identity.json",
        "work",
        "work/deep",
        "work/deep/",
        "work/none/new",
        "work/../outside/new",
        "work/readme.md/new",
    ] {
        let started =
            place.files.start_upload(&place.policy, &wanted(place.text(name), 3, true), None, "Mia");
        assert!(started.is_err(), "{name}");
    }
    let large = StartUpload { path: place.text("work/large"), size: MAX_UPLOAD + 1, replace: false };
    let error = place.files.start_upload(&place.policy, &large, None, "Mia").unwrap_err();
    assert!(matches!(error, FilesError::TooLarge { .. }));
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 2);
}

#[test]
fn a_directory_swapped_for_a_link_during_an_upload_takes_nothing() {
    let place = Place::new();
    let upload = start(&place, "work/deep/up", 3);
    fs::rename(place.path("work/deep"), place.path("work/moved")).unwrap();
    place.link(place.path("outside"), "work/deep");
    assert!(send(&place.files, &place.policy, &upload, 0, b"new").is_err());
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 2);
}

#[test]
fn a_rule_made_during_an_upload_holds_at_once() {
    let mut place = Place::new();
    let upload = start(&place, "work/deep/up", 3);
    place.policy.blocked_paths.push(place.text("work/deep"));
    assert!(matches!(send(&place.files, &place.policy, &upload, 0, b"new"), Err(FilesError::Blocked)));
    place.policy.blocked_paths.pop();
    place.policy.allow_file_write = false;
    assert!(matches!(send(&place.files, &place.policy, &upload, 0, b"new"), Err(FilesError::Off(_))));
}

#[test]
fn an_upload_that_is_ended_leaves_nothing() {
    let place = Place::new();
    let upload = start(&place, "work/up", 3);
    send(&place.files, &place.policy, &upload, 0, b"a").unwrap();
    place.files.cancel_upload(&place.policy, upload.id).unwrap();
    assert_eq!(gathering(&place, "work"), 0);
    assert!(matches!(place.files.upload(&place.policy, upload.id), Err(FilesError::NotFound)));
}

#[test]
fn only_so_many_are_under_way() {
    let place = Place::new();
    let uploads: Vec<Upload> = (0..64).map(|number| start(&place, &format!("work/up-{number}"), 3)).collect();
    let wanted = wanted(place.text("work/one-more"), 3, false);
    let error = place.files.start_upload(&place.policy, &wanted, None, "Mia").unwrap_err();
    assert!(matches!(error, FilesError::Limit(..)));
    send(&place.files, &place.policy, &uploads[0], 0, b"abc").unwrap();
    place.files.start_upload(&place.policy, &wanted, None, "Mia").unwrap();
}

#[test]
fn what_is_a_day_old_is_cleaned_up() {
    let place = Place::new();
    let upload = start(&place, "work/up", 3);
    let record = place.path("work/state/uploads").join(upload.id.to_string()).with_extension("json");
    let mut noted: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    noted["started_at"] = (noted["started_at"].as_i64().unwrap() - 24 * 3_600_000 - 1).into();
    fs::write(&record, noted.to_string()).unwrap();
    let files = Files::new(place.path("work/state"));
    assert!(matches!(files.upload(&place.policy, upload.id), Err(FilesError::NotFound)));
    assert_eq!(gathering(&place, "work"), 0);
    assert!(!record.exists());
}

#[test]
fn a_full_disk_keeps_what_arrived_and_the_upload_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let place = Place::new();
    let policy = Policy { allowed_paths: vec![disk.text("")], ..place.policy.clone() };
    let refused = place.files.start_upload(&policy, &wanted(disk.text("big"), 3 << 20, false), None, "Mia");
    assert!(matches!(refused, Err(FilesError::Full(_))), "{refused:?}");
    let upload =
        place.files.start_upload(&policy, &wanted(disk.text("up"), 3 << 19, false), None, "Mia").unwrap();
    fs::write(disk.path().join("other"), vec![1; 1 << 20]).unwrap();
    let content: Vec<u8> = (0..3_u32 << 19).map(|number| (number % 251) as u8).collect();
    let piece = place.files.continue_upload(&policy, upload.id, 0).unwrap();
    let error = content.chunks(64 << 10).find_map(|chunk| piece.write(chunk).err()).unwrap();
    assert!(matches!(error, FilesError::Full(_)), "{error:?}");
    let kept = place.files.finish_piece(&policy, &piece, "Mia").unwrap().received;
    assert!((512 << 10..=1 << 20).contains(&kept), "{kept}");
    assert!(!disk.path().join("up").exists());
    fs::remove_file(disk.path().join("other")).unwrap();
    let kept_len = usize::try_from(kept).unwrap();
    assert!(send(&place.files, &policy, &upload, kept, &content[kept_len..]).unwrap().done);
    assert_eq!(fs::read(disk.path().join("up")).unwrap(), content);
}
