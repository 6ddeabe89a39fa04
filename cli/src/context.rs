//! What commands start from: who is signed in, which keys, and which device is meant.

use std::{io::Read, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use foreman_client::{DeviceConnection, DeviceOptions, Foreman, KnownDevice, PathKind, Store};
use foreman_protocol::{Device, DeviceId};
use futures_util::TryStreamExt;

use crate::{args::Global, output::note};

/// How long a server may take to list devices when they are known here too.
pub const SERVER_LIMIT: Duration = Duration::from_secs(4);

pub struct Context {
    pub store: Store,
    pub json: bool,
    options: DeviceOptions,
}

/// A device that was named.
#[derive(Debug, Clone)]
pub struct Named {
    pub id: DeviceId,
    pub name: String,
    /// The server itself said so just now; otherwise it is known from before.
    pub listed: bool,
}

impl Context {
    pub fn new(global: &Global) -> Result<Self> {
        let store = Store::of_this_user()?;
        let via = &global.via;
        let options = DeviceOptions {
            only: (!via.is_empty()).then(|| via.clone()),
            identity: global.identity.clone(),
            mdns: !global.no_mdns,
            through_server: via.is_empty() || via.contains(&PathKind::Server),
            ..DeviceOptions::default()
        };
        Ok(Self { store, json: global.json, options })
    }

    /// How devices are looked for.
    pub fn options(&self) -> DeviceOptions {
        self.options.clone()
    }

    /// Whether only the device itself, with an identity that was named, is to be asked.
    pub const fn names_identity(&self) -> bool {
        self.options.identity.is_some()
    }

    /// The server, when this user is signed in to one.
    pub fn maybe_server(&self) -> Result<Option<Foreman>> {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let (Some(url), Some(token)) = (named("FOREMAN_URL"), named("FOREMAN_TOKEN")) {
            return Ok(Some(Foreman::new(&url, &token)?));
        }
        let kept = self.store.sign_in()?;
        kept.map(|kept| Foreman::new(&kept.url, &kept.token)).transpose().map_err(Into::into)
    }

    /// The server.
    pub fn server(&self) -> Result<Foreman> {
        self.maybe_server()?.context("You are not signed in. Do it with `foreman login URL`")
    }

    /// The device that a name, an id or the beginning of one of them means.
    pub async fn find(&self, which: &str) -> Result<Named> {
        let known = self.met()?;
        let Some(server) = self.maybe_server()? else {
            return choose(which, &known)
                .with_context(|| "You are not signed in, so only devices met before count");
        };
        let listed = tokio::time::timeout(SERVER_LIMIT, list(&server)).await;
        match listed {
            Ok(Ok(devices)) => {
                let devices =
                    devices.into_iter().map(|one| Named { id: one.id, name: one.name, listed: true });
                choose(which, &devices.collect::<Vec<_>>())
            }
            Ok(Err(error)) if error.code().is_some() => Err(error.into()),
            failed => {
                let why = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("no answer within {} s", SERVER_LIMIT.as_secs()),
                };
                let found = choose(which, &known).with_context(|| {
                    format!("The server cannot be reached ({why}), so only devices met before count")
                })?;
                note(format!("the server cannot be reached ({why}); using what is known of {}", found.name));
                Ok(found)
            }
        }
    }

    /// The same, without asking a server for a device that was met before.
    pub async fn find_met(&self, which: &str) -> Result<Named> {
        match choose(which, &self.met()?) {
            Ok(named) => Ok(named),
            Err(_) => self.find(which).await,
        }
    }

    fn met(&self) -> Result<Vec<Named>> {
        let met = self.store.devices()?.into_iter();
        Ok(met.map(|one| Named { id: one.id, name: one.name, listed: false }).collect())
    }

    /// A connection to a device, which finds its path while it is used.
    pub async fn open(&self, which: &str) -> Result<DeviceConnection> {
        let named = self.find(which).await?;
        self.open_named(&named).await
    }

    /// The same for one that was found.
    pub async fn open_named(&self, named: &Named) -> Result<DeviceConnection> {
        let server = self.maybe_server()?;
        let met = self.store.device(named.id)?.is_some();
        let device =
            DeviceConnection::open(&self.store, server.as_ref(), named.id, self.options.clone()).await?;
        if !met && self.options.identity.is_none() {
            let KnownDevice { name, identity, .. } = device.known();
            note(format!(
                "first time at {name}: the server says that its identity is {identity}, which is kept and the only one \
                 believed from now on. Compare with `foreman-agent status` there; on a difference: `foreman devices \
                 forget {name}`"
            ));
        }
        Ok(device)
    }
}

/// All devices of a server.
pub async fn list(server: &Foreman) -> Result<Vec<Device>, foreman_client::Error> {
    server.devices(&foreman_client::DeviceFilter::default()).try_collect().await
}

/// A secret's file, or `-` for standard input.
pub fn secret(file: &str) -> Result<String> {
    let mut text = String::new();
    match file {
        "-" => std::io::stdin().lock().read_to_string(&mut text).context("cannot read standard input")?,
        file => std::fs::File::open(file)
            .and_then(|mut file| file.read_to_string(&mut text))
            .with_context(|| format!("cannot read {file}"))?,
    };
    let text = text.trim().to_owned();
    if text.is_empty() {
        bail!("{} holds nothing", if file == "-" { "standard input" } else { file });
    }
    Ok(text)
}

fn choose(which: &str, among: &[Named]) -> Result<Named> {
    let fits =
        |fit: &dyn Fn(&Named) -> bool| among.iter().filter(|one| fit(one)).cloned().collect::<Vec<_>>();
    let kinds = [
        fits(&|one| one.name == which || one.id.to_string() == which),
        fits(&|one| one.name.eq_ignore_ascii_case(which)),
        fits(&|one| which.len() >= 4 && one.id.to_string().starts_with(&which.to_ascii_lowercase())),
    ];
    for kind in kinds {
        match kind.as_slice() {
            [] => {}
            [one] => return Ok(one.clone()),
            several => {
                let ids: Vec<_> = several.iter().map(|one| format!("{} ({})", one.name, one.id)).collect();
                bail!("{which} may be one of {}. Name it by its id", ids.join(", "));
            }
        }
    }
    let names: Vec<_> = among.iter().take(12).map(|one| one.name.as_str()).collect();
    match names.is_empty() {
        true => Err(anyhow!("There is no device {which}: none is known at all")),
        false => Err(anyhow!("There is no device {which}. Known are: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_its_name_or_the_beginning_of_its_id() {
        let one =
            |name: &str, id: &str| Named { id: id.parse().unwrap(), name: name.to_owned(), listed: true };
        let all = [
            one("anvil", "0199aa00-0000-7000-8000-000000000001"),
            one("Anvil", "0199bb00-0000-7000-8000-000000000002"),
            one("forge", "0199aa11-0000-7000-8000-000000000003"),
        ];
        let found =
            |which: &str| choose(which, &all).map(|one| one.id.to_string()).map_err(|e| e.to_string());
        assert!(found("anvil").unwrap().ends_with("1"));
        assert!(found("Anvil").unwrap().ends_with("2"));
        assert!(found("FORGE").unwrap().ends_with("3"));
        assert!(found("0199bb").unwrap().ends_with("2"));
        assert!(found("0199aa").unwrap_err().contains("anvil (0199aa00"));
        assert!(found("ANVIL").unwrap_err().contains("may be one of"));
        assert!(found("hammer").unwrap_err().contains("Known are: anvil, Anvil, forge"));
    }
}
