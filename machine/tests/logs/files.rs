//! What of a file is given, and which files are not.

use std::{fs, os::unix::fs::symlink, path::Path};

use foreman_machine::logs::{Item, LogStream, OpenError, Request};
use foreman_protocol::LogLevel;

use super::{Machine, following, next, texts};

#[tokio::test]
async fn the_last_lines_come_first_and_new_ones_follow() {
    let machine = Machine::new();
    let path = machine.path("app.log");
    fs::write(&path, (0..1000).map(|n| format!("line {n}\n")).collect::<String>()).unwrap();
    let request = Request { lines: 3, follow: false, ..following(&path) };
    assert_eq!(texts(machine.open(request).await.unwrap()).await, ["line 997", "line 998", "line 999"]);

    let mut stream = machine.open(Request { lines: 0, ..following(&path) }).await.unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"half").unwrap();
    std::io::Write::write_all(&mut file, b" a line \xff\r\n").unwrap();
    let Item::Line { line, .. } = next(&mut stream).await else { panic!("no line") };
    assert_eq!(line.text, "half a line \u{fffd}");
}

#[tokio::test]
async fn a_large_file_is_read_from_its_end() {
    use std::os::unix::fs::FileExt as _;
    let machine = Machine::new();
    let path = machine.path("large.log");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 30).unwrap();
    let end: String = (0..400).map(|n| format!("\nline {n}")).collect();
    file.write_all_at(format!("{end}\n").as_bytes(), 1 << 30).unwrap();
    let stream = machine.open(Request { lines: 200, follow: false, ..following(&path) }).await.unwrap();
    let texts = texts(stream).await;
    assert_eq!((texts.len(), texts[0].as_str()), (200, "line 200"));
}

#[tokio::test]
async fn filters_count_what_they_let_through() {
    let machine = Machine::new();
    let path = machine.path("app.log");
    let line = |n: usize| {
        if n.is_multiple_of(100) { format!("ERROR bad {n}\n") } else { format!("INFO good {n}\n") }
    };
    fs::write(&path, (0..5000).map(line).collect::<String>()).unwrap();
    let bad = Request { lines: 2, follow: false, level: Some(LogLevel::Warn), ..following(&path) };
    assert_eq!(texts(machine.open(bad).await.unwrap()).await, ["ERROR bad 4800", "ERROR bad 4900"]);
    let grep =
        |grep: &str| Request { lines: 2, follow: false, grep: Some(grep.to_owned()), ..following(&path) };
    assert_eq!(
        texts(machine.open(grep("error bad 1\\d")).await.unwrap()).await,
        ["ERROR bad 1800", "ERROR bad 1900"]
    );
    assert_eq!(texts(machine.open(grep("Error")).await.unwrap()).await.len(), 0);
    assert!(matches!(machine.open(grep("(")).await, Err(OpenError::Invalid { field: "grep", .. })));
}

fn refusal(opened: Result<LogStream, OpenError>) -> OpenError {
    opened.expect_err("it was opened")
}

#[tokio::test]
async fn no_link_leads_out_of_the_allowed_directories() {
    let machine = Machine::with_policy(
        "ALLOW_LOGS=true\nALLOW_FILE_READ=true\nALLOWED_PATHS=@/in,@/agent\nBLOCKED_PATHS=@/in/secret\n",
    );
    for folder in ["in/secret", "out"] {
        fs::create_dir_all(machine.path(folder)).unwrap();
    }
    for file in ["in/app.log", "in/secret/a.log", "out/b.log", "agent/identity.json"] {
        fs::write(machine.path(file), "line\n").unwrap();
    }
    symlink(machine.path("out/b.log"), machine.path("in/link.log")).unwrap();
    symlink(machine.path("out"), machine.path("in/folder")).unwrap();
    symlink(machine.path("in/app.log"), machine.path("out/back.log")).unwrap();
    symlink("app.log", machine.path("in/good.log")).unwrap();
    for name in [
        "in/secret/a.log",
        "out/b.log",
        "in/link.log",
        "in/folder/b.log",
        "in/../out/b.log",
        // As with files: what is outside is not looked at, wherever it leads.
        "out/back.log",
        "out/none.log",
        "agent/identity.json",
    ] {
        let refusal = refusal(machine.open(following(&machine.path(name))).await);
        assert!(matches!(refusal, OpenError::Refused { .. }), "{name}: {refusal}");
    }
    for name in ["in/app.log", "in/good.log"] {
        assert!(machine.open(following(&machine.path(name))).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_by_a_link_out_is_not_followed() {
    let machine = Machine::with_policy("ALLOW_LOGS=true\nALLOW_FILE_READ=true\nALLOWED_PATHS=@/in\n");
    for folder in ["in", "out"] {
        fs::create_dir(machine.path(folder)).unwrap();
    }
    let path = machine.path("in/app.log");
    fs::write(&path, "line\n").unwrap();
    fs::write(machine.path("out/secret"), "secret\n").unwrap();
    let mut stream = machine.open(following(&path)).await.unwrap();
    assert!(matches!(next(&mut stream).await, Item::Line { .. }));
    symlink(machine.path("out/secret"), machine.path("in/new")).unwrap();
    fs::rename(machine.path("in/new"), &path).unwrap();
    let Item::End(Some(reason)) = next(&mut stream).await else { panic!("it went on") };
    assert!(reason.text.contains("ALLOWED_PATHS"), "{reason}");
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let machine = Machine::new();
    let pipe = machine.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for name in [pipe.as_path(), Path::new("/dev/zero"), machine.folder.path()] {
        let refusal = refusal(machine.open(following(name)).await);
        assert!(matches!(refusal, OpenError::Invalid { field: "source", .. }), "{refusal}");
    }
    let missing = refusal(machine.open(following(&machine.path("missing"))).await);
    assert!(matches!(missing, OpenError::NotFound(_)), "{missing}");
    for source in ["file:relative.log", "nothing", ""] {
        let request = Request { source: source.to_owned(), ..Request::default() };
        assert!(matches!(refusal(machine.open(request).await), OpenError::Invalid { field: "source", .. }));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_kernel_makes_up_is_no_log_even_where_all_is_allowed() {
    let machine = Machine::new();
    let own = format!("/proc/{}", std::process::id());
    let environ = format!("{own}/environ");
    let in_a_task = format!("{own}/task/{}/environ", std::process::id());
    for path in
        [&environ, &in_a_task, "/proc/self/environ", "/proc/self/maps", "/proc/version", "/sys/kernel/notes"]
    {
        let refusal = refusal(machine.open(following(path.as_ref())).await);
        assert!(matches!(refusal, OpenError::Invalid { field: "source", .. }), "{path}: {refusal}");
    }
    symlink(&environ, machine.path("app.log")).unwrap();
    assert!(machine.open(following(&machine.path("app.log"))).await.is_err());
    // Links that the kernel follows by itself mean no more than their text.
    fs::write(machine.path("agent/identity.json"), "key\n").unwrap();
    let through = format!("/proc/self/root{}", machine.path("agent/identity.json").display());
    assert!(machine.open(following(through.as_ref())).await.is_err());
}

#[tokio::test]
async fn the_right_to_read_logs_alone_is_one_to_those_of_the_system() {
    let machine = Machine::with_policy("ALLOW_LOGS=true\nBLOCKED_PATHS=@/system/secret\n");
    for folder in ["system/secret", "home"] {
        fs::create_dir_all(machine.path(folder)).unwrap();
    }
    for file in ["system/app.log", "system/secret/a.log", "home/key", "system-else"] {
        fs::write(machine.path(file), "line\n").unwrap();
    }
    symlink(machine.path("home/key"), machine.path("system/link.log")).unwrap();
    symlink("app.log", machine.path("system/good.log")).unwrap();
    for name in ["system/app.log", "system/good.log", "system/../system/app.log"] {
        let opened = machine.open(following(&machine.path(name))).await;
        assert!(opened.is_ok(), "{name}: {:?}", opened.err());
    }
    for name in ["home/key", "home/none", "system/link.log", "system/../home/key", "system-else"] {
        let refusal = refusal(machine.open(following(&machine.path(name))).await);
        let OpenError::Refused { setting: "ALLOW_FILE_READ", message } = refusal else {
            panic!("{name}: {refusal}")
        };
        assert!(message.contains("ALLOW_FILE_READ") && message.contains("policy.env"), "{message}");
    }
    let blocked = refusal(machine.open(following(&machine.path("system/secret/a.log"))).await);
    assert!(matches!(blocked, OpenError::Refused { setting: "BLOCKED_PATHS", .. }), "{blocked}");
    let files: Vec<_> = machine.logs.sources().await.sources.into_iter().map(|source| source.id).collect();
    let readable = |name: &str| format!("file:{}", machine.path(name).display());
    assert_eq!(
        files.iter().filter(|id| id.starts_with("file:")).collect::<Vec<_>>(),
        [&readable("system/app.log"), &readable("system/good.log")]
    );

    // Where the system's place is not among the allowed ones it is no way around them.
    let machine = Machine::with_policy("ALLOW_LOGS=true\nALLOWED_PATHS=@/home\n");
    fs::create_dir(machine.path("system")).unwrap();
    fs::write(machine.path("system/app.log"), "line\n").unwrap();
    let outside = refusal(machine.open(following(&machine.path("system/app.log"))).await);
    assert!(matches!(outside, OpenError::Refused { setting: "ALLOWED_PATHS", .. }), "{outside}");
}

#[tokio::test]
async fn the_right_to_read_files_is_asked_for_as_long_as_one_is_read() {
    let machine = Machine::new();
    fs::create_dir(machine.path("system")).unwrap();
    let (file, log) = (machine.path("file"), machine.path("system/app.log"));
    for path in [&file, &log] {
        fs::write(path, "line\n").unwrap();
    }
    let still = async |path: &Path| machine.logs.still_allowed(&following(path).source).await;
    assert_eq!((still(&file).await, still(&log).await), (Ok(()), Ok(())));
    fs::write(&machine.logs.policy, "ALLOW_LOGS=true\n").unwrap();
    assert!(matches!(still(&file).await, Err(OpenError::Refused { setting: "ALLOW_FILE_READ", .. })));
    assert_eq!(still(&log).await, Ok(()));
}

#[tokio::test]
async fn what_is_blocked_is_so_under_its_other_names() {
    for policy in ["ALLOW_LOGS=true\n", "ALLOW_LOGS=true\nALLOW_FILE_READ=true\n"] {
        let machine = Machine::with_policy(&format!("{policy}BLOCKED_PATHS=@/key\n"));
        fs::create_dir(machine.path("system")).unwrap();
        for (own, name) in [("key", "system/key.log"), ("agent/identity.json", "system/own.log")] {
            fs::write(machine.path(own), "secret\n").unwrap();
            fs::hard_link(machine.path(own), machine.path(name)).unwrap();
            let refusal = refusal(machine.open(following(&machine.path(name))).await);
            assert!(
                matches!(refusal, OpenError::Refused { setting: "BLOCKED_PATHS", .. }),
                "{name}: {refusal}"
            );
        }
    }
}

#[tokio::test]
async fn without_the_permission_no_file_is_opened() {
    let machine = Machine::with_policy("ALLOW_FILE_READ=true\n");
    fs::write(machine.path("app.log"), "line\n").unwrap();
    let refusal = refusal(machine.open(following(&machine.path("app.log"))).await);
    assert!(matches!(refusal, OpenError::Refused { setting: "ALLOW_LOGS", .. }), "{refusal}");
}
