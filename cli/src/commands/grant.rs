//! `foreman grant`, `grants`, `revoke`: rights that this user signs. The server carries them and cannot make any.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use foreman_client::{
    KnownDevice,
    device::{self, NewGrant, make_grant},
};
use foreman_link::grant::decode_key;
use foreman_protocol::{GrantId, Level, Revoked};
use futures_util::TryStreamExt;

use crate::{
    context::Context,
    output::{json, moment, note, now, say, table},
};

#[derive(Debug, Args)]
pub struct GrantOptions {
    /// Its name, or the beginning of its id.
    device: String,
    /// The client's key, as its `foreman keys` shows it.
    #[arg(long, env = "FOREMAN_GRANT_CLIENT", value_name = "KEY")]
    client: String,
    /// How much it may do.
    #[arg(long, env = "FOREMAN_GRANT_LEVEL", value_enum, default_value_t = LevelName::View)]
    level: LevelName,
    /// How long it counts: `30d`, `12h`.
    #[arg(long = "for", env = "FOREMAN_GRANT_FOR", default_value = "30d", value_parser = humantime::parse_duration, value_name = "TIME")]
    lasts: Duration,
    /// Whose it is, for people: `Mia's phone`.
    #[arg(long, env = "FOREMAN_GRANT_NAME")]
    name: String,
}

#[derive(Debug, Args)]
pub struct GrantsOptions {
    /// Its name, or the beginning of its id.
    device: String,
}

#[derive(Debug, Args)]
pub struct RevokeOptions {
    /// Its name, or the beginning of its id.
    device: String,
    /// One grant, by its id.
    #[arg(long, env = "FOREMAN_REVOKE_GRANT", value_name = "ID")]
    grant: Option<GrantId>,
    /// Every grant of this client, those of the future too.
    #[arg(long, env = "FOREMAN_REVOKE_CLIENT", value_name = "KEY", conflicts_with = "grant")]
    client: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LevelName {
    /// See.
    View,
    /// See and do.
    Operate,
    /// Decide.
    Admin,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::View => Self::View,
            LevelName::Operate => Self::Operate,
            LevelName::Admin => Self::Admin,
        }
    }
}

pub async fn grant(context: &Context, options: GrantOptions) -> Result<()> {
    decode_key(&options.client)
        .context("--client should be what `foreman keys` shows on the other machine")?;
    let device = known(context, &options.device).await?;
    let new = NewGrant {
        client: options.client,
        name: options.name,
        level: options.level.into(),
        lasts: options.lasts,
    };
    let (grant, signed) = make_grant(&context.store.owner_key()?, &device, &new);
    let not_carried = match context.maybe_server()? {
        Some(server) => match server.add_grant(device.id, &signed).await {
            Ok(_) => None,
            // A refusal is an answer, and a line to carry by hand is not the way around it.
            Err(error) if error.code().is_some() => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        },
        None => Some("you are not signed in".to_owned()),
    };
    if let Some(why) = &not_carried {
        note(format!(
            "no server carries it ({why}): on the client, `foreman trust {} --grant LINE` takes the line below",
            device.id
        ));
    }
    if context.json {
        let carried = not_carried.is_none();
        return json(&serde_json::json!({ "grant": grant, "signed": signed, "carried": carried }));
    }
    note(format!(
        "{} may {} on {} until {}; it counts there as soon as the device trusts your key",
        grant.name,
        grant.level.as_str(),
        device.name,
        moment(grant.expires_at)
    ));
    say(signed);
    Ok(())
}

pub async fn list(context: &Context, options: GrantsOptions) -> Result<()> {
    let named = context.find(&options.device).await?;
    let grants: Vec<_> = context.server()?.grants(named.id).try_collect().await?;
    if context.json {
        return json(&grants);
    }
    let rows: Vec<_> = grants
        .into_iter()
        .map(|carried| {
            let grant = carried.grant;
            let until = match (carried.revoked_at, carried.revoke_asked_at) {
                (Some(at), _) => format!("taken back {}", moment(at)),
                (None, _) if grant.expires_at <= now() => format!("expired {}", moment(grant.expires_at)),
                (None, Some(_)) => {
                    format!("until {}, unless the device takes it back as asked", moment(grant.expires_at))
                }
                (None, None) => format!("until {}", moment(grant.expires_at)),
            };
            [grant.name, grant.level.as_str().to_owned(), until, grant.client, grant.id.to_string()]
        })
        .collect();
    table(["NAME", "LEVEL", "COUNTS", "CLIENT", "ID"], &rows);
    Ok(())
}

pub async fn revoke(context: &Context, options: RevokeOptions) -> Result<()> {
    let revokes = match (options.grant, options.client) {
        (Some(id), _) => Revoked::Grant(id),
        (None, Some(client)) => Revoked::Client(client),
        (None, None) => bail!("Say what to take back: --grant ID, or --client KEY for all of a client's"),
    };
    let device = known(context, &options.device).await?;
    match take_back(context, &device, revokes).await? {
        Said::Holds(said) | Said::Carried(said) => say(said),
        Said::OnlyOwners => bail!("Only an owner of {} can do that. Nothing was taken back", device.name),
    }
    Ok(())
}

/// What became of a revocation.
pub enum Said {
    /// The device said that it holds.
    Holds(String),
    /// A server brings it to the device, which has not said anything.
    Carried(String),
    /// The device said that this user is no owner there.
    OnlyOwners,
}

/// Signs a revocation and tells the device, and the server, which carries it too; says who knows it.
///
/// # Errors
/// When neither could be told. It is kept and the device is told when it is reached next.
pub async fn take_back(context: &Context, device: &KnownDevice, revokes: Revoked) -> Result<Said> {
    let server = context.maybe_server()?;
    let taken =
        device::take_back(&context.store, server.as_ref(), device, revokes, context.options()).await?;
    if taken.is_for_owners() {
        return Ok(Said::OnlyOwners);
    }
    let name = &device.name;
    match (taken.device, taken.server) {
        (Ok(()), None | Some(Ok(()))) => {
            Ok(Said::Holds(format!("Taken back on {name}: it holds, and what was open is closed.")))
        }
        (Ok(()), Some(Err(error))) => Ok(Said::Holds(format!(
            "Taken back on {name}: it holds, and what was open is closed. The server does not carry it: {error}"
        ))),
        (Err(error), Some(Ok(()))) => Ok(Said::Carried(format!(
            "The server carries it to {name}, which could not be told straight ({error}). It holds once {name} has it, if \
             your key is an owner's there: `foreman grants {name}` says when. It is told once more when `foreman` \
             reaches it next."
        ))),
        (Err(error), None) => Err(untold(name, &error.into())),
        (Err(error), Some(Err(of_server))) => Err(untold(name, &anyhow!("{error}; the server: {of_server}"))),
    }
}

fn untold(name: &str, error: &anyhow::Error) -> anyhow::Error {
    anyhow!(
        "{name} could not be told ({error:#}), so what was open there may go on. It is signed and kept, and {name} is \
         told when `foreman` reaches it next, as with `foreman status {name}`"
    )
}

/// A device with its pinned identity.
async fn known(context: &Context, which: &str) -> Result<KnownDevice> {
    Ok(context.open(which).await?.known())
}
