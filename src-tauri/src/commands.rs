//! Everything the window may ask of the app. A command unpacks, calls and maps the error; what is decided is decided
//! elsewhere.

pub mod aside;
pub mod ask;
pub mod devices;
pub mod drafts;
pub mod outbox;
pub mod phone;
pub mod preferences;
pub mod providers;
pub mod saves;
pub mod servers;
pub mod shell;
pub mod updates;

use tauri::{Manager, ipc::Invoke};

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

/// What is answered while the app is locked: how it is opened, and what only ends something. Everything else shows or
/// changes what is its person's.
const WHILE_LOCKED: [&str; 6] = ["close_stream", "close_terminal", "lock", "phone", "tick", "unlock"];

/// Each command once, by the module it is in.
macro_rules! every_command {
    ($($module:ident: $($name:ident),*;)*) => {
        #[cfg(test)]
        pub const NAMES: &[&str] = &[$($(stringify!($name),)*)*];

        fn unguarded() -> impl Fn(Invoke) -> bool + Send + Sync + 'static {
            tauri::generate_handler![$($($module::$name,)*)*]
        }
    };
}

every_command! {
    aside: aside, take_in_aside, drop_aside;
    ask: ask, open_stream, close_stream, kept_output;
    devices: watch_path, owner_key, attach_terminal, type_terminal, resize_terminal, pause_terminal, close_terminal;
    drafts: drafts, keep_draft;
    outbox: queue_change, watch_queue, drop_change, retry_change;
    servers: servers, look_at_server, sign_in, sign_in_by_browser, open_sign_in_page, stop_sign_in, use_this_computer, this_computer, keep_this_computer, start_this_computer, select_server, rename_server, leave_server;
    phone: phone, tick, choose_person_checks, ask_person, unlock, lock, push_state, register_push, unregister_push;
    saves: begin_save, save_content, watch_saves, pause_save, resume_save, remove_save, show_save;
    shell: begin, open_outside;
    preferences: notices, choose_notices, try_notice, speak, preferences, choose_preferences, app_facts;
    providers: provider_sign_ins, begin_provider_sign_in, open_provider_page, cancel_provider_sign_in, sign_out_of_provider, keep_provider_sign_in, configure_provider, forget_provider, open_secret_file;
    updates: look_for_update, install_update;
}

/// Answers the window. The lock is asked here, before any command, so that none can forget it.
pub fn answer() -> impl Fn(Invoke) -> bool + Send + Sync + 'static {
    let answer = unguarded();
    move |invoke| {
        let refused = refusal(&invoke.message.webview_ref().state::<Desk>(), invoke.message.command());
        match refused {
            Some(failure) => {
                invoke.resolver.reject(failure);
                true
            }
            None => answer(invoke),
        }
    }
}

fn refusal(desk: &Desk, command: &str) -> Option<Failure> {
    (desk.is_locked() && !WHILE_LOCKED.contains(&command))
        .then(|| Failure::new(AppCode::Locked, "The app is locked."))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::notify::Screen;

    #[test]
    fn a_locked_app_answers_only_what_opens_it_and_what_ends_something() {
        // Nothing is there, and nothing is written by asking.
        let desk = Desk::open("nowhere".into(), Screen::new().0).unwrap();
        let answered = |desk: &Desk| -> Vec<&str> {
            NAMES.iter().copied().filter(|name| refusal(desk, name).is_none()).collect()
        };
        assert_eq!(answered(&desk), NAMES);
        desk.lock();
        let mut open = answered(&desk);
        open.sort_unstable();
        assert_eq!(open, WHILE_LOCKED, "each of them is a command");
        assert_eq!(refusal(&desk, "kept_output").unwrap().code, "locked");
        assert_eq!(refusal(&desk, "not_written_yet").unwrap().code, "locked", "a new command asks by itself");
        desk.unlock();
        assert_eq!(answered(&desk), NAMES);
    }

    #[test]
    fn every_command_has_its_permission_and_the_other_way_round() {
        let build = include_str!("../build.rs");
        let list = build.split("COMMANDS: &[&str] = &[").nth(1).unwrap().split(']').next().unwrap();
        let permitted: BTreeSet<&str> = list
            .split(',')
            .map(|name| name.trim().trim_matches('"'))
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(NAMES.iter().copied().collect::<BTreeSet<_>>(), permitted);
    }
}
