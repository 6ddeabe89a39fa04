//! ssh through `foreman ssh-proxy`: the real client and the real server of OpenSSH, and nothing between them but the
//! device link.

use std::{path::Path, process::Stdio};

use journeys::{
    eventually,
    program::folder,
    skipped::{left_out, skipped},
    soon,
};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::cli::Scene;

const SSHD: &str = "/usr/sbin/sshd";

/// An ssh server of the test's own, that lets in one key.
struct Sshd {
    _child: Child,
    port: u16,
}

impl Sshd {
    async fn start(at: &Path) -> Self {
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at.join(key))
                .stdin(Stdio::null())
                .status()
                .await;
            assert!(made.expect("ssh-keygen runs").success(), "a key");
        }
        // Debian keeps it where only its service makes it.
        let _ = std::fs::create_dir_all("/run/sshd");
        eventually("sshd listens", || Self::at_a_free_port(at)).await
    }

    /// It takes ports by number only: `None` when somebody else was faster to take it.
    async fn at_a_free_port(at: &Path) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").await.and_then(|socket| socket.local_addr());
        let port = free.expect("a port").port();
        let place = at.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n\
             PermitRootLogin prohibit-password\nPidFile none\nSubsystem sftp internal-sftp\n"
        );
        std::fs::write(at.join("sshd_config"), config).expect("written");
        let mut child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(at.join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sshd runs");
        let listens = eventually("sshd listens or ends", || {
            let ended = child.try_wait().expect("it is our child").is_some();
            async move {
                match TcpStream::connect(("127.0.0.1", port)).await {
                    _ if ended => Some(false),
                    Ok(_) => Some(true),
                    Err(_) => None,
                }
            }
        });
        listens.await.then_some(Self { _child: child, port })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_reaches_a_device_through_the_link() {
    if !Path::new(SSHD).exists() {
        // Debian would start one for all at once.
        left_out("ssh's server is not installed here; apt-get install openssh-server");
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        skipped("this is not root, who alone may start ssh's server");
        return;
    }
    let scene = Scene::new().await;
    let sshd = Sshd::start(scene.folder.path()).await;
    // What people are told to write there, word for word.
    let help = scene.says(&["ssh-proxy", "--help"]).await;
    let told: Vec<_> = help.lines().skip_while(|line| !line.trim_start().starts_with("Host ")).collect();
    assert!(!told.is_empty(), "{help}");
    let config = scene.folder.join("ssh_config");
    std::fs::write(&config, told.join("\n") + "\n").expect("written");
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(folder().to_path_buf()).chain(std::env::split_paths(&others));
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(config)
        .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
        .args(["-o", &format!("UserKnownHostsFile={}", scene.folder.join("known").display())])
        .args(["-p", &sshd.port.to_string(), "-i"])
        .arg(scene.folder.join("user"))
        .args(["root@journey.foreman", "head -c 3000000 /dev/zero | wc -c; exit 7"])
        .env("PATH", std::env::join_paths(path).expect("a path"))
        .env("XDG_CONFIG_HOME", scene.folder.join("config"))
        .env("XDG_DATA_HOME", scene.folder.join("data"))
        .env("FOREMAN_NO_MDNS", "true")
        .stdin(Stdio::null());
    let output = soon("ssh", ssh.output()).await.expect("ssh runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "3000000", "{errors}");
    assert_eq!(output.status.code(), Some(7), "{errors}");
}
