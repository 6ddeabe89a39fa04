//! The commands' types for TypeScript, written from the Rust types; `FOREMAN_GEN=1 cargo test -p foreman-app types`
//! writes them again, and without it a difference fails.

use std::{fs, path::Path};

use ts_rs::{Config, TS};

use crate::{
    ask::{AnswerHead, AskHead},
    commands::{
        aside::Aside,
        ask::{StreamEnd, StreamHead},
        devices::DevicePath,
        drafts::KeptDrafts,
        outbox::{NewChange, WaitingChange},
        phone::{PersonChecks, PhoneState},
        preferences::{AppChoice, AppFacts, AppPreferences, NoticeChoice, NoticeState, QuietTime},
        providers::{ProviderSignIn, ProviderStep, SignInConfiguration, SignInOnDevice},
        servers::{Reading, ServerEntry, ServerList, ServerPreview},
        shell::AppNews,
        updates::{UpdateOffer, UpdateProgress},
    },
    failure::{AppCode, Failure},
    outputs::KeptOutput,
    phone::Tick,
    pushes::{Distributor, PushRegistration, PushState},
    saves::{Save, SaveState},
    sign_in::SignInCode,
    terminals::TerminalNews,
    this_computer::{Looks, Step},
};

const HEAD: &str = "// Written from the app's Rust types by `./dev test app`; do not edit.\n\n\
                    export type PathKindName = 'lan' | 'tailscale' | 'cloudflare' | 'relay' | 'server';\n";

fn all() -> String {
    let config = Config::default();
    let mut text = HEAD.to_owned();
    macro_rules! declare {
        ($($name:ty),* $(,)?) => {
            $(text.push_str(&format!("export {}\n", <$name>::decl(&config)));)*
        };
    }
    declare!(
        AppCode,
        Failure,
        AskHead,
        AnswerHead,
        StreamHead,
        StreamEnd,
        DevicePath,
        Tick,
        PersonChecks,
        PhoneState,
        Distributor,
        PushRegistration,
        PushState,
        SaveState,
        Save,
        KeptDrafts,
        NewChange,
        WaitingChange,
        Aside,
        KeptOutput,
        TerminalNews,
        Reading,
        ServerEntry,
        ServerList,
        ServerPreview,
        SignInCode,
        Step,
        Looks,
        AppNews,
        QuietTime,
        NoticeChoice,
        NoticeState,
        AppChoice,
        AppPreferences,
        AppFacts,
        SignInConfiguration,
        SignInOnDevice,
        ProviderSignIn,
        ProviderStep,
        UpdateOffer,
        UpdateProgress,
    );
    text
}

#[test]
fn the_types_of_the_window_are_those_of_the_commands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/lib/host/app/commands.ts");
    let fresh = all();
    if std::env::var_os("FOREMAN_GEN").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == fresh, "run FOREMAN_GEN=1 cargo test -p foreman-app types and commit {}", path.display());
}
