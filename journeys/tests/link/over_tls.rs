//! A server behind a TLS terminator with a certificate of a company's own: what the system trusts, the agent trusts,
//! for its commands and for the relay; and through the company's proxy, which sees nothing of it.

use std::{net::SocketAddr, path::PathBuf};

use foreman_client::{DeviceConnection, DeviceOptions, PathKind, Store};
use journeys::{
    database::Database,
    program,
    proxy::{Passed, Proxy},
    soon,
    stack::{Agent, Folder, Server, Setting, new_device},
};
use tokio::net::TcpListener;

use super::{quick, reached};
use crate::tls;

/// Leads here, but no rule for proxies knows it as this machine.
const BEYOND: &str = "0.0.0.0";

/// A server that is reached by `https` only.
struct Scene {
    server: Server,
    /// Where TLS ends.
    address: SocketAddr,
    /// The company's own root, as a file of the system would hold it.
    root: PathBuf,
    folder: Folder,
}

impl Scene {
    async fn new() -> Self {
        let folder = Folder::new();
        let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
        let root = folder.join("root.pem");
        let target = server.url.trim_start_matches("http://");
        let address = tls::terminate(&["localhost", BEYOND], &root, target).await;
        Self { server, address, root, folder }
    }

    fn trusting(&self) -> (&'static str, String) {
        ("SSL_CERT_FILE", self.root.display().to_string())
    }

    /// Joins as a device and is reached over the relay.
    async fn joins_and_is_reached(&self, url: &str, env: &[(&'static str, String)]) {
        let (foreman, _) = self.server.client("owner").await;
        let store = Store::at(self.folder.join("config"), self.folder.join("data"));
        let mut env = env.to_vec();
        env.push(("FOREMAN_OWNER", store.owner_key().expect("a key").public()));
        let agent = Agent::join(&foreman, url, self.folder.join("agent"), &env).await;
        let options = DeviceOptions { only: Some(vec![PathKind::Relay]), ..quick() };
        let device = DeviceConnection::open(&store, Some(&foreman), agent.device, options).await;
        let device = device.expect("the device is known");
        reached(&device, PathKind::Relay).await;
        let hello = soon("an answer", device.hello()).await.expect("it answers");
        assert_eq!(hello.device_id, agent.device);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_trusts_the_server_that_its_system_trusts() {
    let scene = Scene::new().await;
    let url = format!("https://localhost:{}", scene.address.port());
    scene.joins_and_is_reached(&url, &[scene.trusting()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_says_nothing_to_a_server_that_its_system_does_not_trust() {
    let scene = Scene::new().await;
    let (foreman, _) = scene.server.client("owner").await;
    let made = new_device(&foreman, "wary").await;
    let mut command = program::command("foreman-agent");
    // With the roots that the machine has, which know nothing of the company's.
    command.args(["connect", "--server", &format!("https://localhost:{}", scene.address.port())]);
    command.args(["--token", &made.token, "--state"]).arg(scene.folder.join("agent"));
    let output = soon("it gives up", command.output()).await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("certificate"), "{said}");
    // With a root that vouches for it the token is still good: nothing of it was told.
    let url = format!("https://localhost:{}", scene.address.port());
    scene.joins_and_is_reached(&url, &[scene.trusting()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_trusts_it_through_a_proxy_as_well() {
    let scene = Scene::new().await;
    let passed = Passed::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let listen = listener.local_addr().expect("it is bound");
    tokio::spawn(Proxy::new(passed.clone()).serve(listener));
    let url = format!("https://{BEYOND}:{}", scene.address.port());
    let env = [("HTTPS_PROXY", format!("http://{listen}")), scene.trusting()];
    scene.joins_and_is_reached(&url, &env).await;
    let lines = passed.lines();
    // The commands' own connection, and one for each time it came to the relay.
    let wanted = format!("CONNECT {BEYOND}:{}", scene.address.port());
    let tunnels = lines.iter().filter(|line| **line == wanted).count();
    assert!(tunnels >= 2 && lines.iter().all(|line| *line == wanted), "{lines:#?}");
}
