//! The device link through the real server and the real agent: every path, paths that die, a server that is down.

mod fallback;
mod over_tls;
mod overheard;
mod shrinking;
mod taking_back;
mod tasks;

use std::time::Duration;

use foreman_client::{
    DeviceConnection, DeviceOptions, PathKind, Store,
    device::{AttachOptions, AttachedTerminal, LogFilter, LogUpdate, Pace, TerminalUpdate, Transfer},
};
use foreman_protocol::{Level, OpenTerminal, ProblemCode};
use futures_util::StreamExt;
use journeys::{
    database::Database,
    numbered::lines,
    soon,
    stack::{Agent, Folder, Server, Setting},
    wire::Wire,
};

/// A server, an agent that trusts an owner, and what the owner's client keeps.
struct Scene {
    store: Store,
    foreman: foreman_client::Foreman,
    agent: Agent,
    server: Server,
    folder: Folder,
}

impl Scene {
    async fn new(database: Database) -> Self {
        let folder = Folder::new();
        let store = Store::at(folder.join("config"), folder.join("data"));
        let server = Server::start(folder.join("server"), Setting::on(database)).await;
        let (foreman, _) = server.client("owner").await;
        let owner = store.owner_key().expect("a key").public();
        let env = [("FOREMAN_OWNER", owner), ("FOREMAN_LINK_LISTEN", "127.0.0.1:0".to_owned())];
        let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &env).await;
        std::fs::write(agent.state.join("policy.env"), POLICY).expect("the policy is written");
        let scene = Self { store, foreman, agent, server, folder };
        scene.facts().await;
        scene
    }

    /// Waits until the device has told how it is reached.
    async fn facts(&self) -> Vec<String> {
        journeys::eventually("the device tells its addresses", || async {
            let device = self.foreman.device(self.agent.device).await.expect("it is there");
            device.link.map(|link| link.addresses).filter(|addresses| !addresses.is_empty())
        })
        .await
    }

    /// The same after another start, once they are others than before.
    async fn facts_again(&self, before: &[String]) -> Vec<String> {
        journeys::eventually("the device tells its new addresses", || async {
            let device = self.foreman.device(self.agent.device).await.expect("it is there");
            let addresses = device.link.map(|link| link.addresses)?;
            (!addresses.is_empty() && addresses != before).then_some(addresses)
        })
        .await
    }

    async fn open(&self, options: DeviceOptions) -> DeviceConnection {
        let opened =
            DeviceConnection::open(&self.store, Some(&self.foreman), self.agent.device, options).await;
        opened.expect("the device is known")
    }

    /// The device with a wire in front of its address that can be cut, and the relay beside it.
    async fn over_a_wire(&self) -> (DeviceConnection, Wire) {
        let met = self.open(only(PathKind::Lan)).await;
        let mut known = met.known();
        let wire = Wire::to(&known.addresses[0]).await;
        known.addresses = vec![wire.url().trim_start_matches("http://").to_owned()];
        let key = self.store.client_key().expect("a key");
        let device = DeviceConnection::new(known, key, None, Some(self.foreman.clone()), quick());
        (device.expect("a connection"), wire)
    }
}

const POLICY: &str = "ALLOW_BASH=true\nALLOW_FILE_READ=true\nALLOW_FILE_WRITE=true\nALLOW_LOGS=true\n";

fn quick() -> DeviceOptions {
    // Asked often, so that a silent path is noticed soon; but a busy machine is not a silent one.
    let pace = Pace { ping: Duration::from_millis(500), patience: Duration::from_secs(8), ..Pace::default() };
    DeviceOptions { mdns: false, pace, ..DeviceOptions::default() }
}

fn only(kind: PathKind) -> DeviceOptions {
    DeviceOptions { only: Some(vec![kind]), ..quick() }
}

async fn reached(device: &DeviceConnection, kind: PathKind) {
    let mut states = device.watch();
    let reached = states.wait_for(|state| state.kind == Some(kind));
    soon(&format!("{kind:?}"), reached).await.expect("it is watched");
}

async fn each_path_leads_to_the_same_device(database: Database) {
    let scene = Scene::new(database).await;
    for kind in [PathKind::Lan, PathKind::Relay] {
        let device = scene.open(only(kind)).await;
        reached(&device, kind).await;
        let hello = device.hello().await.expect("it answers");
        assert_eq!((hello.device_id, hello.level), (scene.agent.device, Level::Admin), "{kind:?}");
    }
    // A stranger's keys: only the server may speak, with the right that the device gave it.
    let stranger = Store::at(scene.folder.join("stranger"), scene.folder.join("stranger-data"));
    let device = DeviceConnection::open(&stranger, Some(&scene.foreman), scene.agent.device, quick())
        .await
        .expect("known");
    let hello = device.hello().await.expect("the server speaks");
    assert_eq!((device.path().kind, hello.level), (Some(PathKind::Server), Level::Operate));
    let alone = DeviceOptions { through_server: false, ..quick() };
    let device = DeviceConnection::open(&stranger, Some(&scene.foreman), scene.agent.device, alone)
        .await
        .expect("known");
    let refused = device.hello().await.expect_err("it is a stranger");
    assert_eq!(refused.code(), Some(ProblemCode::GrantNotEnough), "{refused}");
}

/// What a viewer heard, each byte once.
#[derive(Default)]
struct Heard {
    output: Vec<u8>,
    paths: Vec<PathKind>,
}

impl Heard {
    /// Until this much was heard, or the end.
    async fn until(
        &mut self,
        terminal: &mut AttachedTerminal,
        enough: impl Fn(&Self) -> bool,
    ) -> Option<i32> {
        while !enough(self) {
            match soon("something of the terminal", terminal.next()).await.expect("it says how it ends") {
                TerminalUpdate::Output { offset, data } => {
                    assert_eq!(offset, self.output.len() as u64, "a hole or a repetition");
                    self.output.extend_from_slice(&data);
                }
                TerminalUpdate::Attached(kind) => self.paths.push(kind),
                TerminalUpdate::Lost(_) | TerminalUpdate::State(_) => {}
                TerminalUpdate::Ended(ended) => return ended.exit_code,
                other => panic!("{other:?}"),
            }
        }
        None
    }
}

async fn a_terminal_loses_nothing_when_its_path_goes_silent(database: Database) {
    let scene = Scene::new(database).await;
    let (device, wire) = scene.over_a_wire().await;
    reached(&device, PathKind::Lan).await;
    let script = "stty -echo; read go; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; \
                  read word; echo said $word; exit 7";
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let open = OpenTerminal { command, cols: 80, rows: 24, ..OpenTerminal::default() };
    let terminal = device.open_terminal(&open).await.expect("it opens");
    let options = AttachOptions { from: 0, write: true, size: Some((100, 40)) };
    let mut viewer = device.attach(terminal.id, options);
    let mut heard = Heard::default();
    heard.until(&mut viewer, |heard| !heard.paths.is_empty()).await;
    viewer.input().write("go\n").await;
    heard.until(&mut viewer, |heard| heard.output.len() > 200).await;
    wire.mute();
    // Typed into the dead path: it has to arrive over the next one, once.
    viewer.input().write("onceonly\n").await;
    let code = heard.until(&mut viewer, |_| false).await;
    let text = String::from_utf8(heard.output).expect("text").replace("\r\n", "\n");
    assert_eq!(text.trim_start_matches("go\n"), lines(400) + "said onceonly\n");
    assert_eq!((code, heard.paths), (Some(7), vec![PathKind::Lan, PathKind::Relay]));
}

async fn files_go_both_ways_over_a_path_that_is_cut(database: Database) {
    let scene = Scene::new(database).await;
    let (device, wire) = scene.over_a_wire().await;
    reached(&device, PathKind::Lan).await;
    let bytes: Vec<u8> = (0..3_000_000u64).flat_map(u64::to_be_bytes).collect();
    let path = scene.folder.join("there.bin");
    let there = path.to_str().expect("text");

    let upload = device.start_upload(there, bytes.len() as u64, false).await.expect("it begins");
    // Cut between two pieces or in one, as it comes: both have to go on.
    let tell = |_: Transfer<'_>| wire.cut();
    let mut source = std::io::Cursor::new(bytes.clone());
    let done = soon("the upload", device.send_upload(upload, &mut source, tell)).await.expect("it arrives");
    assert_eq!((done.done, device.path().kind), (true, Some(PathKind::Relay)));
    assert!(std::fs::read(&path).expect("it is there") == bytes, "other bytes arrived");

    wire.mend();
    device.network_changed();
    reached(&device, PathKind::Lan).await;
    let (mut got, mut lost) = (Vec::new(), false);
    let tell = |step: Transfer<'_>| match step {
        Transfer::At(at) if at > 2_000_000 => wire.cut(),
        Transfer::At(_) => {}
        Transfer::Lost(_) => lost = true,
    };
    soon("the download", device.download(there, 0, None, &mut got, tell)).await.expect("it arrives");
    assert!(lost, "the path was cut on the way");
    assert!(got == bytes, "other bytes came");
}

async fn a_followed_log_goes_on_over_another_path(database: Database) {
    use std::io::Write;
    let scene = Scene::new(database).await;
    let (device, wire) = scene.over_a_wire().await;
    reached(&device, PathKind::Lan).await;
    let path = scene.folder.join("app.log");
    std::fs::write(&path, "first\n").expect("written");
    let append = |line: &str| {
        let mut file = std::fs::File::options().append(true).open(&path).expect("it is there");
        writeln!(file, "{line}").expect("written");
    };
    let filter = LogFilter { follow: true, lines: Some(10), ..LogFilter::default() };
    let mut log = device.logs(&format!("file:{}", path.display()), &filter);
    let (mut heard, mut lost) = (Vec::new(), false);
    for (said, is_cut) in [("first", false), ("second", false), ("third", true), ("fourth", false)] {
        match said {
            "first" => {}
            said => append(said),
        }
        if is_cut {
            wire.cut();
        }
        let next = async {
            loop {
                match log.next().await.expect("it goes on") {
                    LogUpdate::Line(line) => return line.text,
                    LogUpdate::Lost(_) => lost = true,
                    other => panic!("{other:?}"),
                }
            }
        };
        heard.push(soon(said, next).await);
    }
    assert_eq!(heard, ["first", "second", "third", "fourth"], "each once and in order");
    assert!(lost && device.path().kind == Some(PathKind::Relay), "{:?}", device.path());
}

async fn a_device_is_reached_with_its_server_down(database: Database) {
    let mut scene = Scene::new(database).await;
    let met = scene.open(only(PathKind::Lan)).await;
    met.hello().await.expect("it answers");
    drop(met);
    scene.server.program.kill().await;
    let device = scene.open(quick()).await;
    reached(&device, PathKind::Lan).await;
    assert_eq!(device.hello().await.expect("it answers").level, Level::Admin);
    let roots = device.file_roots().await.expect("files too");
    assert!(roots.may_write);
}

async fn what_is_taken_back_is_refused_at_once(database: Database) {
    use foreman_link::grant::{read_grant, sign_revocation};
    use foreman_protocol::{Revocation, Revoked};
    let scene = Scene::new(database).await;
    let device = scene.open(only(PathKind::Lan)).await;
    device.hello().await.expect("it answers");
    let known = device.known();
    let grant = read_grant(known.grant.as_deref().expect("it has one")).expect("a grant");
    let issuer = scene.store.owner_key().expect("a key");
    let revocation = Revocation {
        device: known.identity.clone(),
        revokes: Revoked::Grant(grant.id),
        at: grant.issued_at,
        issuer: issuer.public(),
    };
    let signed = sign_revocation(&revocation, &issuer);
    scene.foreman.revoke_grant(known.id, &signed).await.expect("the server carries it");
    let key = scene.store.client_key().expect("a key");
    journeys::eventually("the grant counts no more", || async {
        let options = DeviceOptions { through_server: false, ..only(PathKind::Lan) };
        let again =
            DeviceConnection::new(known.clone(), key.clone(), None, None, options).expect("a connection");
        again.hello().await.err().filter(|error| error.code() == Some(ProblemCode::GrantNotEnough))
    })
    .await;
}

crate::on_both_databases!(
    each_path_leads_to_the_same_device,
    a_terminal_loses_nothing_when_its_path_goes_silent,
    files_go_both_ways_over_a_path_that_is_cut,
    a_followed_log_goes_on_over_another_path,
    a_device_is_reached_with_its_server_down,
    what_is_taken_back_is_refused_at_once,
);
