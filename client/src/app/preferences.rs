//! What a person chose for this app on this device: kept in a file of its own, without any secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

pub use foreman_protocol::Language;
use serde::{Deserialize, Serialize};

use super::{ServerId, notices::NoticeRules, servers::write};
use crate::StoreError;

/// Everything that is chosen once for the app.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// As the dashboard last said; absent until then.
    pub language: Option<Language>,
    /// Goes on without a window after that was closed.
    pub background: bool,
    /// Keys that bring the palette from anywhere, as `CmdOrCtrl+Shift+Space`.
    pub shortcut: Option<String>,
    /// A phone's person shows who they are when the app starts, and when it comes back after a while.
    pub ask_at_start: bool,
    /// And before what cannot be undone.
    pub ask_before_acts: bool,
    notices: BTreeMap<ServerId, NoticeRules>,
    /// What Apple's push service knows this app by, of no use without the account of whoever made it …
    apple_token: Option<String>,
    /// … and the servers that have it.
    told_by_apple: BTreeSet<ServerId>,
}

impl Preferences {
    /// What is to be told of a server; the usual when nothing was chosen.
    #[must_use]
    pub fn notices(&self, server: &ServerId) -> NoticeRules {
        self.notices.get(server).cloned().unwrap_or_default()
    }

    pub fn set_notices(&mut self, server: &ServerId, rules: NoticeRules) {
        self.notices.insert(server.clone(), rules.bounded());
    }

    /// What a server reaches this app by through Apple; nothing where it does not.
    #[must_use]
    pub fn apple_token(&self, server: &ServerId) -> Option<&str> {
        self.apple_token.as_deref().filter(|_| self.told_by_apple.contains(server))
    }

    /// A server has the token that Apple gave last.
    pub fn set_apple_token(&mut self, server: &ServerId, token: String) {
        self.apple_token = Some(token);
        self.told_by_apple.insert(server.clone());
    }

    /// A server does not reach this app through Apple any more. True where none does.
    pub fn forget_apple_token(&mut self, server: &ServerId) -> bool {
        self.told_by_apple.remove(server);
        if self.told_by_apple.is_empty() {
            self.apple_token = None;
        }
        self.apple_token.is_none()
    }

    /// Nothing is kept of a server that was forgotten.
    pub fn forget(&mut self, server: &ServerId) {
        self.notices.remove(server);
        self.forget_apple_token(server);
    }
}

/// The preferences and the file they are kept in.
#[derive(Debug)]
pub struct PreferencesFile {
    path: PathBuf,
    kept: Preferences,
}

impl PreferencesFile {
    /// Preferences that cannot be read are the usual ones again: nothing in them is worth an app that does not start.
    #[must_use]
    pub fn load(path: PathBuf) -> Self {
        let kept = fs::read(&path).map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        Self { kept: kept.flatten().unwrap_or_default(), path }
    }

    #[must_use]
    pub const fn get(&self) -> &Preferences {
        &self.kept
    }

    /// Changes them and writes them down.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was changed.
    pub fn change(&mut self, change: impl FnOnce(&mut Preferences)) -> Result<(), StoreError> {
        let mut kept = self.kept.clone();
        change(&mut kept);
        if kept != self.kept {
            write(&self.path, &kept).map_err(|error| StoreError::Io { path: self.path.clone(), error })?;
            self.kept = kept;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_kept_and_a_damaged_file_is_the_usual() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app/preferences.json");
        let server = ServerId::fresh();
        let mut file = PreferencesFile::load(path.clone());
        assert_eq!(file.get().notices(&server), NoticeRules::default());
        let rules = NoticeRules { on: false, ..NoticeRules::default() };
        file.change(|kept| kept.set_notices(&server, rules.clone())).unwrap();
        file.change(|kept| kept.language = Some(Language::De)).unwrap();
        let again = PreferencesFile::load(path.clone());
        assert_eq!(again.get().notices(&server), rules);
        assert_eq!(again.get().language, Some(Language::De));
        file.change(|kept| kept.forget(&server)).unwrap();
        assert_eq!(PreferencesFile::load(path.clone()).get().notices(&server), NoticeRules::default());
        fs::write(&path, "{").unwrap();
        assert_eq!(PreferencesFile::load(path).get(), &Preferences::default());
    }

    #[test]
    fn one_token_of_apples_is_there_for_each_server_that_has_it_until_none_has() {
        let (home, cabin) = (ServerId::fresh(), ServerId::fresh());
        let mut kept = Preferences::default();
        kept.set_apple_token(&home, "ab".to_owned());
        assert_eq!((kept.apple_token(&home), kept.apple_token(&cabin)), (Some("ab"), None));
        kept.set_apple_token(&cabin, "cd".to_owned());
        assert_eq!(
            (kept.apple_token(&home), kept.apple_token(&cabin)),
            (Some("cd"), Some("cd")),
            "a newer one"
        );
        assert!(!kept.forget_apple_token(&home), "the other one has it");
        assert_eq!((kept.apple_token(&home), kept.apple_token(&cabin)), (None, Some("cd")));
        kept.forget(&cabin);
        assert_eq!(kept, Preferences::default());
        assert!(kept.forget_apple_token(&cabin));
    }
}
