//! What a server said by itself since an app's pages asked it last, put over what they were answered: a fleet is known as
//! of the last that was heard of it, whoever looked at it meanwhile.

use foreman_protocol::{Device, Millis, Page, Task, TaskState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{KeptAnswer, LastKnown, LastKnownError, ServerId};
use crate::Mirror;

/// Where it is kept, beside the answers.
const PLACE: &str = "heard";
/// Tasks that are over and kept, the newest.
const ENDED: usize = 200;
const JSON: &str = "application/json";

#[derive(Serialize, Deserialize)]
struct Heard<D, T> {
    devices: Vec<D>,
    tasks: Vec<T>,
}

impl LastKnown {
    /// Keeps what is known of a server at `at`, in place of what was.
    ///
    /// # Errors
    /// [`LastKnownError`]; then what was is there still.
    pub async fn hear(&self, server: &ServerId, mirror: &Mirror, at: Millis) -> Result<(), LastKnownError> {
        let (ended, mut tasks): (Vec<&Task>, Vec<&Task>) =
            mirror.tasks.values().partition(|task| task.state.is_final());
        // Ids begin with their time.
        tasks.extend(ended.into_iter().rev().take(ENDED));
        let heard = Heard { devices: counted(mirror), tasks };
        let body = serde_json::to_vec(&heard).unwrap_or_default();
        self.keep(server, PLACE, &KeptAnswer { at, content_type: JSON.to_owned(), body }).await
    }

    /// The answer to a path as [`LastKnown::get`] has it, with what was heard after it.
    ///
    /// # Errors
    /// [`LastKnownError`].
    pub async fn latest(&self, server: &ServerId, path: &str) -> Result<Option<KeptAnswer>, LastKnownError> {
        let kept = self.get(server, path).await?;
        let Some(question) = Question::of(path) else { return Ok(kept) };
        let Some(heard) = self.get(server, PLACE).await? else { return Ok(kept) };
        let Ok(said) = serde_json::from_slice(&heard.body) else { return Ok(kept) };
        Ok(question.answer(kept.as_ref(), &said, heard.at).or(kept))
    }
}

/// The devices, with how much each has to do: their own events do not say it.
fn counted(mirror: &Mirror) -> Vec<Device> {
    let counted = mirror.devices.values().map(|device| {
        let of = |state| {
            let tasks = mirror.tasks.values();
            let count = tasks.filter(|task| task.device_id == device.id && task.state == state).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        Device {
            running_tasks: of(TaskState::Running),
            queued_tasks: of(TaskState::Queued),
            ..device.clone()
        }
    });
    counted.collect()
}

enum Question<'p> {
    /// `all`: nothing is left out.
    Devices {
        all: bool,
    },
    /// `all`: but for these nothing is left out.
    Tasks {
        all: bool,
        states: Option<Vec<&'p str>>,
        device: Option<&'p str>,
    },
    One {
        id: &'p str,
    },
}

impl<'p> Question<'p> {
    fn of(path: &'p str) -> Option<Self> {
        let path = path.strip_prefix("/api/v1/")?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let fields = || query.split('&').filter_map(|field| field.split_once('='));
        let field = |wanted: &str| fields().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let only = |names: &[&str]| fields().all(|(name, _)| names.contains(&name));
        match path.split_once('/') {
            None if path == "devices" => Some(Self::Devices { all: only(&["limit"]) }),
            None if path == "tasks" => Some(Self::Tasks {
                all: only(&["limit", "state", "device"]),
                states: field("state").map(|all| all.split("%2C").flat_map(|some| some.split(',')).collect()),
                device: field("device"),
            }),
            Some(("devices" | "tasks", id)) if !id.contains('/') => Some(Self::One { id }),
            _ => None,
        }
    }

    /// `at`: when the last was heard. Nothing where that says nothing.
    fn answer(
        &self,
        kept: Option<&KeptAnswer>,
        heard: &Heard<Value, Value>,
        at: Millis,
    ) -> Option<KeptAnswer> {
        let later = kept.is_none_or(|kept| kept.at <= at);
        let body = match self {
            Self::One { id } => {
                let known = kept.and_then(|kept| serde_json::from_slice::<Value>(&kept.body).ok());
                let said = heard.devices.iter().chain(&heard.tasks).find(|one| one["id"] == *id)?;
                serde_json::to_vec(known.as_ref().filter(|known| !is_newer(said, known)).unwrap_or(said))
            }
            Self::Devices { all } => {
                let mut page = page(kept, *all)?;
                put_over(&mut page.items, &heard.devices, *all && later, |_| true);
                if later {
                    page.items.retain(|one| has(&heard.devices, &one["id"]));
                }
                serde_json::to_vec(&page)
            }
            Self::Tasks { all, states, device } => {
                let known = ["queued", "running"];
                let heard_all = states.as_ref().is_some_and(|all| all.iter().all(|one| known.contains(one)));
                let mut page = page(kept, *all && heard_all)?;
                let fits = |task: &Value| {
                    states.as_ref().is_none_or(|all| all.iter().any(|one| task["state"] == **one))
                        && device.is_none_or(|device| task["device_id"] == device)
                };
                put_over(&mut page.items, &heard.tasks, *all && later, fits);
                page.items.retain(|task| fits(task) && (!later || has(&heard.devices, &task["device_id"])));
                serde_json::to_vec(&page)
            }
        };
        let at = kept.map_or(at, |kept| kept.at.max(at));
        Some(KeptAnswer { at, content_type: JSON.to_owned(), body: body.ok()? })
    }
}

/// The page that was answered; an empty one where none was and all of it was `heard`.
fn page(kept: Option<&KeptAnswer>, heard: bool) -> Option<Page<Value>> {
    match kept {
        Some(kept) => serde_json::from_slice(&kept.body).ok(),
        None => heard.then(|| Page { items: Vec::new(), next: None }),
    }
}

/// Puts what was heard in place of what is older; `more`: also what was not there, the newest first.
fn put_over(items: &mut Vec<Value>, heard: &[Value], more: bool, fits: impl Fn(&Value) -> bool) {
    for item in items.iter_mut() {
        if let Some(said) = heard.iter().find(|said| said["id"] == item["id"] && is_newer(said, item)) {
            *item = said.clone();
        }
    }
    if more {
        let fresh: Vec<Value> =
            heard.iter().filter(|said| fits(said) && !has(items, &said["id"])).cloned().collect();
        items.splice(0..0, fresh);
    }
}

fn is_newer(said: &Value, known: &Value) -> bool {
    let of = |one: &Value| (one["version"].as_i64(), one["last_seen_at"].as_i64());
    of(said) > of(known)
}

fn has(all: &[Value], id: &Value) -> bool {
    all.iter().any(|one| one["id"] == *id)
}

#[cfg(test)]
mod tests {
    use foreman_protocol::{DeviceId, TaskId};
    use serde_json::json;

    use super::*;

    const DEVICES: &str = "/api/v1/devices?limit=200";
    const TASKS: &str = "/api/v1/tasks?limit=200";
    const ACTIVE: &str = "/api/v1/tasks?limit=200&state=queued%2Crunning";

    fn device(id: DeviceId, name: &str, version: i64) -> Device {
        let device = json!({"id": id, "name": name, "type": "inference", "status": "online", "status_since": 1,
            "created_at": 1, "last_seen_at": version, "version": version});
        serde_json::from_value(device).unwrap()
    }

    fn task(id: TaskId, device: DeviceId, state: &str, version: i64) -> Task {
        let task = json!({"id": id, "device_id": device, "command": {"shell": "true"}, "state": state,
            "requested_by": {"kind": "system"}, "created_at": 1, "output_bytes": 0, "output_start": 0,
            "version": version});
        serde_json::from_value(task).unwrap()
    }

    fn mirror(devices: Vec<Device>, tasks: Vec<Task>) -> Mirror {
        Mirror {
            devices: devices.into_iter().map(|device| (device.id, device)).collect(),
            tasks: tasks.into_iter().map(|task| (task.id, task)).collect(),
        }
    }

    async fn answered(known: &LastKnown, server: &ServerId, path: &str, at: Millis, items: impl Serialize) {
        let body = json!({ "items": items }).to_string().into_bytes();
        let answer = KeptAnswer { at, content_type: JSON.to_owned(), body };
        known.keep(server, path, &answer).await.unwrap();
    }

    /// When it was known, and of each thing its name or state and its version.
    async fn said(known: &LastKnown, server: &ServerId, path: &str) -> (Millis, Vec<(String, i64)>) {
        let answer = known.latest(server, path).await.unwrap().unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let items = body["items"].as_array().cloned().unwrap_or_else(|| vec![body]);
        let word = |one: &Value| one["name"].as_str().or(one["state"].as_str()).unwrap().to_owned();
        (answer.at, items.iter().map(|one| (word(one), one["version"].as_i64().unwrap())).collect())
    }

    fn named(all: &[(&str, i64)]) -> Vec<(String, i64)> {
        all.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()
    }

    #[tokio::test]
    async fn what_was_heard_later_is_put_over_what_a_page_was_answered_and_gives_it_its_age() {
        let folder = tempfile::tempdir().unwrap();
        let known = LastKnown::open(&folder.path().join("last-known.db"), [7; 32]).await.unwrap();
        let (server, elsewhere) = (ServerId::fresh(), ServerId::fresh());
        let [forge, gone, new] = [DeviceId::fresh(), DeviceId::fresh(), DeviceId::fresh()];
        let [running, ended, queued] = [TaskId::fresh(), TaskId::fresh(), TaskId::fresh()];
        answered(&known, &server, DEVICES, 10, [device(forge, "forge", 1), device(gone, "gone", 2)]).await;
        let before = [task(running, forge, "running", 3), task(ended, gone, "failed", 4)];
        answered(&known, &server, TASKS, 10, &before).await;
        answered(&known, &server, ACTIVE, 10, &before[..1]).await;
        answered(&known, &server, "/api/v1/devices?q=fo&limit=200", 10, [device(forge, "forge", 1)]).await;
        assert_eq!(said(&known, &server, DEVICES).await.0, 10, "nothing was heard yet");

        let tasks = vec![task(running, forge, "succeeded", 7), task(queued, new, "queued", 8)];
        let heard = mirror(vec![device(forge, "anvil", 5), device(new, "new", 6)], tasks);
        known.hear(&server, &heard, 20).await.unwrap();
        let (at, mut devices) = said(&known, &server, DEVICES).await;
        devices.sort();
        assert_eq!((at, devices), (20, named(&[("anvil", 5), ("new", 6)])));
        let tasks = named(&[("queued", 8), ("succeeded", 7)]);
        assert_eq!(said(&known, &server, TASKS).await, (20, tasks));
        assert_eq!(said(&known, &server, ACTIVE).await, (20, named(&[("queued", 8)])));
        let filtered = "/api/v1/devices?q=fo&limit=200";
        assert_eq!(said(&known, &server, filtered).await, (20, named(&[("anvil", 5)])));
        let one = format!("/api/v1/devices/{new}");
        assert_eq!(said(&known, &server, &one).await, (20, named(&[("new", 6)])), "no page asked for it");
        let task_of_device = format!("/api/v1/tasks?limit=200&state=queued&device={forge}");
        assert_eq!(said(&known, &server, &task_of_device).await, (20, vec![]));
        assert_eq!(known.latest(&server, "/api/v1/models").await.unwrap(), None);
        assert_eq!(known.latest(&elsewhere, DEVICES).await.unwrap(), None);
        let listed = known.latest(&server, DEVICES).await.unwrap().unwrap();
        let listed: Page<Device> = serde_json::from_slice(&listed.body).unwrap();
        let busy = listed.items.iter().find(|device| device.id == new).unwrap();
        assert_eq!((busy.queued_tasks, busy.running_tasks), (1, 0), "its own events do not say it");

        known.forget(&server).await.unwrap();
        assert_eq!(known.latest(&server, DEVICES).await.unwrap(), None, "it goes with the sign-in");
    }

    #[tokio::test]
    async fn what_a_page_was_answered_later_stays() {
        let folder = tempfile::tempdir().unwrap();
        let known = LastKnown::open(&folder.path().join("last-known.db"), [7; 32]).await.unwrap();
        let server = ServerId::fresh();
        let [forge, new, gone] = [DeviceId::fresh(), DeviceId::fresh(), DeviceId::fresh()];
        let heard = mirror(vec![device(forge, "forge", 1), device(gone, "gone", 1)], Vec::new());
        known.hear(&server, &heard, 10).await.unwrap();
        answered(&known, &server, DEVICES, 20, [device(forge, "anvil", 2), device(new, "new", 3)]).await;
        assert_eq!(said(&known, &server, DEVICES).await, (20, named(&[("anvil", 2), ("new", 3)])));
    }

    #[tokio::test]
    async fn all_that_runs_is_kept_and_of_what_is_over_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let known = LastKnown::open(&folder.path().join("last-known.db"), [7; 32]).await.unwrap();
        let (server, forge) = (ServerId::fresh(), DeviceId::fresh());
        let runs = task(TaskId::fresh(), forge, "running", 1);
        let over =
            (0..=ENDED).map(|at| task(TaskId::fresh(), forge, "succeeded", at as i64)).collect::<Vec<_>>();
        let heard = mirror(vec![device(forge, "forge", 1)], [vec![runs], over.clone()].concat());
        known.hear(&server, &heard, 10).await.unwrap();
        answered(&known, &server, TASKS, 5, Vec::<Task>::new()).await;
        let kept = known.get(&server, PLACE).await.unwrap().unwrap();
        let kept: Heard<Device, Task> = serde_json::from_slice(&kept.body).unwrap();
        assert_eq!(kept.tasks.len(), 1 + ENDED);
        assert!(kept.tasks.iter().any(|task| task.state == TaskState::Running));
        assert!(!kept.tasks.iter().any(|task| task.id == over[0].id));
    }
}
