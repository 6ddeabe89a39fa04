//! Copies that broke in the middle.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use journeys::eventually;

use super::Scene;

const MIB: u64 = 1024 * 1024;
const SIZE: u64 = 192 * MIB;
/// What is sent at once, and acknowledged.
const PIECE: u64 = 8 * MIB;

/// The numbers that stand at each MiB of a file.
fn marks(path: &Path) -> Vec<u64> {
    let file = File::open(path).expect("it is there");
    let mut mark = [0; 8];
    let mut read = |at: u64| {
        file.read_exact_at(&mut mark, at * MIB).expect("readable");
        u64::from_be_bytes(mark)
    };
    (0..SIZE / MIB).map(&mut read).collect()
}

/// Where an upload into this folder gathers.
fn gathering(folder: &Path) -> Option<PathBuf> {
    let mut names = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let hidden = names.find(|entry| entry.file_name().to_string_lossy().starts_with(".foreman-upload-"));
    hidden.map(|entry| entry.path())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_killed_is_gone_on_with_by_the_next_command() {
    let scene = Scene::new().await;
    let large = scene.folder.join("large");
    let file = File::create(&large).expect("made");
    file.set_len(SIZE).expect("there is room");
    for at in 0..SIZE / MIB {
        file.write_all_at(&(at + 1).to_be_bytes(), at * MIB).expect("written");
    }
    let (folder, _) = scene.place("there");
    std::fs::create_dir(&folder).expect("made");
    let (target, remote) = scene.place("there/large");
    let copy = ["cp", large.to_str().expect("text"), &remote];

    let mut copying = scene.foreman(&copy).spawn().expect("it runs");
    let part = eventually("a piece has arrived", || async {
        gathering(&folder).filter(|part| std::fs::metadata(part).is_ok_and(|part| part.len() > 2 * PIECE))
    })
    .await;
    copying.kill().await.expect("it runs");
    assert!(!target.exists(), "it was in the middle");

    // What is there is not sent again, so this stays.
    let came = OpenOptions::new().write(true).open(&part).expect("it is kept");
    came.write_all_at(&u64::MAX.to_be_bytes(), 0).expect("written");
    scene.says(&copy).await;
    let whole: Vec<u64> = (1..=SIZE / MIB).collect();
    let arrived = marks(&target);
    assert_eq!((arrived[0], &arrived[1..]), (u64::MAX, &whole[1..]));
    assert_eq!(std::fs::metadata(&target).expect("it is there").len(), SIZE);
    assert_eq!(gathering(&folder), None);
}
