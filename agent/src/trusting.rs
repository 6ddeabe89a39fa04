//! `trust` and `rotate-key`: people on this device say who may reach it. A running agent follows at once.

use std::time::{Duration, SystemTime};

use anyhow::bail;
use foreman_machine::run::Moment;

use crate::{
    identity::{Identity, public_key},
    link::{
        keys::LinkKeys,
        trust::{Dashboard, Trust, owner_key},
    },
    state::{State, remove_file},
};

/// What to do about trust.
#[derive(Debug, Clone)]
pub enum Trusting {
    List,
    Add {
        key: String,
        name: Option<String>,
    },
    /// By key or by name.
    Remove {
        owner: String,
    },
    Dashboard(Dashboard),
}

/// Does it, and says so in one line for each thing.
///
/// # Errors
/// With one sentence that says what happened, what was kept and what to do.
pub fn change(state: &State, what: Trusting) -> anyhow::Result<Vec<String>> {
    let path = state.trust();
    let identity = Identity::load(&state.identity());
    let to_join = matches!(identity, Ok(None));
    let mut trust = if to_join { Trust::load_for_joining(&path)? } else { Trust::load(&path)? };
    if !matches!(what, Trusting::List) {
        state.prepare()?;
    }
    match what {
        Trusting::List => Ok(lines(&trust, identity?.map(|identity| public_key(&identity.key)).as_deref())),
        Trusting::Add { key, name } => {
            let key = owner_key(&key)?;
            if !trust.add(&key, name.as_deref(), Moment::now().wall_ms) {
                return Ok(vec!["That owner is trusted already. Nothing was changed.".to_owned()]);
            }
            trust.save(&path)?;
            Ok(vec!["✓ Grants signed with this key count on this device from now on.".to_owned()])
        }
        Trusting::Remove { owner } => {
            let Some(removed) = trust.remove(&owner) else {
                bail!(
                    "No owner has the key or name {owner:?}. Nothing was changed. `foreman-agent trust list` shows them"
                );
            };
            trust.save(&path)?;
            let name = removed.name.unwrap_or(removed.key);
            Ok(vec![format!("✓ {name} is trusted no more; links by their grants are closed.")])
        }
        Trusting::Dashboard(level) => {
            trust.dashboard = level;
            // A grant of its own for each decision: one that an owner took back is not used again.
            remove_file(&state.server_grant())?;
            trust.save(&path)?;
            Ok(vec![dashboard_line(&trust)])
        }
    }
}

/// Makes a new link key; the old one is dead when this returns.
///
/// # Errors
/// With one sentence that says what happened, what was kept and what to do.
pub fn rotate_key(state: &State) -> anyhow::Result<Vec<String>> {
    if Identity::load(&state.identity())?.is_none() {
        bail!("This machine is not connected to a server, so it has no link key. Nothing was changed.");
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs();
    let keys = LinkKeys::rotate(&state.link_key(), now)?;
    Ok(vec![
        format!("✓ The link key is now number {}: {}", keys.serial, keys.secret.public()),
        "Links by the old key are closed. Clients fetch the new key from the server by themselves."
            .to_owned(),
    ])
}

/// Who a device is, as others are to know it, and whom it trusts, one line each.
#[must_use]
pub fn lines(trust: &Trust, identity: Option<&str>) -> Vec<String> {
    let identity = identity.map(|identity| format!("Identity   {identity}"));
    let owners = trust.owners.iter().map(|owner| {
        let since = date(owner.since);
        format!("Owner      {}  {} (since {since})", owner.key, owner.name.as_deref().unwrap_or("unnamed"))
    });
    let mut lines: Vec<String> = owners.collect();
    if lines.is_empty() {
        lines.push(
            "No owner: nobody but the server's dashboard reaches this device over the link.".to_owned(),
        );
    }
    lines.push(dashboard_line(trust));
    identity.into_iter().chain(lines).collect()
}

fn dashboard_line(trust: &Trust) -> String {
    let may = match trust.dashboard {
        Dashboard::None => "none: the server reaches nothing here, and its tasks are refused",
        Dashboard::View => "view: the server may look, and its tasks are refused",
        Dashboard::Operate => "operate: the server may look, act and run tasks, as the policy allows",
        Dashboard::Admin => "admin: the server may do everything that the policy allows",
    };
    format!("Dashboard  {may}")
}

/// As `2026-11-21`, UTC.
fn date(at: foreman_protocol::Millis) -> String {
    let since_epoch = Duration::from_millis(u64::try_from(at).unwrap_or(0));
    let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_epoch);
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    text.get(5..16).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use foreman_link::grant::Issuer;

    use super::*;

    #[test]
    fn owners_come_and_go_and_each_answer_says_what_is_so() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().join("state"));
        let said = |what| change(&state, what).map(|lines| lines.join("\n"));
        assert!(said(Trusting::List).unwrap().contains("No owner"));
        assert!(!state.dir().exists(), "looking makes nothing");
        let key = Issuer::generate().public();
        let add = |name: Option<&str>| Trusting::Add { key: key.clone(), name: name.map(str::to_owned) };
        assert!(said(add(None)).unwrap().starts_with('✓'));
        assert!(said(add(None)).unwrap().contains("already"));
        assert!(said(add(Some("Mia"))).unwrap().starts_with('✓'));
        let list = said(Trusting::List).unwrap();
        assert!(list.contains(&key) && list.contains("Mia") && list.contains("operate"), "{list}");
        let wrong = Trusting::Add { key: "x".to_owned(), name: None };
        assert!(said(wrong).unwrap_err().to_string().contains("not an owner's key"));
        assert!(said(Trusting::Remove { owner: "Tom".to_owned() }).is_err());
        assert!(said(Trusting::Remove { owner: "Mia".to_owned() }).unwrap().contains("no more"));
        assert!(said(Trusting::Dashboard(Dashboard::None)).unwrap().contains("tasks are refused"));
        assert_eq!(Trust::load(&state.trust()).unwrap().dashboard, Dashboard::None);
    }

    #[test]
    fn naming_an_owner_gives_a_server_nothing_on_a_device_that_lost_its_trust() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().to_owned());
        let identity = Identity {
            server: "http://127.0.0.1:1".to_owned(),
            device_id: foreman_protocol::DeviceId::fresh(),
            name: "spark".to_owned(),
            key: crate::identity::fresh_key(),
        };
        identity.save(&state.identity()).unwrap();
        assert!(
            change(&state, Trusting::List).unwrap().join("\n").contains("none: the server reaches nothing")
        );
        change(&state, Trusting::Add { key: Issuer::generate().public(), name: None }).unwrap();
        let kept = Trust::load(&state.trust()).unwrap();
        assert_eq!((kept.owners.len(), kept.dashboard), (1, Dashboard::None));
    }

    #[test]
    fn days_read_as_days() {
        assert_eq!(date(784_111_777_000), "06 Nov 1994");
        assert_eq!(date(-1), "01 Jan 1970");
    }
}
