//! Devices in a network of which only an edge is reached: a Cloudflare Tunnel behind Access, and a tailnet. The client has
//! nothing but its sign-in, and goes on when the server is away.

use std::path::{Path, PathBuf};

use journeys::{
    cloudflare::{AtTheEdge, Cloudflare, SERVICE_SECRET, TOKEN, ends_in},
    eventually,
    network::{Host, Network, SERVER},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Scene,
    edge::{Came, DialledOut, Edge, Guard},
    text,
};
use crate::tls;

/// Cloudflare's API, as the server reaches it.
const API: &str = "127.0.0.1:8001";

impl Scene {
    /// A device that no client reaches but by the server and by Cloudflare.
    async fn behind_cloudflare() -> Option<(Self, Cloudflare, Came)> {
        let network = Network::new()?;
        let cloudflare = Cloudflare::at(API);
        let api = cloudflare.clone();
        network.spawn(Host::Server, async move {
            api.serve(TcpListener::bind(API).await.expect("a network of its own")).await;
        });
        let token = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(token.path(), TOKEN).expect("written");
        let env = [
            ("FOREMAN_CLOUDFLARE_API", cloudflare.url.as_str()),
            ("FOREMAN_CLOUDFLARE_ACCOUNT", "acc"),
            ("FOREMAN_CLOUDFLARE_ZONE_ID", "zone"),
            ("FOREMAN_CLOUDFLARE_ZONE", "foreman.example"),
            ("FOREMAN_CLOUDFLARE_TOKEN_FILE", token.path().to_str().expect("text")),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let mut scene = Self::in_network(network, SERVER, env).await;
        let kept = scene.folder.join("cloudflare-token");
        std::fs::copy(token.path(), &kept).expect("copied");
        for (name, value) in &mut scene.server_env {
            if name == "FOREMAN_CLOUDFLARE_TOKEN_FILE" {
                *value = kept.display().to_string();
            }
        }
        let agent = scene.join(Host::Two, "two", &["--dashboard", "operate"], &[]).await;
        scene.agents.push(agent);
        let hostname = eventually("the device has a name at Cloudflare", || async {
            scene.device("two").await.tunnel_hostname
        })
        .await;
        let came = scene.edge(&hostname, 443, Guard::Cloudflare(cloudflare.clone()));
        Some((scene, cloudflare, came))
    }

    /// An edge for the second device's name beside the server, known to the client alone.
    fn edge(&mut self, name: &str, port: u16, guard: Guard) -> Came {
        let (tls, root) = tls::certified(&[name]);
        let path = self.folder.join("root.pem");
        std::fs::write(&path, root).expect("written");
        self.root = Some(path);
        self.network.names(Host::Client, &format!("{SERVER} {name}"));
        let came = Came::default();
        let device = DialledOut::from(&self.network, Host::Two);
        let edge = Edge { tls, guard, device, came: came.clone() };
        self.network.spawn(Host::Server, edge.serve(format!("{SERVER}:{port}")));
        came
    }

    /// Opens a shell and copies a file, with these options, and says over which path that goes.
    async fn works(&self, options: &[&str]) -> String {
        let with =
            |args: &[&str]| [options, args].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let run = async |args: &[&str]| {
            let args = with(args);
            self.foreman(&args.iter().map(String::as_str).collect::<Vec<_>>(), "").await
        };
        let said = run(&["shell", "two", "--", "sh", "-c", "echo in-$((40+2))"]).await;
        assert!(said.contains("in-42"), "{said}");
        let file = self.folder.join("sent");
        std::fs::write(&file, b"by the edge".repeat(200_000)).expect("written");
        let remote = self.folder.join("received");
        let _ = std::fs::remove_file(&remote);
        run(&["cp", &file.display().to_string(), &format!("two:{}", remote.display())]).await;
        assert_eq!(std::fs::read(&remote).expect("there"), std::fs::read(&file).expect("there"));
        let status: Value = serde_json::from_str(&run(&["--json", "status", "two"]).await).expect("JSON");
        text(&status, "path").to_owned()
    }

    /// The files of the client that hold what Cloudflare wants to see.
    fn passes(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.join("config"), self.folder.join("data")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().expect("a kind").is_dir() {
                    true => folders.push(entry.path()),
                    false if holds(&entry.path(), SERVICE_SECRET) => found.push(entry.path()),
                    false => {}
                }
            }
        }
        found
    }
}

fn holds(file: &Path, secret: &str) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_behind_a_tunnel_is_reached_by_who_is_signed_in_also_while_the_server_is_away() {
    let Some((mut scene, cloudflare, came)) = Scene::behind_cloudflare().await else { return };
    assert_eq!(scene.works(&["--via", "cloudflare"]).await, "cloudflare");
    assert!(came.let_through() >= 3 && came.turned_away() == 0, "{:?}", came.all());
    let [pass] = &scene.passes()[..] else { panic!("one file: {:?}", scene.passes()) };
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(pass).expect("there").permissions());
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    assert!(pass.parent().is_some_and(|folder| folder.ends_with("passes")), "{}", pass.display());

    // No way but Cloudflare's is left, and nobody to ask.
    scene.server.kill().await;
    assert_eq!(scene.works(&[]).await, "cloudflare");
    // The token ends meanwhile: Cloudflare wants somebody to sign in, and there is nobody to ask for another.
    cloudflare.change("service_tokens/", "expires_at", &json!(ends_in(-1)));
    let refused = scene.output(&["shell", "two", "--", "true"], "").await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("the server gave no pass for Cloudflare"), "{said}");
    assert!(!said.contains(SERVICE_SECRET), "{said}");
    assert!(matches!(came.all().last(), Some((AtTheEdge::Shut, _))), "{:?}", came.all());

    scene.serve_again().await;
    let device = scene.device("two").await.id;
    let ended = cloudflare.all("service_tokens/")[0]["id"].clone();
    eventually("the server has another token", || async {
        scene.ask("POST", &format!("/api/v1/devices/{device}/tunnel"), &json!({})).await;
        let admits = |policy: &Value| policy["include"][0]["service_token"]["token_id"] != ended;
        let policies = cloudflare.all("/policies/");
        (!policies.is_empty() && policies.iter().all(admits)).then_some(())
    })
    .await;
    let away = came.turned_away();
    assert_eq!(scene.works(&["--via", "cloudflare"]).await, "cloudflare");
    assert_eq!(came.turned_away(), away + 1, "the old one was shown once, and the new one kept");
    // That one is good with the server away as well, until the sign-in is forgotten.
    scene.server.kill().await;
    assert_eq!(scene.works(&[]).await, "cloudflare");
    scene.foreman(&["logout"], "").await;
    assert_eq!(scene.passes(), Vec::<PathBuf>::new());
    let refused = scene.output(&["shell", "two", "--", "true"], "").await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("signed in to none"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_in_a_tailnet_is_reached_by_its_name_there_also_while_the_server_is_away() {
    let Some(mut scene) = Scene::without_devices(SERVER).await else { return };
    // The stand-in for the tailnet's program: what it was told to serve is a file.
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/programs");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let tailnet = scene.folder.join("tailnet");
    std::fs::create_dir(&tailnet).expect("made");
    let env = [("PATH", path.as_str()), ("TAILNET", tailnet.to_str().expect("text"))];
    let agent = scene.join(Host::Two, "two", &["--tailscale"], &env).await;
    scene.agents.push(agent);
    let name = eventually("the device has a name in the tailnet", || async {
        scene.device("two").await.link.and_then(|link| link.tailscale)
    })
    .await;
    let (host, port) = name.split_once(':').expect("a port of its own");
    let service = std::fs::read_to_string(tailnet.join(format!("port-{port}"))).expect("it is served");
    let came = scene.edge(host, port.parse().expect("a port"), Guard::Tailnet(service));

    assert_eq!(scene.works(&["--via", "tailscale"]).await, "tailscale");
    scene.server.kill().await;
    assert_eq!(scene.works(&[]).await, "tailscale");
    assert!(came.let_through() >= 6);
    let shown = came.all().iter().any(|(_, head)| head.field("cf-access-client-id").is_some());
    assert!(!shown, "what is for Cloudflare is shown to nobody else");
}
