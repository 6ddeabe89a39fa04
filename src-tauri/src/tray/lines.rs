//! What the menu in the tray says, line by line.

use foreman_client::app::{ServerId, notices::Words};
use tauri::{AppHandle, Manager};

use crate::{desk::Desk, watch::Fleet};

/// Servers that are listed; the window knows the others.
const MOST_SERVERS: usize = 5;
/// Of each server, devices that went away.
const MOST_OFFLINE: usize = 5;

/// The page that says why, and leads back in.
const SIGN_IN: &str = "/welcome?refused";

/// One line, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Only said.
    Words(String),
    /// Leads to a page, of this server when it is about one.
    Page {
        words: String,
        server: Option<ServerId>,
        page: String,
    },
    Open(String),
    Quit(String),
    Between,
}

pub fn of(app: &AppHandle) -> Vec<Line> {
    let desk = app.state::<Desk>();
    let words = Words::of(desk.preferences().get().language.unwrap_or_default());
    let known: Vec<_> = desk.servers().all().iter().take(MOST_SERVERS).cloned().collect();
    let mut lines = Vec::new();
    for server in &known {
        if let Some(fleet) = desk.watch.fleet(&server.id) {
            lines.extend(of_server(words, &server.id, &server.name, &fleet));
        }
    }
    if lines.is_empty() {
        lines.push(Line::Words(words.say("tray_no_server", &[])));
    }
    let page =
        |key, page: &str| Line::Page { words: words.say(key, &[]), server: None, page: page.to_owned() };
    lines.extend([
        Line::Between,
        Line::Open(words.say("tray_open", &[])),
        page("tray_work", "/work?new"),
        page("tray_devices", "/devices"),
        Line::Between,
        page("tray_settings", "/settings"),
        page("tray_about", "/settings/about"),
        Line::Between,
        Line::Quit(words.say("tray_quit", &[])),
    ]);
    lines
}

fn of_server(words: Words, id: &ServerId, name: &str, fleet: &Fleet) -> Vec<Line> {
    if fleet.signed_out {
        return vec![Line::Page {
            words: words.say("tray_signed_out", &[("server", name)]),
            server: Some(id.clone()),
            page: SIGN_IN.to_owned(),
        }];
    }
    if !fleet.live {
        return vec![Line::Words(words.say("tray_lost", &[("server", name)]))];
    }
    let number = |count: usize| count.to_string();
    let state = [("server", name), ("online", &number(fleet.online)), ("all", &number(fleet.devices))];
    let mut lines = vec![Line::Words(words.say("tray_state", &state))];
    if fleet.running > 0 {
        lines.push(Line::Page {
            words: words.say("tray_running", &[("count", &number(fleet.running))]),
            server: Some(id.clone()),
            page: "/work".to_owned(),
        });
    }
    lines.extend(fleet.offline.iter().take(MOST_OFFLINE).map(|(device, at)| Line::Page {
        words: words.say("notice_offline_title", &[("device", device)]),
        server: Some(id.clone()),
        page: format!("/devices/{at}"),
    }));
    lines
}
