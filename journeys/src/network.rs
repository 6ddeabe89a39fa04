//! Networks of a test's own: namespaces whose members reach only what the test lets them, and links that go down.
//!
//! ```text
//!   client ──┐ (each alone with the server)
//!   one    ──┤── server 10.66.0.1
//!   two    ──┘
//!   client ───── one   10.66.1.x, a local network that can be taken down
//!   client, one ── server 10.66.2.1, an address to which `two` has no route
//! ```

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Output},
};

use nix::sched::{CloneFlags, setns};

use tokio::process::Command;

use crate::skipped::skipped;

pub const SERVER: &str = "10.66.0.1";
/// The server, out of reach for the second device.
pub const SERVER_BEYOND: &str = "10.66.2.1";

/// Who is in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Server,
    Client,
    One,
    Two,
}

const HOSTS: [Host; 4] = [Host::Server, Host::Client, Host::One, Host::Two];

/// Four namespaces and the links between them; gone when this is dropped.
pub struct Network {
    prefix: String,
}

impl Network {
    /// `None`, said loudly, where namespaces cannot be made (no root, no `ip`).
    ///
    /// # Panics
    /// When a namespace can be made and a link cannot.
    #[must_use]
    pub fn new() -> Option<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let network = Self { prefix: format!("fm{}-{number}-", std::process::id()) };
        for host in HOSTS {
            let made = ip(&["netns", "add", &network.name(host)]);
            if !made.as_ref().is_ok_and(|output| output.status.success()) {
                skipped(&format!("network namespaces cannot be made here: {made:?}"));
                return None;
            }
            network.run(host, &["link", "set", "lo", "up"]);
        }
        network.connect();
        Some(network)
    }

    fn connect(&self) {
        self.run(Host::Server, &["link", "add", "wan", "type", "bridge"]);
        self.run(Host::Server, &["addr", "add", "10.66.0.1/24", "dev", "wan"]);
        self.run(Host::Server, &["link", "set", "wan", "up"]);
        for (host, port, address) in [
            (Host::Client, "p-client", "10.66.0.10/24"),
            (Host::One, "p-one", "10.66.0.11/24"),
            (Host::Two, "p-two", "10.66.0.12/24"),
        ] {
            let name = self.name(host);
            self.run(
                Host::Server,
                &["link", "add", port, "type", "veth", "peer", "name", "wan", "netns", &name],
            );
            self.run(Host::Server, &["link", "set", port, "master", "wan", "up"]);
            // Isolated ports reach the bridge itself, the server, and not each other.
            self.run(Host::Server, &["link", "set", port, "type", "bridge_slave", "isolated", "on"]);
            self.run(host, &["addr", "add", address, "dev", "wan"]);
            self.run(host, &["link", "set", "wan", "up"]);
        }
        self.run(Host::Server, &["addr", "add", "10.66.2.1/32", "dev", "lo"]);
        for host in [Host::Client, Host::One] {
            self.run(host, &["route", "add", "10.66.2.0/24", "via", SERVER]);
        }
        let one = self.name(Host::One);
        self.run(Host::Client, &["link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", &one]);
        self.run(Host::Client, &["addr", "add", "10.66.1.10/24", "dev", "lan"]);
        self.run(Host::One, &["addr", "add", "10.66.1.11/24", "dev", "lan"]);
        self.run(Host::One, &["link", "set", "lan", "up"]);
        self.lan(true);
    }

    /// Takes the local network between client and the first device down, or up again.
    pub fn lan(&self, up: bool) {
        self.run(Host::Client, &["link", "set", "lan", if up { "up" } else { "down" }]);
    }

    /// Leaves the local network no other addresses than those that the hosts gave themselves.
    pub fn link_local_only(&self) {
        for host in [Host::Client, Host::One] {
            self.run(host, &["address", "flush", "dev", "lan", "scope", "global"]);
        }
    }

    /// Has this host know these names, a line for each: `10.66.0.1 spark.example`.
    ///
    /// # Panics
    /// When that cannot be written down.
    pub fn names(&self, host: Host, lines: &str) {
        let folder = self.own_files(host);
        std::fs::create_dir_all(&folder).expect("who makes namespaces may");
        std::fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{lines}\n")).expect("written");
    }

    /// What `ip netns exec` puts in the place of the machine's own files in `/etc`.
    fn own_files(&self, host: Host) -> PathBuf {
        Path::new("/etc/netns").join(self.name(host))
    }

    fn name(&self, host: Host) -> String {
        format!("{}{host:?}", self.prefix).to_lowercase()
    }

    fn run(&self, host: Host, arguments: &[&str]) {
        let name = self.name(host);
        let output = ip(&[&["-n", name.as_str()], arguments].concat()).expect("ip runs");
        assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs something of the test's own inside this host, on a thread of its own, until the test's process ends.
    ///
    /// # Panics
    /// When there can be no thread; in that thread, when it cannot enter.
    pub fn spawn(&self, host: Host, work: impl Future<Output = ()> + Send + 'static) {
        let namespace = File::open(format!("/run/netns/{}", self.name(host))).expect("it was made");
        let run = move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("who made it may enter");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(work);
        };
        std::thread::Builder::new().name(format!("inside {host:?}")).spawn(run).expect("a thread");
    }

    /// The command, run by this host. What its environment says is kept.
    #[must_use]
    pub fn inside(&self, host: Host, command: &Command) -> Command {
        let command = command.as_std();
        let mut wrapped = Command::new("ip");
        wrapped.args(["netns", "exec", &self.name(host)]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in HOSTS {
            let _ = ip(&["netns", "del", &self.name(host)]);
            let _ = std::fs::remove_dir_all(self.own_files(host));
        }
    }
}

fn ip(arguments: &[&str]) -> std::io::Result<Output> {
    StdCommand::new("ip").args(arguments).output()
}
