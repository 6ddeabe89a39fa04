//! A terminal loses no byte and types none twice, whatever becomes of its paths.

use std::{sync::atomic::Ordering, time::Duration};

use foreman_client::{
    PathKind,
    device::{AttachOptions, AttachedTerminal, TerminalUpdate},
};
use foreman_protocol::TerminalId;

use crate::scene::Scene;

const BOTH: AttachOptions = AttachOptions { from: 0, write: true, size: Some((100, 30)) };

/// What a viewer heard.
#[derive(Default)]
struct Heard {
    output: Vec<u8>,
    paths: Vec<PathKind>,
    losses: Vec<String>,
}

impl Heard {
    async fn until(&mut self, terminal: &mut AttachedTerminal, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let next = tokio::time::timeout(Duration::from_secs(60), terminal.next());
            match next.await.expect("it goes on").expect("it is not over") {
                TerminalUpdate::Attached(kind) => self.paths.push(kind),
                TerminalUpdate::Output { offset, data } => {
                    assert_eq!(offset, self.output.len() as u64, "a hole or a repetition");
                    self.output.extend_from_slice(&data);
                }
                TerminalUpdate::Lost(why) => self.losses.push(why),
                TerminalUpdate::State(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn lines(count: u32) -> String {
    (1..=count).map(|number| format!("line {number}\r\n")).collect()
}

#[tokio::test]
async fn output_goes_on_at_its_byte_and_typing_at_its_own() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let device = scene.connect(scene.known(), Some(&server));
    let mut terminal = device.attach(TerminalId::fresh(), BOTH);
    let mut heard = Heard::default();
    let expected = lines(5_000);

    // Half of it is printed and typed while the first path lives, all of it in the end.
    let (first, rest) = expected.split_at(expected.len() / 2);
    let input = terminal.input();
    scene.api.print(first);
    let typing = tokio::spawn(async move {
        for number in 1..=500 {
            assert!(input.write(format!("key {number}\n")).await);
            tokio::task::yield_now().await;
        }
        input.resize(120, 40).await;
        input
    });
    heard.until(&mut terminal, |heard| heard.output.len() > first.len() / 2).await;
    lan.cut().await;
    scene.api.print(rest);
    heard.until(&mut terminal, |heard| heard.output.len() >= expected.len()).await;
    assert_eq!(String::from_utf8(heard.output.clone()).unwrap(), expected);
    assert_eq!(heard.paths, [PathKind::Lan, PathKind::Relay]);
    assert_eq!(heard.losses.len(), 1, "{:?}", heard.losses);

    let input = typing.await.unwrap();
    input.write("last\n").await;
    scene.api.print("!");
    heard.until(&mut terminal, |heard| heard.output.ends_with(b"!")).await;
    let expected: String = (1..=500).map(|number| format!("key {number}\n")).collect::<String>() + "last\n";
    scene.api.until_typed(&expected).await;
    let sizes = scene.api.sizes.lock().unwrap().clone();
    assert_eq!((sizes.first(), sizes.last()), (Some(&(100, 30)), Some(&(120, 40))));
}

#[tokio::test]
async fn a_better_path_is_taken_without_a_loss() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let (known, address) = (scene.known(), lan.address.clone());
    lan.cut().await;
    let device = scene.connect(known, Some(&server));
    let mut terminal = device.attach(TerminalId::fresh(), BOTH);
    let mut heard = Heard::default();
    scene.api.print("one ");
    heard.until(&mut terminal, |heard| heard.output == b"one ").await;
    let _lan = scene.lan_at(&address).await;
    heard.until(&mut terminal, |heard| heard.paths.len() == 2).await;
    scene.api.print("two");
    heard.until(&mut terminal, |heard| heard.output == b"one two").await;
    assert_eq!(heard.paths, [PathKind::Relay, PathKind::Lan]);
    assert!(heard.losses.is_empty(), "{:?}", heard.losses);
}

#[tokio::test]
async fn a_program_that_ends_before_it_was_typed_to_is_seen_to_its_end() {
    let scene = Scene::new();
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let device = scene.connect(scene.known(), None);
    let expected = lines(50);
    scene.api.print(&expected);
    scene.api.ended.store(true, Ordering::Relaxed);
    let mut terminal = device.attach(TerminalId::fresh(), BOTH);
    let input = terminal.input();
    let mut output = Vec::new();
    let all = async {
        loop {
            match terminal.next().await.expect("it is not over") {
                TerminalUpdate::Output { data, .. } => {
                    output.extend_from_slice(&data);
                    if output.len() < 100 {
                        // Nobody takes it.
                        input.write("x").await;
                    }
                }
                TerminalUpdate::Ended(ended) => break ended,
                TerminalUpdate::Attached(_) | TerminalUpdate::State(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), all).await.expect("it ends");
    assert_eq!((ended.exit_code, output), (Some(0), expected.into_bytes()));
}

#[tokio::test]
async fn a_path_that_falls_silent_under_a_key_is_left() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    let (front, silence) = lan.behind_one_that_falls_silent().await;
    scene.tell_addresses(&[&front]);
    let device = scene.connect(scene.known(), Some(&server));
    let mut terminal = device.attach(TerminalId::fresh(), BOTH);
    let mut heard = Heard::default();
    let input = terminal.input();
    // Accepted; the alarm that was set for it rings, and is not taken for the next one's.
    assert!(input.write("one ").await);
    scene.api.until_typed("one ").await;
    scene.api.print("one ");
    heard.until(&mut terminal, |heard| heard.output == b"one ").await;
    silence.send_replace(true);
    assert!(input.write("two").await);
    heard.until(&mut terminal, |heard| heard.paths.len() == 2).await;
    assert_eq!(heard.paths, [PathKind::Lan, PathKind::Relay]);
    assert_eq!(
        heard.losses[0], "nothing came back for 2000 ms",
        "it is noticed by the key, long before a silence is"
    );
    scene.api.until_typed("one two").await;
}

#[tokio::test]
async fn the_server_carries_it_for_a_client_without_a_right() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let mut known = scene.known();
    known.grant = None;
    let device = scene.connect(known, Some(&server));
    let mut terminal = device.attach(TerminalId::fresh(), BOTH);
    let mut heard = Heard::default();
    let expected = lines(3_000);
    scene.api.print(&expected);
    terminal.input().write("typed").await;
    heard.until(&mut terminal, |heard| heard.output.len() >= expected.len()).await;
    assert_eq!(String::from_utf8(heard.output).unwrap(), expected);
    assert_eq!(heard.paths, [PathKind::Server]);
}
