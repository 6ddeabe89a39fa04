//! `foreman login`: a token that exists, or one that a signed-in person approves.

use anyhow::{Context as _, Result};
use clap::Args;
use foreman_client::{DeviceSignIn, Foreman, device::SignIn};

use crate::{
    context::{Context, secret},
    output::{json, note, say},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Where the server is.
    #[arg(env = "FOREMAN_URL", default_value = "http://127.0.0.1:3001")]
    url: String,
    /// File with a token made by `foreman-server token create`, or `-` for standard input. Without it, and without
    /// FOREMAN_TOKEN, a code is shown to approve in the dashboard.
    #[arg(long, env = "FOREMAN_TOKEN_FILE", value_name = "FILE")]
    token: Option<String>,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let given = std::env::var("FOREMAN_TOKEN").ok().filter(|token| !token.trim().is_empty());
    let token = match (&options.token, given) {
        (Some(file), _) => secret(file)?,
        (None, Some(token)) => token.trim().to_owned(),
        (None, None) => approved(&options.url).await?,
    };
    let me = Foreman::new(&options.url, &token)?.me().await.context("The token was not kept")?;
    context.store.set_sign_in(Some(&SignIn { url: options.url.clone(), token }))?;
    if context.json {
        return json(&me);
    }
    say(format!("Signed in to {} as {} ({}).", options.url, me.name, me.role.as_str()));
    Ok(())
}

async fn approved(url: &str) -> Result<String> {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let waiting =
        DeviceSignIn::start(url, &format!("foreman on {host}").chars().take(64).collect::<String>()).await?;
    let code = waiting.code();
    note(format!("open {} and compare the code: {}", code.verification_uri_complete, code.user_code));
    note(format!("or type it at {}; it is good for {} minutes", code.verification_uri, code.expires_in / 60));
    Ok(waiting.wait().await?.token)
}
