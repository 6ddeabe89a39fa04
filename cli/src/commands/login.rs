//! `foreman login`: a token that exists, or one that a signed-in person approves, by a code or in a browser.

use anyhow::{Context as _, Result};
use clap::Args;
use foreman_client::{BrowserSignIn, DeviceSignIn, Foreman, LoopbackReturn, SignInError, device::SignIn};

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
    /// Open the browser of this machine to sign in, which comes back here by itself. Where there is none, a code is
    /// shown.
    #[arg(long, env = "FOREMAN_LOGIN_BROWSER", conflicts_with = "token")]
    browser: bool,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let given = std::env::var("FOREMAN_TOKEN").ok().filter(|token| !token.trim().is_empty());
    let token = match (&options.token, given) {
        (Some(file), _) => secret(file)?,
        (None, Some(token)) => token.trim().to_owned(),
        (None, None) if options.browser => allowed(&options.url).await?,
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
    let waiting = DeviceSignIn::start(url, &client_name()).await?;
    let code = waiting.code();
    note(format!("open {} and compare the code: {}", code.verification_uri_complete, code.user_code));
    note(format!("or type it at {}; it is good for {} minutes", code.verification_uri, code.expires_in / 60));
    Ok(waiting.wait().await?.token)
}

/// By the browser of this machine; by a code where that cannot be.
async fn allowed(url: &str) -> Result<String> {
    if !has_browser() {
        note("no browser can be opened on this machine, so a code is shown instead");
        return approved(url).await;
    }
    let home = LoopbackReturn::open().await.context("no port of this machine is free for the way back")?;
    let attempt = match BrowserSignIn::begin_for_port(url, &client_name(), &home).await {
        Err(SignInError::NotOffered) => {
            note("this server does not offer to sign in by the browser, so a code is shown instead");
            return approved(url).await;
        }
        begun => begun?,
    };
    if let Err(error) = open::that_detached(attempt.page()) {
        note(format!("no browser could be opened ({error}), so a code is shown instead"));
        return approved(url).await;
    }
    note("sign in and allow it in the browser that was opened");
    note(format!("if there is none, open this on this machine: {}", attempt.page()));
    let returned = home.wait(&attempt).await?;
    Ok(attempt.finish(returned).await?.token)
}

/// Whether there is a screen that a browser could be on. Elsewhere than on Linux and its like there always is.
fn has_browser() -> bool {
    let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos"))
        || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(named)
}

/// Shown to whoever approves, and in the list of tokens.
fn client_name() -> String {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    format!("foreman on {host}").chars().take(64).collect()
}
