//! `foreman forward`: a port here leads to one there.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use foreman_client::DeviceConnection;
use foreman_protocol::Level;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{context::Context, output::note};

#[derive(Debug, Args)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// `LOCAL:REMOTE`, `LOCAL:HOST:REMOTE` (a host as the device sees it), or one port for both. LOCAL is only open to
    /// this machine; 0 takes a free one.
    #[arg(required = true, value_name = "PORTS", value_parser = Ports::parse)]
    ports: Vec<Ports>,
}

/// What leads where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ports {
    local: u16,
    host: Option<String>,
    remote: u16,
}

impl Ports {
    fn parse(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text} is not a port"));
        let (local, rest) = match text.split_once(':') {
            None => return Ok(Self { local: port(text)?, host: None, remote: port(text)? }),
            Some(parts) => parts,
        };
        let (host, remote) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((host, remote)) => (Some(host.trim_matches(['[', ']']).to_owned()), remote),
        };
        let ports = Self { local: port(local)?, host, remote: port(remote)? };
        if ports.remote == 0 || ports.host.as_deref() == Some("") {
            return Err(format!("{text} leads nowhere"));
        }
        Ok(ports)
    }
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let device = context.open(&options.device).await?;
    // Before anything listens: whether the device would do it at all.
    let hello = device.hello().await?;
    if !hello.policy.allow_bash {
        bail!("{} does not forward ports: its policy has ALLOW_BASH off", hello.name);
    }
    if hello.level < Level::Operate {
        bail!("{} does not forward ports for you: you may only look there", hello.name);
    }
    let mut doors = Vec::new();
    for ports in options.ports {
        let listener = TcpListener::bind(("127.0.0.1", ports.local)).await;
        let listener = listener.with_context(|| format!("cannot listen on port {}", ports.local))?;
        let host = ports.host.as_deref().unwrap_or("localhost");
        note(format!(
            "{} leads to {host}:{} of {}; Ctrl-C ends it",
            listener.local_addr()?,
            ports.remote,
            hello.name
        ));
        doors.push(serve(device.clone(), listener, Arc::new(ports)));
    }
    tokio::select! {
        _ = futures_util::future::join_all(doors) => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn serve(device: DeviceConnection, listener: TcpListener, ports: Arc<Ports>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (device, ports) = (device.clone(), ports.clone());
                tokio::spawn(async move {
                    if let Err(error) = carry(&device, stream, &ports).await {
                        note(format!("port {}: {error:#}", ports.remote));
                    }
                });
            }
            Err(error) => {
                note(format!("a connection was not taken: {error}"));
                // Out of descriptors, most likely: some come free.
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }
}

async fn carry(device: &DeviceConnection, mut near: TcpStream, ports: &Ports) -> Result<()> {
    near.set_nodelay(true)?;
    let mut far = device.forward(ports.host.as_deref(), ports.remote).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    far.shutdown().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_ssh_reads_them() {
        let ports =
            |local, host: Option<&str>, remote| Ports { local, host: host.map(str::to_owned), remote };
        assert_eq!(Ports::parse("80").unwrap(), ports(80, None, 80));
        assert_eq!(Ports::parse("8080:80").unwrap(), ports(8080, None, 80));
        assert_eq!(Ports::parse("0:db:5432").unwrap(), ports(0, Some("db"), 5432));
        assert_eq!(Ports::parse("1:[::1]:2").unwrap(), ports(1, Some("::1"), 2));
        for bad in ["", "x", "1:", "1:0", "1::2", "70000"] {
            assert!(Ports::parse(bad).is_err(), "{bad}");
        }
    }
}
