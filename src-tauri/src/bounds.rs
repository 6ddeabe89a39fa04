//! What the window's pages may do, held to what is meant: a source more in the content policy, a permission more or one
//! for another window is a decision, and so it is made here too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};

use crate::{commands::NAMES, is_own_page};

fn configuration(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn permissions(capability: &Value) -> BTreeSet<&str> {
    capability["permissions"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_page_runs_the_apps_own_scripts_and_speaks_with_the_app_alone() {
    let configuration = configuration("tauri.conf.json");
    assert_eq!(
        configuration["app"]["windows"],
        json!([]),
        "the window is made in code, with what it may open"
    );
    let security = &configuration["app"]["security"];
    assert_eq!(keys(security), BTreeSet::from(["capabilities", "csp"]), "nothing loosens it");
    assert!(configuration["app"].get("withGlobalTauri").is_none());
    let csp: BTreeMap<&str, Vec<&str>> = security["csp"]
        .as_str()
        .unwrap()
        .split(';')
        .map(|rule| {
            let mut words = rule.split_whitespace();
            (words.next().unwrap(), words.collect())
        })
        .collect();
    let meant = BTreeMap::from([
        ("default-src", vec!["'none'"]),
        ("script-src", vec!["'self'"]),
        ("style-src", vec!["'self'"]),
        ("style-src-attr", vec!["'unsafe-inline'"]),
        ("img-src", vec!["'self'", "blob:"]),
        ("font-src", vec!["'self'"]),
        ("connect-src", vec!["ipc:", "http://ipc.localhost"]),
        ("worker-src", vec!["'self'"]),
        ("manifest-src", vec!["'self'"]),
        ("base-uri", vec!["'none'"]),
        ("form-action", vec!["'none'"]),
        ("frame-ancestors", vec!["'none'"]),
        ("object-src", vec!["'none'"]),
    ]);
    assert_eq!(csp, meant);
}

#[test]
fn a_page_may_call_the_apps_commands_and_on_phones_the_camera_and_the_back_gesture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("capabilities");
    let files: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, BTreeSet::from(["phone.json".into(), "window.json".into()]));
    let named = configuration("tauri.conf.json");
    assert_eq!(named["app"]["security"]["capabilities"], json!(["window", "phone"]));

    let window = configuration("capabilities/window.json");
    assert_eq!(
        keys(&window),
        BTreeSet::from(["$schema", "description", "identifier", "permissions", "windows"]),
        "no page from elsewhere"
    );
    assert_eq!(window["windows"], json!(["main"]));
    let commands: BTreeSet<String> =
        NAMES.iter().map(|name| format!("allow-{}", name.replace('_', "-"))).collect();
    assert_eq!(permissions(&window), commands.iter().map(String::as_str).collect::<BTreeSet<_>>());

    let phone = configuration("capabilities/phone.json");
    assert_eq!(
        keys(&phone),
        BTreeSet::from(["$schema", "description", "identifier", "permissions", "platforms", "windows"])
    );
    assert_eq!(phone["windows"], json!(["main"]));
    assert_eq!(phone["platforms"], json!(["android", "iOS"]));
    let meant = [
        "core:app:allow-register-listener",
        "core:app:allow-remove-listener",
        "core:app:allow-exit",
        "barcode-scanner:allow-scan",
        "barcode-scanner:allow-cancel",
        "barcode-scanner:allow-check-permissions",
        "barcode-scanner:allow-request-permissions",
    ];
    assert_eq!(permissions(&phone), BTreeSet::from(meant));
}

#[test]
fn the_window_goes_to_its_own_pages_only() {
    let goes = |address: &str| is_own_page(&address.parse().unwrap());
    for own in
        ["tauri://localhost/", "tauri://localhost/devices?status=offline", "http://tauri.localhost/chat/new"]
    {
        assert!(goes(own), "{own}");
    }
    for foreign in [
        "https://example.org/",
        "http://localhost/",
        "http://127.0.0.1:8080/",
        "http://tauri.localhost.example.org/",
        "http://tauri.localhost@example.org/",
        "http://ipc.localhost/",
        "https://tauri.localhost/",
        "file:///etc/passwd",
        "data:text/html,<script>alert(1)</script>",
        "javascript:alert(1)",
        "blob:tauri://localhost/5b0b",
        "about:blank",
        "foreman://pair?server=https://example.org",
    ] {
        assert!(!goes(foreign), "{foreign}");
    }
}
