//! Where a tunnel leads, as cloudflared says itself when Cloudflare tells it.

use serde::Deserialize;
use serde_json::Value;

/// Its own words for having been told where to lead.
const TOLD: &str = "Updated to new configuration";

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    ingress: Vec<Rule>,
    #[serde(default, rename = "originRequest")]
    settings: Value,
    #[serde(default, rename = "warp-routing")]
    networks: Value,
}

#[derive(Deserialize)]
struct Rule {
    service: String,
    #[serde(default, rename = "originRequest")]
    settings: Value,
}

/// Where a line of its output says that it leads besides this port of this machine. What cannot be understood leads
/// elsewhere.
pub(super) fn elsewhere(line: &str, port: u16) -> Option<String> {
    let told = line.split_once(TOLD)?.1;
    let Some(configuration) = read(told) else { return Some("a place that cannot be told".to_owned()) };
    let is_ours = |service: &str| {
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| service == format!("http://{host}:{port}"))
    };
    let rule = configuration.ingress.iter().find(|rule| {
        let nowhere = rule.service.strip_prefix("http_status:").is_some();
        // Some settings make a service of any kind out of one that looks like ours.
        !(nowhere || is_ours(&rule.service)) || !is_empty(&rule.settings)
    });
    if let Some(rule) = rule {
        return Some(rule.service.chars().filter(|letter| !letter.is_control()).take(100).collect());
    }
    if !is_empty(&configuration.settings) {
        return Some("a place that its settings name".to_owned());
    }
    let networks =
        configuration.networks.get("enabled").is_some_and(|enabled| enabled != &Value::Bool(false));
    networks.then(|| "whole networks".to_owned())
}

/// `… config="{\"ingress\":…}" version=1`, or the same as JSON.
fn read(told: &str) -> Option<Configuration> {
    let rest = told.split_once("config=")?.1;
    let first = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok()?;
    let configuration = match first {
        Value::String(text) => serde_json::from_str(&text).ok()?,
        value => value,
    };
    // A list would be read as fields without names.
    Value::as_object(&configuration)?;
    serde_json::from_value(configuration).ok()
}

fn is_empty(settings: &Value) -> bool {
    settings.is_null() || settings.as_object().is_some_and(serde_json::Map::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(configuration: &str) -> Option<String> {
        let quoted = serde_json::to_string(configuration).unwrap();
        elsewhere(
            &format!("2026-11-21T12:00:00Z INF Updated to new configuration config={quoted} version=1"),
            9981,
        )
    }

    #[test]
    fn only_the_links_own_port_is_not_elsewhere() {
        let ours = r#"{"ingress":[{"hostname":"a.example.org","originRequest":{},"service":"http://localhost:9981"},{"service":"http_status:404"}],"warp-routing":{"enabled":false}}"#;
        assert_eq!(leads(ours), None);
        assert_eq!(elsewhere("INF Registered tunnel connection connIndex=0", 9981), None);
        for (service, settings) in [
            ("ssh://localhost:22", "{}"),
            ("http://localhost:5432", "{}"),
            ("http://localhost:99810", "{}"),
            ("http://localhost:9981@192.0.2.1", "{}"),
            ("https://localhost:9981", "{}"),
            ("unix:/var/run/docker.sock", "{}"),
            ("bastion", "{}"),
            ("http://localhost:9981", r#"{"bastionMode":true}"#),
            ("http://localhost:9981", r#"{"proxyType":"socks"}"#),
        ] {
            let told = format!(r#"{{"ingress":[{{"service":"{service}","originRequest":{settings}}}]}}"#);
            assert_eq!(leads(&told).as_deref(), Some(service), "{told}");
        }
        assert!(leads(r#"{"ingress":[],"warp-routing":{"enabled":true}}"#).is_some());
        assert!(leads(r#"{"ingress":[],"originRequest":{"bastionMode":true}}"#).is_some());
        for broken in
            ["", " config=", " config=\"{", " config=\"[]\" version=1", " config=\"{\\x41\" version=2"]
        {
            assert!(elsewhere(&format!("{TOLD}{broken}"), 9981).is_some(), "{broken}");
        }
    }
}
