//! `foreman shell` in a terminal of its own, as a person has it.

use std::io::{Read, Write};

use journeys::{eventually, soon};
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use serde_json::Value;
use tokio::sync::watch;

use super::Scene;

/// A window with `foreman` in it.
struct Window {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    program: Box<dyn Child + Send + Sync>,
    shown: watch::Receiver<String>,
}

const fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

impl Window {
    fn open(scene: &Scene, args: &[&str], (cols, rows): (u16, u16)) -> Self {
        let pair = native_pty_system().openpty(size(cols, rows)).expect("a terminal");
        let foreman = scene.foreman(args);
        let foreman = foreman.as_std();
        let mut command = CommandBuilder::new(foreman.get_program());
        command.args(foreman.get_args());
        for (name, value) in foreman.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            }
        }
        let program = pair.slave.spawn_command(command).expect("foreman runs");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let (show, shown) = watch::channel(String::new());
        // It ends with the program, or with the window.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                show.send_modify(|shown| *shown += &String::from_utf8_lossy(&piece[..length]));
            }
        });
        Self { master: pair.master, keys, program, shown }
    }

    fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it listens");
    }

    async fn shows(&mut self, what: &str) {
        let shown = self.shown.clone();
        let shows = soon(what, self.shown.wait_for(|shown| shown.contains(what))).await;
        assert!(shows.is_ok(), "ended without {what}: {}", shown.borrow().as_str());
    }

    /// How its program ended, once it has.
    async fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.shown.borrow().as_str());
        eventually(&what, || {
            let ended = self.program.try_wait().expect("it is ours");
            async { ended }
        })
        .await
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Says how large it is, then what is typed and how large it is then.
const PROGRAM: [&str; 6] =
    ["shell", "journey", "--", "sh", "-c", "stty size; while read a; do echo \"got $a\"; stty size; done"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_follows_its_window_is_left_watched_gone_back_to_and_ended() {
    let scene = Scene::new().await;
    let mut first = Window::open(&scene, &PROGRAM, (90, 20));
    first.shows("20 90\r\n").await;
    first.master.resize(size(100, 30)).expect("resized");
    // The size and what is typed go ways of their own.
    while !first.shown.borrow().contains("30 100\r\n") {
        let before = first.shown.borrow().matches("got more").count();
        first.type_in("more\r");
        soon("an answer", first.shown.wait_for(|shown| shown.matches("got more").count() > before))
            .await
            .expect("it runs");
    }

    let list = async || scene.json(&["shell", "journey", "--list", "--json"]).await;
    let running = list().await;
    let id = running[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!((running.as_array().map(Vec::len), &running[0]["viewers"]), (Some(1), &Value::from(1)));
    let listed = scene.says(&["shell", "journey", "--list"]).await;
    assert!(listed.contains(&id) && listed.contains("runs"), "{listed}");

    // Who only watches sees what was before, and is not heard.
    let mut watching = Window::open(&scene, &["shell", "journey", "--attach", &id, "--view"], (90, 20));
    watching.shows("got more").await;
    watching.type_in("intruder\r");
    first.type_in("first\r");
    first.shows("got first").await;
    watching.shows("got first").await;
    assert!(!first.shown.borrow().contains("intruder"));
    watching.type_in("\r~.");
    assert!(watching.ended().await.success());

    first.type_in("~.");
    first.shows(&format!("--attach {id}` goes back")).await;
    assert!(first.ended().await.success());
    eventually("it runs on without anybody", || async {
        let running = list().await;
        (running[0]["viewers"] == 0 && running[0]["ended"].is_null()).then_some(())
    })
    .await;

    let mut back = Window::open(&scene, &["shell", "journey", "--attach", &id], (90, 20));
    back.shows("got first").await;
    back.type_in("again\r");
    back.shows("got again").await;
    scene.says(&["shell", "journey", "--end", &id]).await;
    assert!(!back.ended().await.success());
    let ended = list().await;
    assert!(ended.as_array().is_none_or(|all| all.iter().all(|one| !one["ended"].is_null())), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_a_window_has_its_levels_in_colours() {
    let scene = Scene::new().await;
    let (log, _) = scene.place("levels.log");
    std::fs::write(&log, "DEBUG tick\nINFO ready\nWARN warm\nERROR stuck\n").expect("written");
    let mut window = Window::open(&scene, &["logs", "journey", &format!("file:{}", log.display())], (90, 20));
    for coloured in [
        "\x1b[2mDEBUG tick\x1b[0m",
        "\r\nINFO ready\r\n",
        "\x1b[33mWARN warm\x1b[0m",
        "\x1b[31mERROR stuck\x1b[0m",
    ] {
        window.shows(coloured).await;
    }
    assert!(window.ended().await.success());
}
