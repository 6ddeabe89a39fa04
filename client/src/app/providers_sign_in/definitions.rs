//! Which providers somebody can sign in to: those that come with the app, and what a person added or filled in.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use super::{Definition, DefinitionError, DefinitionId};
use crate::StoreError;

const SHIPPED: &str = include_str!("definitions.json");
/// More than anybody signs in to; a bound all the same.
const MOST: usize = 32;
/// Of the file. Bytes.
const LONGEST: u64 = 256 * 1024;

/// The list: what was shipped, and a file over it.
#[derive(Debug)]
pub struct Definitions {
    path: PathBuf,
    shipped: Vec<Definition>,
    own: Vec<Definition>,
}

impl Definitions {
    /// # Errors
    /// [`StoreError`] when the file cannot be read or holds something else; it is left as it is.
    pub fn load(path: PathBuf) -> Result<Self, StoreError> {
        let damaged =
            |error: DefinitionError| StoreError::Damaged { path: path.clone(), reason: error.to_string() };
        let shipped = parse(SHIPPED).map_err(damaged)?;
        let own = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Ok(meta) if meta.len() > LONGEST => {
                return Err(damaged(DefinitionError::TooMany { most: MOST }));
            }
            _ => {
                let text = fs::read_to_string(&path)
                    .map_err(|error| StoreError::Io { path: path.clone(), error })?;
                parse(&text).map_err(damaged)?
            }
        };
        Ok(Self { path, shipped, own })
    }

    /// Of a shipped one, only how to sign in can be filled in: what it is called and who keeps its token stays.
    #[must_use]
    pub fn all(&self) -> Vec<Definition> {
        let filled = self.shipped.iter().map(|shipped| match self.own(&shipped.id) {
            Some(own) => Definition { oauth: own.oauth.clone(), ..shipped.clone() },
            None => shipped.clone(),
        });
        let added = self.own.iter().filter(|own| !self.is_shipped(&own.id)).cloned();
        filled.chain(added).collect()
    }

    #[must_use]
    pub fn get(&self, id: &DefinitionId) -> Option<Definition> {
        self.all().into_iter().find(|one| one.id == *id)
    }

    #[must_use]
    pub fn is_shipped(&self, id: &DefinitionId) -> bool {
        self.shipped.iter().any(|one| one.id == *id)
    }

    /// Whether somebody added it or filled it in.
    #[must_use]
    pub fn own(&self, id: &DefinitionId) -> Option<&Definition> {
        self.own.iter().find(|one| one.id == *id)
    }

    /// Adds one, or fills one in.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn put(&mut self, definition: Definition) -> Result<(), StoreError> {
        let mut own = self.own.clone();
        own.retain(|one| one.id != definition.id);
        own.push(definition);
        checked(&own)
            .map_err(|error| StoreError::Damaged { path: self.path.clone(), reason: error.to_string() })?;
        self.keep(own)
    }

    /// Takes back what [`Self::put`] did.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn remove(&mut self, id: &DefinitionId) -> Result<(), StoreError> {
        let own = self.own.iter().filter(|one| one.id != *id).cloned().collect();
        self.keep(own)
    }

    fn keep(&mut self, own: Vec<Definition>) -> Result<(), StoreError> {
        write(&self.path, &own).map_err(|error| StoreError::Io { path: self.path.clone(), error })?;
        self.own = own;
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<Definition>, DefinitionError> {
    let all: Vec<Definition> = serde_json::from_str(text)
        .map_err(|error| DefinitionError::Unreadable { reason: error.to_string() })?;
    checked(&all)?;
    Ok(all)
}

fn checked(all: &[Definition]) -> Result<(), DefinitionError> {
    if all.len() > MOST {
        return Err(DefinitionError::TooMany { most: MOST });
    }
    for (at, one) in all.iter().enumerate() {
        one.check()?;
        if all[..at].iter().any(|before| before.id == one.id) {
            return Err(DefinitionError::Twice { id: one.id.to_string() });
        }
    }
    Ok(())
}

/// All or nothing, so that a crash leaves the old list or the new one.
fn write(path: &Path, own: &[Definition]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(own)?)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::providers_sign_in::Flow;

    fn id(text: &str) -> DefinitionId {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn nothing_that_is_shipped_signs_in_as_somebody_else() {
        let folder = tempfile::tempdir().unwrap();
        let all = Definitions::load(folder.path().join("x.json")).unwrap().all();
        assert_eq!(all.len(), 2);
        // A client id is its registrant's: the app has none of its own, and uses nobody else's.
        assert!(all.iter().all(|one| one.oauth.client_id.is_none() && !one.oauth.is_configured()));
        let claude = all.iter().find(|one| one.id == id("claude")).unwrap();
        assert!(claude.oauth.authorization_endpoint.is_none() && claude.oauth.token_endpoint.is_none());
        assert!(claude.terms.is_some() && claude.api_key.is_some() && claude.on_device.is_some());
    }

    #[test]
    fn what_a_person_fills_in_changes_only_the_sign_in_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app/sign-ins.json");
        let mut all = Definitions::load(path.clone()).unwrap();
        let mut filled = all.get(&id("github-copilot")).unwrap();
        filled.oauth.client_id = Some("Ov23".to_owned());
        filled.name = "Something else".to_owned();
        filled.vault = None;
        all.put(filled).unwrap();
        let again = Definitions::load(path.clone()).unwrap();
        let copilot = again.get(&id("github-copilot")).unwrap();
        assert!(copilot.oauth.is_configured() && copilot.name == "GitHub Copilot" && copilot.vault.is_some());
        assert_eq!(copilot.oauth.flow, Flow::Device);
        all.remove(&id("github-copilot")).unwrap();
        assert!(!Definitions::load(path).unwrap().get(&id("github-copilot")).unwrap().oauth.is_configured());
    }

    #[test]
    fn a_damaged_list_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sign-ins.json");
        for text in ["{", r#"[{"id":"a"}]"#, r#"[{"id":"a","name":"A","oauth":{"flow":"magic"}}]"#] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Definitions::load(path.clone()), Err(StoreError::Damaged { .. })), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
