//! OpenSSH as Debian has it, to this machine: a server on a port of its own with keys of its own, gone afterwards.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use journeys::program::Program;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{find, free_port, start};

pub struct Ssh {
    _server: Program,
    client: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

/// `ssh -tt` with a command; ended when dropped.
pub struct SshTerminal {
    _client: Child,
    input: ChildStdin,
    output: ChildStdout,
    buffer: Box<[u8]>,
}

impl Ssh {
    pub async fn start() -> Result<Self, String> {
        let client = find(&["ssh"])?;
        let server = find(&["sshd"]).or_else(|why| {
            // Where Debian keeps it, which is not in everybody's PATH.
            let usual = PathBuf::from("/usr/sbin/sshd");
            if usual.is_file() { Ok(usual) } else { Err(why) }
        })?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for name in ["host", "user"] {
            key(&folder.path().join(name)).await?;
        }
        let said = |error: std::io::Error| error.to_string();
        std::fs::rename(folder.path().join("user.pub"), folder.path().join("authorized")).map_err(said)?;
        if nix::unistd::geteuid().is_root() {
            // Whoever starts it as a service makes this one.
            std::fs::create_dir_all("/run/sshd").map_err(said)?;
        }
        let port = free_port();
        let place = folder.path().display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized\n\
             PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\nPrintLastLog no\n"
        );
        let file = folder.path().join("config");
        std::fs::write(&file, config).map_err(said)?;
        let mut command = Command::new(server);
        command.args(["-D", "-e", "-f"]).arg(file);
        let server = start("sshd", command, port).await?;
        let ssh = Self { _server: server, client, folder, port };
        let tried = ssh.command().arg("true").output().await.map_err(said)?;
        if tried.status.success() {
            Ok(ssh)
        } else {
            Err(format!("nobody can sign in: {}", String::from_utf8_lossy(&tried.stderr).trim()))
        }
    }

    /// Asks for a terminal and runs this in it.
    pub fn terminal(&self, script: &str) -> SshTerminal {
        let mut command = self.command();
        // ssh takes options behind the host too.
        command.args(["-tt", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().expect("ssh starts");
        let input = client.stdin.take().expect("it was piped");
        let output = client.stdout.take().expect("it was piped");
        SshTerminal { _client: client, input, output, buffer: vec![0; 64 * 1024].into() }
    }

    /// Nothing of this user's own settings.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.client);
        command.args(["-F", "none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command.args(["-o", "LogLevel=ERROR", "-p", &self.port.to_string(), "-i"]);
        command.arg(self.folder.path().join("user")).arg("127.0.0.1").kill_on_drop(true);
        command
    }
}

impl SshTerminal {
    pub async fn write(&mut self, text: &[u8]) {
        self.input.write_all(text).await.expect("ssh reads");
        self.input.flush().await.expect("ssh reads");
    }

    pub async fn read(&mut self) -> usize {
        let read = self.output.read(&mut self.buffer).await.expect("ssh writes");
        assert!(read > 0, "ssh ended");
        read
    }
}

async fn key(file: &Path) -> Result<(), String> {
    let mut command = Command::new(find(&["ssh-keygen"])?);
    let made = command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).output().await;
    let made = made.map_err(|error| error.to_string())?;
    if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
}
