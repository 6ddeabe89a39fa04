//! Every option of `foreman-server serve`, each also an environment variable.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
};

use anyhow::Context;
use clap::{Args, ValueEnum, builder::BoolishValueParser};
use ipnet::IpNet;

use crate::{auth, db::Location, link, push, router, sealing, server::forwarded, tunnels, vault};

/// Where the data is; shared by all subcommands.
#[derive(Debug, Clone, Args)]
pub struct DataOptions {
    /// The data folder: the database file and the lock.
    #[arg(long, env = "FOREMAN_DATA", default_value_os_t = default_data())]
    pub data: PathBuf,
    /// Use PostgreSQL instead of the SQLite file in the data folder: postgres://user:password@host/name
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The key for what the database must hold and not show, made when absent; servers that share one database share
    /// one file. seal.key in the data folder unless told otherwise.
    #[arg(long, env = "FOREMAN_SEAL_KEY_FILE")]
    pub seal_key_file: Option<PathBuf>,
}

impl DataOptions {
    pub fn location(&self) -> Location {
        match &self.database_url {
            Some(url) => Location::PostgreSql(url.clone()),
            None => Location::Sqlite(self.database_file()),
        }
    }

    pub fn seal_key_path(&self) -> PathBuf {
        self.seal_key_file.clone().unwrap_or_else(|| self.data.join(sealing::KEY_FILE))
    }

    /// The SQLite file.
    pub fn database_file(&self) -> PathBuf {
        self.data.join("foreman.db")
    }
}

fn default_data() -> PathBuf {
    let home =
        |variable: &str, rest: &str| std::env::var_os(variable).map(|base| PathBuf::from(base).join(rest));
    let found = if cfg!(windows) {
        // Not the part of a profile that goes from machine to machine; and shells of Unix name a home there, too.
        home("LOCALAPPDATA", r"Foreman\server")
    } else {
        home("XDG_DATA_HOME", "foreman").or_else(|| home("HOME", ".local/share/foreman"))
    };
    found.unwrap_or_else(|| "foreman-data".into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// What `serve --help` says after its options.
pub const PROXIES: &str = "\
Proxies: clouds with models and Cloudflare's API are asked through the HTTP proxy that HTTPS_PROXY, HTTP_PROXY or \
ALL_PROXY names (in either case): http://proxy:3128, or http://name:password@proxy:3128. NO_PROXY lists what is asked \
directly; this machine always is, and devices are never asked through a proxy. A SOCKS proxy cannot be used. What is \
asked with https is looked up by the proxy, and trusted by the certificates of this system (or SSL_CERT_FILE).";

/// Runs the control plane.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    #[command(flatten)]
    pub data: DataOptions,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "FOREMAN_LISTEN", default_value = "127.0.0.1:3001")]
    pub listen: SocketAddr,
    /// How clients and devices reach this server, when it is not the listening address.
    #[arg(long, env = "FOREMAN_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Further host names to answer to, separated by commas.
    #[arg(long, env = "FOREMAN_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
    /// Reverse proxies in front of this server, addresses or networks: where one of them brings a request, its caller is
    /// who X-Forwarded-For names. Nobody else's is believed.
    #[arg(long, env = "FOREMAN_TRUSTED_PROXIES", value_delimiter = ',', value_name = "ADDR|NET", value_parser = forwarded::network)]
    pub trusted_proxy: Vec<IpNet>,
    /// How devices reach this very server, when several share one database: the others send them here.
    #[arg(long, env = "FOREMAN_ADVERTISE_URL")]
    pub advertise_url: Option<String>,
    /// The server's own link key, made when absent; servers that share one database share one file. link.key in the
    /// data folder unless told otherwise.
    #[arg(long, env = "FOREMAN_LINK_KEY_FILE")]
    pub link_key_file: Option<PathBuf>,
    /// A relayed connection that carries nothing for this many seconds is closed.
    #[arg(long, env = "FOREMAN_RELAY_IDLE_S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub relay_idle_s: u32,
    /// Relayed connections that one account may have open at once; all accounts together may have sixteen times as many.
    #[arg(long, env = "FOREMAN_RELAYS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub relays: u32,
    /// How often agents report, in seconds.
    #[arg(long, env = "FOREMAN_HEARTBEAT_S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub heartbeat_s: u32,
    /// A device counts as offline after this many seconds without a heartbeat.
    #[arg(long, env = "FOREMAN_OFFLINE_AFTER_S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub offline_after_s: u32,
    /// Bytes of output kept for each task; the oldest go first.
    #[arg(long, env = "FOREMAN_OUTPUT_LIMIT", default_value_t = 256 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1024 * 1024..))]
    pub output_limit: u64,
    /// Days that ended tasks and their output are kept.
    #[arg(long, env = "FOREMAN_KEEP_TASKS_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub keep_tasks_days: u32,
    /// Folder with agent binaries to offer: foreman-agent-x86_64-linux and so on.
    #[arg(long, env = "FOREMAN_AGENT_BINARIES")]
    pub agent_binaries: Option<PathBuf>,
    /// The vault locks when no key in it was used for this many seconds; 0: it stays open until it is locked.
    #[arg(long, env = "FOREMAN_VAULT_LOCK_AFTER_S", default_value_t = 28_800, value_parser = clap::value_parser!(u32).range(..=31_536_000))]
    pub vault_lock_after_s: u32,
    /// The vault opens by itself at start with this file, which is made when absent, and does not lock by time. It
    /// takes effect with the next unlock. Keep it apart from copies of the database: together they give every key.
    #[arg(long, env = "FOREMAN_VAULT_KEY_FILE", value_name = "FILE")]
    pub vault_key_file: Option<PathBuf>,
    /// As with a key file, with a key in the system's keychain: for a server that runs in a person's session. Where no
    /// keychain is, or it refuses, the server starts all the same and the vault opens with its password.
    #[arg(long, env = "FOREMAN_VAULT_KEYCHAIN", conflicts_with = "vault_key_file", value_parser = BoolishValueParser::new())]
    pub vault_keychain: bool,
    #[command(flatten)]
    pub router: router::RouterOptions,
    #[command(flatten)]
    pub cloudflare: CloudflareOptions,
    #[command(flatten)]
    pub push: push::PushOptions,
    /// How the log is written to standard error.
    #[arg(long, env = "FOREMAN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as mgmt_api=debug.
    #[arg(long, env = "FOREMAN_LOG", default_value = "info")]
    pub log: String,
}

/// Where others reach a server that listens on every address: the one this machine uses towards others. What stands
/// in the command for a device must lead somewhere.
fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    // Connecting a datagram socket sends nothing; it only asks the routing table. The address is one for examples.
    let asked = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let ip = asked.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |own| own.ip());
    SocketAddr::new(ip, bound.port())
}

/// A Cloudflare account for tunnels to devices: all four, or none.
#[derive(Debug, Clone, Args)]
#[group(id = "cloudflare", multiple = true)]
pub struct CloudflareOptions {
    /// Cloudflare account id: every device then gets a tunnel.
    #[arg(long, env = "FOREMAN_CLOUDFLARE_ACCOUNT", value_name = "ID", requires_all = ["cloudflare_zone_id", "cloudflare_zone", "cloudflare_token_file"])]
    pub cloudflare_account: Option<String>,
    /// Id of the zone that gets the names of devices.
    #[arg(long, env = "FOREMAN_CLOUDFLARE_ZONE_ID", value_name = "ID", requires = "cloudflare_account")]
    pub cloudflare_zone_id: Option<String>,
    /// Name of that zone: devices are called <name>-<id>.<zone>.
    #[arg(long, env = "FOREMAN_CLOUDFLARE_ZONE", value_name = "NAME", requires = "cloudflare_account")]
    pub cloudflare_zone: Option<String>,
    /// File with an API token that may edit Cloudflare Tunnel, Access and the zone's DNS.
    #[arg(long, env = "FOREMAN_CLOUDFLARE_TOKEN_FILE", value_name = "FILE", requires = "cloudflare_account")]
    pub cloudflare_token_file: Option<PathBuf>,
    /// Where Cloudflare's API is.
    #[arg(long, env = "FOREMAN_CLOUDFLARE_API", default_value = "https://api.cloudflare.com/client/v4")]
    pub cloudflare_api: String,
}

impl CloudflareOptions {
    /// The account; `None` when there is none.
    ///
    /// # Errors
    /// When the token cannot be read: one sentence.
    pub fn account(&self) -> anyhow::Result<Option<tunnels::Cloudflare>> {
        let (Some(account), Some(zone_id), Some(zone), Some(file)) = (
            &self.cloudflare_account,
            &self.cloudflare_zone_id,
            &self.cloudflare_zone,
            &self.cloudflare_token_file,
        ) else {
            return Ok(None);
        };
        let token = std::fs::read_to_string(file)
            .with_context(|| format!("The Cloudflare token cannot be read from {}", file.display()))?;
        let token = token.trim().to_owned();
        let zone = zone.trim_matches('.').to_ascii_lowercase();
        Ok(Some(tunnels::Cloudflare::new(
            &self.cloudflare_api,
            account.clone(),
            zone_id.clone(),
            zone,
            token,
        )?))
    }
}

impl ServeOptions {
    pub fn link_key_path(&self) -> PathBuf {
        self.link_key_file.clone().unwrap_or_else(|| self.data.data.join(link::key::FILE))
    }

    /// What opens the vault with nobody there.
    ///
    /// # Errors
    /// When the key file can be neither read nor made: one sentence.
    pub fn vault_opens_with(&self) -> anyhow::Result<Option<vault::Unattended>> {
        Ok(match &self.vault_key_file {
            Some(file) => Some(vault::Unattended::with_file(vault::load_key_file(file)?)),
            None => self.vault_keychain.then(vault::Unattended::with_keychain),
        })
    }
}

/// What the running server needs of its options, settled.
#[derive(Debug, Clone)]
pub struct Settings {
    pub public_url: String,
    pub allowed_hosts: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub heartbeat_s: u32,
    pub offline_after_s: u32,
    pub output_limit: u64,
    pub keep_tasks_days: u32,
    pub agent_binaries: Option<PathBuf>,
    pub advertise_url: Option<String>,
    pub relay_idle_s: u32,
}

impl Settings {
    /// `bound` is the address really listened on.
    pub fn new(options: &ServeOptions, bound: SocketAddr) -> Self {
        let public_url = options.public_url.clone().unwrap_or_else(|| format!("http://{}", reachable(bound)));
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            allowed_hosts: options.allowed_host.clone(),
            trusted_proxies: options.trusted_proxy.clone(),
            heartbeat_s: options.heartbeat_s,
            offline_after_s: options.offline_after_s,
            output_limit: options.output_limit,
            keep_tasks_days: options.keep_tasks_days,
            agent_binaries: options.agent_binaries.clone(),
            advertise_url: options.advertise_url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            relay_idle_s: options.relay_idle_s,
        }
    }

    /// The page of this origin is ours, as far as the options say.
    pub fn is_public_origin(&self, origin: &str) -> bool {
        let scheme_and_rest = self.public_url.split_once("://");
        scheme_and_rest.is_some_and(|(scheme, rest)| {
            let authority = rest.split('/').next().unwrap_or_default();
            origin.eq_ignore_ascii_case(&format!("{scheme}://{authority}"))
        })
    }

    pub fn answers_to(&self, name: &str) -> bool {
        let public = self.public_url.split_once("://").map_or("", |(_, rest)| rest);
        let public = auth::gate::host_name(public.split('/').next().unwrap_or_default());
        name.eq_ignore_ascii_case(public)
            || self.allowed_hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    /// Browsers then only send the session cookie over TLS.
    pub fn secure(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vault_opens_by_a_file_or_by_the_keychain() {
        use clap::Parser;
        let serve = ["foreman-server", "serve", "--vault-keychain"];
        assert!(crate::cli::Cli::try_parse_from(serve).is_ok());
        let both = serve.into_iter().chain(["--vault-key-file", "vault.key"]);
        assert!(crate::cli::Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn a_server_on_every_address_names_one_that_leads_to_it() {
        let one: SocketAddr = "10.1.2.3:3001".parse().unwrap();
        assert_eq!(reachable(one), one);
        for every in ["0.0.0.0:3001", "[::]:3001"] {
            let named = reachable(every.parse().unwrap());
            assert!(!named.ip().is_unspecified() && named.port() == 3001, "{named}");
        }
    }
}
