//! `foreman status`: every way to a device, this user's right there, and the device's own rules.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use foreman_client::PathKind;
use foreman_protocol::{Level, Policy};
use serde_json::json;

use crate::{
    context::Context,
    output::{json as print, latency, moment, say, table},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let device = context.open(&options.device).await?;
    let asked = Instant::now();
    let hello = async {
        let hello = device.hello().await;
        (hello, asked.elapsed())
    };
    let has_grant = device.known().grant.is_some();
    let tries = async { if has_grant { device.survey().await } else { Vec::new() } };
    // Both at once: a device that is not there is waited for once.
    let ((hello, answered), tries) = tokio::join!(hello, tries);
    let state = device.path();
    if context.json {
        let ways: Vec<_> = tries
            .iter()
            .map(|one| {
                let ms = one.outcome.as_ref().ok().map(|time| time.as_secs_f64() * 1000.0);
                json!({"path": one.kind, "address": one.address, "latency_ms": ms, "error": one.outcome.as_ref().err()})
            })
            .collect();
        let error = hello.as_ref().err().map(ToString::to_string);
        return print(&json!({
            "device": device.known().name, "path": state.kind, "trouble": state.trouble, "paths": ways,
            "hello": hello.ok(), "error": error,
        }));
    }
    say(format!("{} ({})", device.known().name, device.known().id));
    match state.kind {
        Some(PathKind::Server) => {
            say(format!("reached   through the server ({}), which can read what is sent", latency(answered)));
        }
        Some(kind) => {
            let took = state.latency.map(|time| format!(", {}", latency(time))).unwrap_or_default();
            say(format!("reached   over {kind} ({}){took}, end to end", state.address));
        }
        None => say("reached   not now"),
    }
    if let Some(trouble) = &state.trouble {
        say(format!("because   {trouble}"));
    }
    if let Ok(hello) = &hello {
        say(format!("you may   {} until {}", may(hello.level), moment(hello.expires_at)));
        say(format!("policy    {}", policy(&hello.policy)));
        say(format!("agent     {}", hello.agent_version));
    }
    if !tries.is_empty() {
        say("");
        let rows: Vec<_> = tries
            .into_iter()
            .map(|one| {
                let outcome = one.outcome.map(latency).unwrap_or_else(|why| format!("no: {why}"));
                [one.kind.to_string(), one.address, outcome]
            })
            .collect();
        table(["WAY", "WHERE", "THERE AND BACK"], &rows);
    }
    hello.map(drop).map_err(Into::into)
}

const fn may(level: Level) -> &'static str {
    match level {
        Level::View => "look",
        Level::Operate => "look and do",
        Level::Admin => "look, do and decide",
    }
}

fn policy(policy: &Policy) -> String {
    let allowed = [
        (policy.allow_bash, "commands"),
        (policy.allow_file_read, "reading files"),
        (policy.allow_file_write, "writing files"),
        (policy.allow_logs, "logs"),
        (policy.allow_models, "models"),
    ];
    let allowed: Vec<_> = allowed.into_iter().filter_map(|(is, what)| is.then_some(what)).collect();
    let mut text = if allowed.is_empty() {
        "allows nothing".to_owned()
    } else {
        format!("allows {}", allowed.join(", "))
    };
    if !policy.allowed_paths.is_empty() {
        text += &format!("; only below {}", policy.allowed_paths.join(", "));
    }
    if !policy.blocked_paths.is_empty() {
        text += &format!("; never {}", policy.blocked_paths.join(", "));
    }
    text
}
