//! Who this token is, the server itself, and other tokens.

use foreman_protocol::{ApiToken, ApiTokenId, CreateApiToken, CreatedApiToken, Me, Page, ServerInfo};
use reqwest::Method;

use crate::{Error, Foreman, Listing, PageRequest, request::Query};

impl Foreman {
    /// What this server is and how it is set.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn server(&self) -> Result<ServerInfo, Error> {
        self.get("server", &Query::default()).await
    }

    /// Who this token stands for and what it may do.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn me(&self) -> Result<Me, Error> {
        self.get("session", &Query::default()).await
    }

    /// Takes back the rights of the token that this is made with.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.send_empty(Method::DELETE, "session").await
    }

    /// All tokens, without their secrets.
    #[must_use]
    pub fn tokens(&self) -> Listing<ApiToken> {
        self.listing("tokens".to_owned(), Query::default())
    }

    /// One page of the tokens.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tokens_page(&self, page: &PageRequest) -> Result<Page<ApiToken>, Error> {
        self.page("tokens", &Query::default(), page).await
    }

    /// Makes a token; its secret is shown this once.
    ///
    /// # Errors
    /// See [`Error`]; `forbidden` when this token's role is below admin or below the role asked for.
    pub async fn create_token(&self, token: &CreateApiToken) -> Result<CreatedApiToken, Error> {
        self.send_json(Method::POST, "tokens", token).await
    }

    /// Takes a token's rights away at once.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke_token(&self, id: ApiTokenId) -> Result<(), Error> {
        self.send_empty(Method::DELETE, &format!("tokens/{id}")).await
    }
}
