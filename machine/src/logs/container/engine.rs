//! The programs that know containers, and the containers they know.

use std::time::Duration;

use foreman_protocol::{LogKind, LogReason, LogSource};
use serde_json::Value;

use super::super::{OpenError, Why, program::ask};
use crate::probe::Places;

/// An engine may take this long to list its containers.
const LIMIT: Duration = Duration::from_secs(3);
const MOST_CONTAINERS: usize = 1_000;
const ENGINES: [Engine; 2] = [Engine("docker"), Engine("podman")];

/// Docker or Podman, by the name of its program.
#[derive(Debug, Clone, Copy)]
pub(in crate::logs) struct Engine(&'static str);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    name: String,
    id: String,
    image: String,
    running: bool,
}

impl Engine {
    pub(super) const fn program(self) -> &'static str {
        self.0
    }

    /// The engine that has this container.
    pub(super) async fn of(places: &Places, name: &str) -> Result<Self, OpenError> {
        let mut reasons = Vec::new();
        let mut asked = false;
        for engine in ENGINES {
            match engine.containers(places).await {
                Ok(known) if known.iter().any(|known| known.is(name)) => return Ok(engine),
                Ok(_) => asked = true,
                Err(why) => reasons.push(why.within(|why| format!("{}: {why}", engine.0))),
            }
        }
        if asked {
            return Err(OpenError::NotFound(format!("There is no container {name} on this device.")));
        }
        let all = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let whole = |_: &str| format!("No container engine answers ({all}).");
        Err(OpenError::Unavailable(weightiest(reasons).within(whole)))
    }

    /// Whether the container runs now.
    pub(super) async fn runs(self, places: &Places, name: &str) -> bool {
        let known = self.containers(places).await.unwrap_or_default();
        known.iter().any(|known| known.is(name) && known.running)
    }

    async fn containers(self, places: &Places) -> Result<Vec<Known>, Why> {
        let said = ask(places, self.0, &["ps", "--all", "--format", "{{json .}}"], LIMIT).await?;
        if said.success {
            return Ok(read(&said.text));
        }
        let denied = said.complaint.contains("permission denied");
        Err(match said.complaint {
            _ if denied => Why::no_right(self.0),
            complaint if complaint.is_empty() => Why::new(LogReason::NoAnswer, "it does not answer"),
            complaint => Why::said(complaint),
        })
    }
}

impl Known {
    fn is(&self, name: &str) -> bool {
        self.name == name || (name.len() >= 12 && self.id.starts_with(name))
    }
}

/// The containers of all engines, those that run first.
///
/// # Errors
/// Why none can be listed, in a few words for people.
pub(in crate::logs) async fn list(places: &Places) -> Result<Vec<LogSource>, Why> {
    let [first, second] = ENGINES;
    let (first, second) = tokio::join!(first.containers(places), second.containers(places));
    let mut reasons = Vec::new();
    let mut all: Vec<Known> = Vec::new();
    let mut answered = false;
    for containers in [first, second] {
        match containers {
            Ok(containers) => {
                answered = true;
                for known in containers {
                    // One engine may speak for the other.
                    if !all.iter().any(|other| other.name == known.name) {
                        all.push(known);
                    }
                }
            }
            Err(reason) => reasons.push(reason),
        }
    }
    if !answered {
        return Err(weightiest(reasons));
    }
    all.sort_by(|a, b| (!a.running, &a.name).cmp(&(!b.running, &b.name)));
    all.truncate(MOST_CONTAINERS);
    let source = |known: Known| LogSource {
        id: format!("container:{}", known.name),
        kind: LogKind::Container,
        name: if known.image.is_empty() { known.name } else { format!("{} ({})", known.name, known.image) },
        active: known.running,
    };
    Ok(all.into_iter().map(source).collect())
}

/// Of those that are not there, one that is and does not answer.
fn weightiest(reasons: Vec<Why>) -> Why {
    let reason = reasons.into_iter().find(|why| why.reason != LogReason::NotInstalled);
    reason.unwrap_or_else(Why::not_installed)
}

/// Whether this can be a container's name: so no option.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    begins && name.len() < 256 && name.bytes().all(allowed)
}

/// A line for each container, or one list of them. Docker gives names as text, Podman as a list.
fn read(text: &str) -> Vec<Known> {
    let values = match serde_json::from_str(text) {
        Ok(Value::Array(values)) => values,
        _ => text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
    };
    values.iter().filter_map(known).filter(|known| is_name(&known.name)).collect()
}

fn known(value: &Value) -> Option<Known> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = match value.get("Names")? {
        Value::Array(names) => names.first()?.as_str()?,
        names => names.as_str()?.split(',').next()?,
    };
    let id = if text("ID").is_empty() { text("Id") } else { text("ID") };
    Some(Known { name: name.to_owned(), id, image: text("Image"), running: text("State") == "running" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_both_engines_are_read() {
        let docker = r#"{"ID":"0123456789ab","Image":"nginx:1.27","Names":"web","State":"running","Status":"Up 2 hours"}
{"ID":"ba9876543210","Image":"alpine","Names":"old","State":"exited","Status":"Exited (0) 3 days ago"}"#;
        let known = read(docker);
        assert_eq!((known.len(), known[0].running, known[1].running), (2, true, false));
        assert!(known[0].is("web") && known[0].is("0123456789ab") && !known[0].is("0123"));
        let podman = r#"[{"Id":"0123456789abcdef","Image":"docker.io/library/nginx","Names":["web"],"State":"running"}]"#;
        assert_eq!(read(podman)[0].name, "web");
        assert!(read("Cannot connect to the Docker daemon").is_empty());
    }

    #[test]
    fn only_names_are_names() {
        assert!(is_name("compose-web_1.a"));
        for name in ["", "--help", "a b", "a/b", ".a"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
