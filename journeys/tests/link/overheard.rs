//! Somebody who reads all that passes the relay, on both of its sides. The server speaks plain HTTP here, so what is not
//! sealed between client and device can be read as it is: what a server sends is not even masked.

use foreman_client::{
    DeviceConnection, Foreman, PathKind, Store,
    device::{AttachOptions, Transfer},
};
use foreman_protocol::OpenTerminal;
use journeys::{
    database::Database,
    soon,
    stack::{Agent, Folder, Server, Setting},
    tap::Tap,
};

use super::{Heard, POLICY, only, quick, reached};

/// What is typed and said, and a file's name and content, all with this word in them.
fn secrets(word: &str) -> [String; 3] {
    ["typed", "name", "content"].map(|what| format!("{what}-{word}-b7f2"))
}

/// Types a line, reads the answer, sends a file and fetches it again.
async fn used(device: &DeviceConnection, folder: &Folder, word: &str) {
    let [typed, name, content] = secrets(word);
    let command = ["sh", "-c", "stty -echo; read word; echo said $word"].map(str::to_owned).to_vec();
    let open = OpenTerminal { command, cols: 80, rows: 24, ..OpenTerminal::default() };
    let terminal = device.open_terminal(&open).await.expect("it opens");
    let mut viewer = device.attach(terminal.id, AttachOptions { from: 0, write: true, size: None });
    let mut heard = Heard::default();
    heard.until(&mut viewer, |heard| !heard.paths.is_empty()).await;
    viewer.input().write(format!("{typed}\n")).await;
    heard.until(&mut viewer, |_| false).await;
    let said = String::from_utf8(heard.output).expect("text");
    assert!(said.contains(&format!("said {typed}")), "{said}");

    // Not under the secret name: which files were changed, the device tells the server for its log.
    let sent = folder.join(&format!("{word}.txt"));
    let there = sent.to_str().expect("text");
    let upload = device.start_upload(there, content.len() as u64, false).await.expect("it begins");
    let mut source = std::io::Cursor::new(content.clone().into_bytes());
    let tell = |_: Transfer<'_>| {};
    soon("the upload", device.send_upload(upload, &mut source, tell)).await.expect("it arrives");
    let path = folder.join(&name);
    std::fs::rename(&sent, &path).expect("it is there");
    let there = path.to_str().expect("text");
    let mut got = Vec::new();
    soon("the download", device.download(there, 0, None, &mut got, tell)).await.expect("it arrives");
    assert_eq!(got, content.as_bytes());
}

async fn who_reads_what_passes_the_relay_learns_nothing(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (_, secret) = server.client("owner").await;
    let (near, far) = (Tap::to(&server.url).await, Tap::to(&server.url).await);
    let foreman = Foreman::new(&near.url(), &secret).expect("an address");
    let store = Store::at(folder.join("config"), folder.join("data"));
    let owner = store.owner_key().expect("a key").public();
    let env = [("FOREMAN_OWNER", owner), ("FOREMAN_LINK_LISTEN", "none".to_owned())];
    let agent = Agent::join(&foreman, &far.url(), folder.join("agent"), &env).await;
    std::fs::write(agent.state.join("policy.env"), POLICY).expect("the policy is written");
    journeys::eventually("the device tells its link", || async {
        foreman.device(agent.device).await.expect("it is there").link
    })
    .await;

    let device = DeviceConnection::open(&store, Some(&foreman), agent.device, only(PathKind::Relay)).await;
    let device = device.expect("the device is known");
    reached(&device, PathKind::Relay).await;
    let (before_near, before_far) = (near.bytes(), far.bytes());
    used(&device, &folder, "sealed").await;
    assert!(near.bytes() > before_near + 500 && far.bytes() > before_far + 500, "it passed here");
    assert!(near.heard("/relay") && far.heard("/relay/accept"), "by the relay");
    for secret in secrets("sealed") {
        assert!(!near.heard(&secret), "{secret} between client and relay");
        assert!(!far.heard(&secret), "{secret} between relay and device");
    }

    // The same through the server, which may read it: the taps are no deaf ones, and the device's side stays sealed.
    let stranger = Store::at(folder.join("stranger"), folder.join("stranger-data"));
    let device = DeviceConnection::open(&stranger, Some(&foreman), agent.device, quick()).await;
    let device = device.expect("the device is known");
    device.hello().await.expect("the server speaks");
    assert_eq!(device.path().kind, Some(PathKind::Server));
    used(&device, &folder, "open").await;
    for secret in secrets("open") {
        assert!(near.heard(&secret), "{secret} between client and server");
        assert!(!far.heard(&secret), "{secret} between server and device");
    }
}

crate::on_both_databases!(who_reads_what_passes_the_relay_learns_nothing);
