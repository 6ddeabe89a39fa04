//! The servers an app knows and which of them is shown. No secret is in here: bearers are kept by a
//! [`super::SecretStore`] under the server's id.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use foreman_protocol::Millis;
use serde::{Deserialize, Serialize};

use super::ServerAddress;
use crate::StoreError;

/// More than anybody has; a bound all the same.
const MOST: usize = 64;

/// Names a server on this machine only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(String);

impl ServerId {
    #[must_use]
    pub fn fresh() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A server that was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownServer {
    pub id: ServerId,
    /// For people; the host at first.
    pub name: String,
    pub address: ServerAddress,
    pub added_at: Millis,
    /// This app runs it.
    #[serde(default)]
    pub runs_here: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    servers: Vec<KnownServer>,
    #[serde(default)]
    selected: Option<ServerId>,
}

/// The list, kept in a file.
#[derive(Debug)]
pub struct Servers {
    path: PathBuf,
    kept: Kept,
}

impl Servers {
    /// # Errors
    /// [`StoreError`] when what is there cannot be read; it is left as it is.
    pub fn load(path: PathBuf) -> Result<Self, StoreError> {
        let kept = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| StoreError::Damaged { path: path.clone(), reason: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(StoreError::Io { path, error }),
        };
        Ok(Self { path, kept })
    }

    #[must_use]
    pub fn all(&self) -> &[KnownServer] {
        &self.kept.servers
    }

    #[must_use]
    pub fn get(&self, id: &ServerId) -> Option<&KnownServer> {
        self.kept.servers.iter().find(|server| server.id == *id)
    }

    /// The one that is shown.
    #[must_use]
    pub fn selected(&self) -> Option<&KnownServer> {
        self.kept.selected.as_ref().and_then(|id| self.get(id))
    }

    /// Adds one and selects it. An address that is known already keeps its place and id.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn add(
        &mut self,
        address: ServerAddress,
        now: Millis,
        runs_here: bool,
    ) -> Result<ServerId, StoreError> {
        let mut kept = self.kept.clone();
        let known = kept
            .servers
            .iter_mut()
            .find(|server| server.address == address || (runs_here && server.runs_here));
        let id = match known {
            Some(server) => {
                server.runs_here |= runs_here;
                server.address = address;
                server.id.clone()
            }
            None => {
                kept.servers.truncate(MOST - 1);
                let (id, name) = (ServerId::fresh(), address.host());
                kept.servers.push(KnownServer { id: id.clone(), name, address, added_at: now, runs_here });
                id
            }
        };
        kept.selected = Some(id.clone());
        self.keep(kept)?;
        Ok(id)
    }

    /// Shows another one; an unknown id changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn select(&mut self, id: &ServerId) -> Result<bool, StoreError> {
        if self.get(id).is_none() {
            return Ok(false);
        }
        self.keep(Kept { selected: Some(id.clone()), ..self.kept.clone() })?;
        Ok(true)
    }

    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn rename(&mut self, id: &ServerId, name: &str) -> Result<(), StoreError> {
        let name: String = name.trim().chars().filter(|c| !c.is_control()).take(64).collect();
        let mut kept = self.kept.clone();
        if let Some(server) = kept.servers.iter_mut().find(|server| server.id == *id && !name.is_empty()) {
            server.name = name;
            self.keep(kept)?;
        }
        Ok(())
    }

    /// Forgets one; the first of the others is shown then.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn forget(&mut self, id: &ServerId) -> Result<(), StoreError> {
        let mut kept = self.kept.clone();
        kept.servers.retain(|server| server.id != *id);
        if kept.selected.as_ref() == Some(id) {
            kept.selected = kept.servers.first().map(|server| server.id.clone());
        }
        self.keep(kept)
    }

    fn keep(&mut self, kept: Kept) -> Result<(), StoreError> {
        write(&self.path, &kept).map_err(|error| StoreError::Io { path: self.path.clone(), error })?;
        self.kept = kept;
        Ok(())
    }
}

/// All or nothing, so that a crash leaves what was there or what is new.
pub(super) fn write(path: &Path, kept: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ServerAddress {
        ServerAddress::typed(text).unwrap()
    }

    #[test]
    fn servers_are_kept_switched_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app/servers.json");
        let mut servers = Servers::load(path.clone()).unwrap();
        let home = servers.add(address("http://127.0.0.1:1"), 1, true).unwrap();
        let work = servers.add(address("https://work.example"), 2, false).unwrap();
        assert_eq!(servers.add(address("https://work.example/"), 3, false).unwrap(), work);
        assert_eq!(servers.selected().unwrap().id, work);
        assert!(servers.select(&home).unwrap());
        assert!(!servers.select(&ServerId::fresh()).unwrap());
        let again = Servers::load(path.clone()).unwrap();
        assert_eq!(again.all().len(), 2);
        assert_eq!(again.selected().unwrap().name, "127.0.0.1:1");
        servers.rename(&home, " Home\tlab\n").unwrap();
        servers.rename(&home, " ").unwrap();
        assert_eq!(Servers::load(path.clone()).unwrap().get(&home).unwrap().name, "Homelab");
        servers.forget(&home).unwrap();
        assert_eq!(Servers::load(path).unwrap().selected().unwrap().id, work);
    }

    #[test]
    fn the_own_server_keeps_its_id_when_its_port_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut servers = Servers::load(folder.path().join("servers.json")).unwrap();
        let first = servers.add(address("http://127.0.0.1:1"), 1, true).unwrap();
        assert_eq!(servers.add(address("http://127.0.0.1:2"), 2, true).unwrap(), first);
        assert_eq!(servers.all()[0].address.host(), "127.0.0.1:2");
    }

    #[test]
    fn a_damaged_list_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servers.json");
        fs::write(&path, "{").unwrap();
        assert!(matches!(Servers::load(path.clone()), Err(StoreError::Damaged { .. })));
        assert_eq!(fs::read_to_string(path).unwrap(), "{");
    }
}
