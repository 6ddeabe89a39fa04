//! Terminals of a device: opening, listing, ending. Watching and writing is in `attached`.

use foreman_protocol::{OpenTerminal, Page, Terminal, TerminalId, UpdateTerminal};
use reqwest::Method;

use super::{
    DeviceConnection,
    ask::Ask,
    attached::{AttachOptions, AttachedTerminal},
};
use crate::Error;

impl DeviceConnection {
    /// All terminals that run, and those that ended lately.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn terminals(&self) -> Result<Vec<Terminal>, Error> {
        self.json::<Page<Terminal>>(Ask::get("/terminals")).await.map(|page| page.items)
    }

    /// # Errors
    /// See [`Error`]; `not_found`.
    pub async fn terminal(&self, id: TerminalId) -> Result<Terminal, Error> {
        self.json(Ask::get(format!("/terminals/{id}"))).await
    }

    /// Starts a program in a new terminal; it lives on without anybody attached.
    ///
    /// # Errors
    /// See [`Error`]; `policy_forbids`.
    pub async fn open_terminal(&self, open: &OpenTerminal) -> Result<Terminal, Error> {
        self.once(Ask::post("/terminals").json(open)?).await
    }

    /// # Errors
    /// See [`Error`].
    pub async fn update_terminal(&self, id: TerminalId, change: &UpdateTerminal) -> Result<Terminal, Error> {
        self.json(Ask::new(Method::PATCH, format!("/terminals/{id}")).json(change)?).await
    }

    /// Ends a terminal and what runs in it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end_terminal(&self, id: TerminalId) -> Result<(), Error> {
        self.done(Ask::new(Method::DELETE, format!("/terminals/{id}"))).await
    }

    /// Watches a terminal and writes in it, over a link of its own, so that nothing else delays it. It survives the
    /// loss of paths.
    #[must_use]
    pub fn attach(&self, id: TerminalId, options: AttachOptions) -> AttachedTerminal {
        AttachedTerminal::start(self.clone(), id, options)
    }
}
