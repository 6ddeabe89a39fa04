//! Signing in to providers of models. What crosses to the window is what a person sees: codes to type in, never tokens.

use foreman_client::app::{
    ServerId,
    providers_sign_in::{
        Definition, DefinitionError, DefinitionId, Endpoint, Flow, OAuth, Revoked, SignInState, SignInStep,
        Standing, Terms, VaultEntry,
    },
};
use foreman_protocol::ProviderKind;
use serde::{Deserialize, Serialize};
use tauri::{AppHandle, State, ipc::Channel};
use tauri_plugin_opener::OpenerExt;
use ts_rs::TS;
use zeroize::Zeroizing;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

/// A provider and how this app stands with it.
#[derive(Debug, Clone, Serialize, TS)]
pub struct ProviderSignIn {
    pub id: String,
    pub name: String,
    /// Anthropic's terms have to be said.
    pub terms: bool,
    /// Somebody has said as which client to sign in.
    pub configured: bool,
    /// It came with the app: it can be filled in, and not removed.
    pub shipped: bool,
    #[ts(type = "'signed_out' | 'signed_in' | 'ended'")]
    pub state: &'static str,
    pub under_way: bool,
    /// Milliseconds since the epoch.
    #[ts(type = "number | null")]
    pub signed_in_at: Option<i64>,
    #[ts(type = "number | null")]
    pub expires_at: Option<i64>,
    /// The app gets a new token before the old one ends.
    pub renews: bool,
    /// The name of the server that has the token.
    pub in_vault_of: Option<String>,
    /// That server is the one that is shown.
    pub in_vault_here: bool,
    /// A server could take it.
    pub fits_vault: bool,
    /// An API key does instead.
    pub api_key: bool,
    pub on_device: Option<SignInOnDevice>,
    pub configuration: SignInConfiguration,
}

/// Commands of the vendor's own program, for a terminal that the person sees.
#[derive(Debug, Clone, Serialize, TS)]
pub struct SignInOnDevice {
    pub program: String,
    pub sign_in: Vec<String>,
    pub sign_out: Vec<String>,
    /// Prints whether somebody is signed in.
    pub status: Option<Vec<String>>,
}

/// What a person fills in; empty is nothing. Public clients only: there is no secret in here.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct SignInConfiguration {
    pub id: String,
    pub name: String,
    #[ts(type = "'device' | 'browser'")]
    pub flow: Flow,
    pub issuer: String,
    pub authorization_endpoint: String,
    pub device_authorization_endpoint: String,
    pub token_endpoint: String,
    pub revocation_endpoint: String,
    pub client_id: String,
    /// With blanks in between.
    pub scopes: String,
    /// Where a server can use the token; only of one's own providers.
    pub api_address: String,
}

/// What the person has to do now.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProviderStep {
    Code {
        user_code: String,
        page: String,
        /// Seconds until it is worth nothing.
        expires_in: u32,
    },
    /// The browser was opened.
    Browser,
}

#[tauri::command]
pub async fn provider_sign_ins(desk: State<'_, Desk>) -> Result<Vec<ProviderSignIn>, Failure> {
    let standings = desk.sign_ins().await?.standings().await?;
    Ok(standings.into_iter().map(|standing| shown(&desk, standing)).collect())
}

/// Signs in; answers when it is done. `keep_in_vault`: the shown server gets the token too.
#[tauri::command]
pub async fn begin_provider_sign_in(
    desk: State<'_, Desk>,
    id: String,
    keep_in_vault: bool,
    steps: Channel<ProviderStep>,
) -> Result<(), Failure> {
    let id = id_of(id)?;
    let sign_ins = desk.sign_ins().await?;
    let tell = |step: SignInStep| {
        let (page, shown) = match step {
            SignInStep::Code(code) => {
                let page = code.page_with_code.as_ref().unwrap_or(&code.page).as_str().to_owned();
                let expires_in = u32::try_from(code.lives.as_secs()).unwrap_or(u32::MAX);
                (page, ProviderStep::Code { user_code: code.code, page: code.page.into(), expires_in })
            }
            SignInStep::Browser(page) => (page.into(), ProviderStep::Browser),
        };
        desk.providers.lead_to(&id, page);
        let _ = steps.send(shown);
    };
    sign_ins.begin(&id, tell).await?;
    desk.providers.forget_page(&id);
    if keep_in_vault { hand_over(&desk, &id).await } else { take_back(&desk, &id).await }
}

/// Opens the page of the attempt that is under way, in the browser.
#[tauri::command]
pub fn open_provider_page(desk: State<'_, Desk>, app: AppHandle, id: String) -> Result<(), Failure> {
    let Some(page) = desk.providers.page(&id_of(id)?) else { return Ok(()) };
    let failed = |error: tauri_plugin_opener::Error| Failure::new(AppCode::ProgramFailed, error.to_string());
    app.opener().open_url(page, None::<&str>).map_err(failed)
}

#[tauri::command]
pub async fn cancel_provider_sign_in(desk: State<'_, Desk>, id: String) -> Result<(), Failure> {
    desk.sign_ins().await?.cancel(&id_of(id)?);
    Ok(())
}

/// Whether the provider took the token back. The server's copy goes first: it must not be used on.
#[tauri::command]
pub async fn sign_out_of_provider(desk: State<'_, Desk>, id: String) -> Result<String, Failure> {
    let id = id_of(id)?;
    let sign_ins = desk.sign_ins().await?;
    let untold = take_back(&desk, &id).await.is_err();
    let revoked = match sign_ins.sign_out(&id).await? {
        _ if untold => "server_untold",
        Revoked::Yes => "yes",
        Revoked::NotOffered => "not_offered",
        Revoked::Failed => "failed",
    };
    Ok(revoked.to_owned())
}

/// Puts the token into the vault of the server that is shown, or takes it out of the one it is in.
#[tauri::command]
pub async fn keep_provider_sign_in(desk: State<'_, Desk>, id: String, in_vault: bool) -> Result<(), Failure> {
    let id = id_of(id)?;
    if in_vault { hand_over(&desk, &id).await } else { take_back(&desk, &id).await }
}

/// Adds a provider to sign in to, or fills in one that came with the app.
#[tauri::command]
pub async fn configure_provider(
    desk: State<'_, Desk>,
    configuration: SignInConfiguration,
) -> Result<(), Failure> {
    let sign_ins = desk.sign_ins().await?;
    let wrong = |error: DefinitionError| Failure::new(AppCode::WrongConfiguration, error.to_string());
    let id = id_of(configuration.id.clone())?;
    let known = sign_ins.definitions().get(&id);
    let definition = configuration.definition(id, known).map_err(wrong)?;
    definition.check().map_err(wrong)?;
    sign_ins.definitions().put(definition)?;
    Ok(())
}

/// Takes that back; who is signed in there stays so until they sign out.
#[tauri::command]
pub async fn forget_provider(desk: State<'_, Desk>, id: String) -> Result<(), Failure> {
    let id = id_of(id)?;
    let sign_ins = desk.sign_ins().await?;
    let _ = take_back(&desk, &id).await;
    sign_ins.sign_out(&id).await?;
    sign_ins.definitions().remove(&id)?;
    Ok(())
}

/// Opens the file that stands in for a keychain, or makes it. Asked once for each start of the app.
#[tauri::command]
pub async fn open_secret_file(desk: State<'_, Desk>, passphrase: String) -> Result<(), Failure> {
    desk.open_secret_file(Zeroizing::new(passphrase)).await
}

impl SignInConfiguration {
    fn of(definition: &Definition) -> Self {
        let oauth = &definition.oauth;
        let text =
            |endpoint: &Option<Endpoint>| endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            id: definition.id.to_string(),
            name: definition.name.clone(),
            flow: oauth.flow,
            issuer: text(&oauth.issuer),
            authorization_endpoint: text(&oauth.authorization_endpoint),
            device_authorization_endpoint: text(&oauth.device_authorization_endpoint),
            token_endpoint: text(&oauth.token_endpoint),
            revocation_endpoint: text(&oauth.revocation_endpoint),
            client_id: oauth.client_id.clone().unwrap_or_default(),
            scopes: oauth.scopes.join(" "),
            api_address: definition.vault.as_ref().map(|entry| text(&entry.base_url)).unwrap_or_default(),
        }
    }

    fn definition(self, id: DefinitionId, known: Option<Definition>) -> Result<Definition, DefinitionError> {
        let endpoint = |text: String| match text.trim() {
            "" => Ok(None),
            text => Endpoint::try_from(text.to_owned()).map(Some),
        };
        let api = endpoint(self.api_address)?;
        let vault = api.map(|base| VaultEntry { kind: ProviderKind::OpenaiCompatible, base_url: Some(base) });
        let before = known.as_ref().map(|known| &known.oauth);
        let oauth = OAuth {
            flow: self.flow,
            issuer: endpoint(self.issuer)?,
            authorization_endpoint: endpoint(self.authorization_endpoint)?,
            device_authorization_endpoint: endpoint(self.device_authorization_endpoint)?,
            token_endpoint: endpoint(self.token_endpoint)?,
            revocation_endpoint: endpoint(self.revocation_endpoint)?,
            revoke_page: before.and_then(|before| before.revoke_page.clone()),
            client_id: Some(self.client_id.trim().to_owned()).filter(|client| !client.is_empty()),
            scopes: self.scopes.split_whitespace().map(str::to_owned).collect(),
            token_request: before.map(|before| before.token_request).unwrap_or_default(),
        };
        let name = self.name.trim().to_owned();
        Ok(Definition { id, name, terms: None, oauth, on_device: None, api_key: None, vault })
    }
}

fn id_of(id: String) -> Result<DefinitionId, Failure> {
    id.try_into()
        .map_err(|error: DefinitionError| Failure::new(AppCode::WrongConfiguration, error.to_string()))
}

async fn hand_over(desk: &Desk, id: &DefinitionId) -> Result<(), Failure> {
    let (to, server) = (desk.selected()?, desk.server().await?);
    let sign_ins = desk.sign_ins().await?;
    let elsewhere = sign_ins
        .standings()
        .await?
        .into_iter()
        .any(|one| one.definition.id == *id && one.handed.is_some_and(|handed| handed.server != to.id));
    if elsewhere {
        take_back(desk, id).await?;
    }
    Ok(sign_ins.hand_over(id, &to.id, &server).await?)
}

async fn take_back(desk: &Desk, id: &DefinitionId) -> Result<(), Failure> {
    let sign_ins = desk.sign_ins().await?;
    let standings = sign_ins.standings().await?;
    let handed = standings.into_iter().find(|one| one.definition.id == *id).and_then(|one| one.handed);
    let Some(handed) = handed else { return Ok(()) };
    let known = desk.servers().get(&handed.server).cloned().ok_or_else(Failure::no_server)?;
    let server = desk.foreman(&known).await?.ok_or_else(Failure::no_server)?;
    Ok(sign_ins.take_back(id, &server).await?)
}

fn shown(desk: &Desk, standing: Standing) -> ProviderSignIn {
    let definition = &standing.definition;
    let name = |id: &ServerId| desk.servers().get(id).map(|server| server.name.clone()).unwrap_or_default();
    let selected = desk.selected().ok().map(|server| server.id);
    let handed = standing.handed.map(|handed| handed.server);
    ProviderSignIn {
        id: definition.id.to_string(),
        name: definition.name.clone(),
        terms: definition.terms == Some(Terms::Anthropic),
        configured: definition.oauth.is_configured(),
        shipped: standing.shipped,
        state: match standing.state {
            SignInState::SignedOut => "signed_out",
            SignInState::SignedIn => "signed_in",
            SignInState::Ended => "ended",
        },
        under_way: standing.under_way,
        signed_in_at: standing.signed_in_at,
        expires_at: standing.expires_at,
        renews: standing.renews,
        in_vault_here: handed.is_some() && handed == selected,
        in_vault_of: handed.as_ref().map(name),
        fits_vault: definition.vault.is_some(),
        api_key: definition.api_key.is_some(),
        on_device: definition.on_device.clone().map(|one| SignInOnDevice {
            program: one.program,
            sign_in: one.sign_in,
            sign_out: one.sign_out,
            status: one.status,
        }),
        configuration: SignInConfiguration::of(definition),
    }
}
