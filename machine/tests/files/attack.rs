//! Ways out of what is allowed, as they were tried elsewhere: none of them leads anywhere.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use foreman_machine::files::FilesError;
use foreman_protocol::Policy;
use proptest::prelude::*;

use crate::place::{Place, SECRET};

fn refused(place: &Place, name: &str) -> FilesError {
    for outcome in [place.read(name).map(|_| ()), place.names(name).map(|_| ())] {
        assert!(outcome.is_err(), "{name} was opened");
    }
    place.read(name).unwrap_err()
}

#[test]
fn no_spelling_of_a_path_leads_out() {
    let place = Place::new();
    for name in [
        "outside",
        "outside/key",
        "outside/not-there",
        "work-evil/key",
        "work-evil",
        "work/../outside/key",
        "work/../outside/../work/../outside/key",
        "work/./.././outside//key",
        "work//../outside/key",
        "work/deep/../../outside/key",
        "work/deep/er/../../../../../../../../../../etc/passwd",
        "work/..",
        "work/../",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "/./etc/passwd",
        "/proc/self/root/etc/passwd",
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/self/cwd",
        "/proc/self/fd/0",
        "/dev/null",
        "/dev/zero",
    ] {
        let error = refused(&place, name);
        assert!(matches!(error, FilesError::Outside), "{name}: {error:?}");
    }
}

#[test]
fn whether_something_outside_exists_is_not_told() {
    let place = Place::new();
    place.link(place.path("outside/key"), "work/there");
    place.link(place.path("outside/none"), "work/not-there");
    place.link("../outside/none/deeper", "work/deeper");
    for name in ["outside/key", "outside/none", "work/there", "work/not-there", "work/deeper"] {
        assert!(matches!(place.read(name), Err(FilesError::Outside)), "{name}");
    }
}

#[test]
fn what_is_blocked_stays_so_beneath_what_is_allowed() {
    let place = Place::new();
    place.link("secret", "work/to-secret");
    place.link(place.path("work/to-secret"), "work/twice");
    fs::hard_link(place.path("work/secret/key"), place.path("work/linked")).unwrap();
    for name in ["work/secret", "work/secret/key", "work/secret/none", "work/to-secret/key", "work/twice/key"]
    {
        assert!(matches!(refused(&place, name), FilesError::Blocked), "{name}");
    }
    for name in ["work/later", "work/later/anything"] {
        assert!(matches!(refused(&place, name), FilesError::Blocked), "{name}");
    }
    // A rule about one file holds under its other names.
    let mut place = place;
    place.policy.blocked_paths.push(place.text("work/secret/key"));
    assert!(matches!(place.read("work/linked"), Err(FilesError::Blocked)));
}

#[test]
fn the_agents_own_directory_is_never_shown() {
    let place = Place::new();
    place.link("state/identity.json", "work/identity");
    let everything = Policy { allowed_paths: Vec::new(), blocked_paths: Vec::new(), ..place.policy.clone() };
    for policy in [&place.policy, &everything] {
        let rules = place.files.reading(policy).unwrap();
        for name in
            ["work/state", "work/state/identity.json", "work/identity", "work/deep/../state/identity.json"]
        {
            assert!(matches!(rules.open(&place.text(name)), Err(FilesError::Own)), "{name}");
        }
    }
    // Nor under a second name that a key got.
    fs::hard_link(place.path("work/state/identity.json"), place.path("work/copy")).unwrap();
    assert!(matches!(place.read("work/copy"), Err(FilesError::Own)));
}

#[test]
fn links_lead_only_to_what_is_allowed_too() {
    let place = Place::new();
    for (target, name) in [
        ("../outside/key", "relative"),
        ("../../../../../../../../etc/passwd", "up"),
        ("/etc/passwd", "absolute"),
        ("/proc/self/root/etc/passwd", "magic"),
        ("relative", "chain"),
        ("deep/../../outside", "directory"),
        ("../work-evil", "sibling"),
        ("/", "top"),
    ] {
        symlink(target, place.path("work").join(name)).unwrap();
    }
    for name in [
        "relative",
        "up",
        "absolute",
        "magic",
        "chain",
        "directory",
        "directory/key",
        "sibling/key",
        "top/etc/passwd",
    ] {
        refused(&place, &format!("work/{name}"));
    }
    place.link("deep/er/leaf.txt", "work/good");
    place.link(place.path("work/good"), "work/better");
    place.link("../deep", "work/deep/round");
    assert_eq!(place.read("work/better").unwrap(), "leaf");
    assert_eq!(place.read("work/deep/round/er/leaf.txt").unwrap(), "leaf");
    assert_eq!(place.read("work/deep/round/../deep/er/leaf.txt").unwrap(), "leaf");
}

#[test]
fn links_in_a_circle_and_long_chains_end() {
    let place = Place::new();
    place.link("b", "work/a");
    place.link("a", "work/b");
    place.link("self/x", "work/self");
    place.link("readme.md", "work/link-0");
    for number in 1..60 {
        place.link(format!("link-{}", number - 1), &format!("work/link-{number}"));
    }
    for name in ["work/a", "work/self", "work/self/x/y", "work/link-59"] {
        assert!(matches!(place.read(name), Err(FilesError::Conflict(..))), "{name}");
    }
    assert!(place.read("work/link-30").is_ok());
}

#[test]
fn hard_names_are_names_and_nothing_else() {
    let place = Place::new();
    let hard = [
        "%2e%2e",
        "..%2f..",
        "...",
        " ",
        "\n",
        "\\..\\..",
        "*",
        "~",
        "$HOME",
        "-rf",
        "a\u{202e}b",
        "\u{feff}",
        "；",
        "CON",
    ];
    for name in hard {
        place.write(&format!("work/hard/{name}"), name);
        assert_eq!(place.read(&format!("work/hard/{name}")).unwrap(), name);
    }
    let listed = place.names("work/hard").unwrap();
    assert!(hard.iter().all(|name| listed.iter().any(|listed| listed == name)), "{listed:?}");
    for name in ["work/\0", "work/readme.md\0.png", "\0"] {
        assert!(matches!(place.read(name), Err(FilesError::Invalid { .. })));
    }
    for name in
        ["work/SECRET/key", "WORK/readme.md", "work/readme.md/", "work/readme.md/.", "work/readme.md/x"]
    {
        assert!(place.read(name).is_err(), "{name}");
    }
    let rules = place.rules();
    for path in ["", "work/readme.md", "~", "C:\\", "file:///etc/passwd"] {
        assert!(matches!(rules.open(path), Err(FilesError::Invalid { .. })), "{path}");
    }
}

#[test]
fn very_long_paths_are_refused_at_once() {
    let place = Place::new();
    let longs = [
        format!("work/{}", "x".repeat(300)),
        format!("work/{}", "x/".repeat(5_000)),
        format!("work/{}readme.md", "deep/../".repeat(5_000)),
        format!("work/{}", "../".repeat(1_300)),
        "/".repeat(100_000),
    ];
    for long in longs {
        assert!(place.read(&long).is_err());
    }
    assert!(place.read(&format!("work/{}readme.md", "deep/../".repeat(100))).is_ok());
}

#[test]
fn a_name_that_is_not_utf8_is_shown_and_not_opened() {
    let place = Place::new();
    fs::write(place.path("work/deep").join(OsStr::from_bytes(b"bad\xff")), SECRET).unwrap();
    let names = place.names("work/deep").unwrap();
    assert_eq!(names, ["er", "bad\u{fffd}"]);
    assert!(matches!(place.read("work/deep/bad\u{fffd}"), Err(FilesError::NotFound)));
}

#[test]
fn pipes_sockets_and_devices_are_never_opened() {
    let place = Place::new();
    let pipe = place.path("work/pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(place.path("work/socket")).unwrap();
    let mut special = vec!["work/pipe", "work/socket"];
    if nix::unistd::geteuid().is_root() {
        for (name, numbers) in [("work/zero", ["c", "1", "5"]), ("work/block", ["b", "7", "200"])] {
            let made = Command::new("mknod").arg(place.path(name)).args(numbers).status().unwrap();
            if made.success() {
                special.push(name);
            }
        }
    }
    for name in special {
        // A pipe that is opened for reading waits for a writer, and then this test would.
        assert!(matches!(place.read(name), Err(FilesError::NoFile(..))), "{name}");
        assert!(place.rules().stat(&place.text(name)).is_ok());
    }
}

#[test]
fn what_the_kernel_makes_up_is_not_read_even_where_all_is_allowed() {
    let place = Place::new();
    let everything = Policy { allowed_paths: Vec::new(), ..place.policy.clone() };
    let rules = place.files.reading(&everything).unwrap();
    let own = format!("/proc/{}/mem", std::process::id());
    for path in
        ["/proc/self/environ", "/proc/self/mem", &own, "/proc/kcore", "/sys/kernel/notes", "/dev/zero"]
    {
        assert!(rules.open(path).is_err(), "{path}");
    }
    // Links that the kernel follows by itself mean no more than their text.
    let through = format!("/proc/self/root{}", place.text("work/state/identity.json"));
    assert!(matches!(rules.open(&through), Err(FilesError::Own)));
}

/// Runs `attack` in a loop in another thread as long as `look` runs.
fn meanwhile(attack: impl Fn() + Send + Sync, look: impl FnOnce()) {
    struct Until<'a>(&'a AtomicBool);
    impl Drop for Until<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _until = Until(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                attack();
            }
        });
        look();
    });
}

fn swap(from: &Path, with: &Path) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, from, AT_FDCWD, with, RenameFlags::RENAME_EXCHANGE).unwrap();
}

#[test]
fn a_directory_swapped_for_a_link_in_the_middle_of_a_walk_gives_nothing_away() {
    let place = Place::new();
    place.write("work/x/key", "harmless");
    place.link(place.path("outside"), "work/y");
    let (x, y) = (place.path("work/x"), place.path("work/y"));
    let mut read = 0;
    meanwhile(
        || swap(&x, &y),
        || {
            for _ in 0..20_000 {
                match place.read("work/x/key") {
                    Ok(content) => {
                        assert_eq!(content, "harmless");
                        read += 1;
                    }
                    Err(FilesError::Outside | FilesError::NotFound) => {}
                    Err(error) => panic!("{error:?}"),
                }
                if let Ok(names) = place.names("work/x") {
                    assert_eq!(names, ["key"]);
                }
            }
        },
    );
    assert!(read > 0, "the harmless file was never seen");
}

#[test]
fn a_file_swapped_for_a_link_or_a_pipe_gives_nothing_away() {
    let place = Place::new();
    place.write("work/x", "harmless");
    for trap in ["work/link", "work/pipe"] {
        if trap == "work/link" {
            place.link(place.path("work/secret/key"), trap);
        } else {
            assert!(Command::new("mkfifo").arg(place.path(trap)).status().unwrap().success());
        }
        let (x, y) = (place.path("work/x"), place.path(trap));
        meanwhile(
            || swap(&x, &y),
            || {
                for _ in 0..20_000 {
                    if let Ok(content) = place.read("work/x") {
                        assert_eq!(content, "harmless");
                    }
                }
            },
        );
        if fs::symlink_metadata(&x).is_ok_and(|found| !found.is_file()) {
            swap(&x, &y);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_walk_ends_outside(
        steps in prop::collection::vec(prop::sample::select(vec![
            "..", ".", "", "work", "deep", "er", "secret", "state", "later", "outside", "x", "key", "out", "up",
            "abs", "work-evil", "readme.md", "etc", "passwd", "\u{0}", "proc", "self", "root",
        ]), 0..10),
        absolute: bool,
    ) {
        let place = Place::new();
        place.link("../outside", "work/out");
        place.link("..", "work/deep/up");
        place.link(&place.top, "work/abs");
        let tail = steps.join("/");
        let path = if absolute { format!("/{tail}") } else { place.text(&format!("work/{tail}")) };
        let rules = place.rules();
        if let Ok(entry) = rules.stat(&path) {
            let real = Path::new(&entry.path);
            prop_assert!(real.starts_with(place.path("work")), "{}", entry.path);
            prop_assert!(!real.starts_with(place.path("work/secret")), "{}", entry.path);
            prop_assert!(!real.starts_with(place.path("work/state")), "{}", entry.path);
            prop_assert_eq!(real.parent().unwrap().canonicalize().unwrap(), real.parent().unwrap());
        }
        if let Ok(opened) = rules.open(&path) {
            prop_assert!(opened.read_at(0, 100).unwrap() != SECRET.as_bytes());
        }
    }
}
