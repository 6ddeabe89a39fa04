//! The key of a task that asks models: made with the task, told to it by its environment, revoked at its end. So an agent
//! never holds a key of its owner's, nor one that lives longer than its work.

use std::collections::BTreeMap;

use foreman_protocol::{
    AddModelKey, CapPeriod, DeviceId, Event, ModelKey, ModelKeyId, Task, TaskId, TaskModels,
};
use sqlx::Row;

use super::{fresh, insert};
use crate::{
    auth::{Caller, parse},
    db::{Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
    secrets::{self, Kind, fingerprint},
};

/// It is revoked when its task ends; this is for one whose end nobody ever tells.
const LIVES_S: u32 = 30 * 24 * 3600;
/// Characters of a key's name.
const NAME_CHARS: usize = 64;

/// A key that is not stored yet.
pub struct TaskKey {
    key: ModelKey,
    secret: String,
}

impl TaskKey {
    /// # Errors
    /// `invalid_request` when it names no model or too many, or may spend less than nothing.
    pub fn fresh(caller: &Caller, task: &Task, models: &TaskModels) -> ApiResult<Self> {
        if models.models.is_empty() {
            // A key for nothing named would be one for everything.
            return Err(ApiError::invalid("models", "Name at least one model or profile."));
        }
        let secret = secrets::generate(Kind::ModelKey);
        let request = AddModelKey {
            name: name(&task.command.summary()),
            models: models.models.clone(),
            cap_micros: models.cap_micros,
            cap_period: Some(CapPeriod::Ever),
            project: None,
            expires_in_s: Some(LIVES_S),
        };
        let key = ModelKey { task_id: Some(task.id), ..fresh(caller, request, &secret)? };
        Ok(Self { key, secret })
    }

    /// Adds what clients of OpenAI's and Anthropic's shape read from their environment. What somebody set stays.
    pub fn tell(&self, public_url: &str, models: &TaskModels, env: &mut BTreeMap<String, String>) {
        let mut say = |name: &str, value: String| {
            env.entry(name.to_owned()).or_insert(value);
        };
        say("OPENAI_BASE_URL", format!("{public_url}/v1"));
        say("OPENAI_API_KEY", self.secret.clone());
        say("ANTHROPIC_BASE_URL", public_url.to_owned());
        say("ANTHROPIC_AUTH_TOKEN", self.secret.clone());
        let first = models.models.first().filter(|first| !first.ends_with("/*"));
        for name in ["OPENAI_MODEL", "ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL"] {
            if let Some(first) = first {
                say(name, first.clone());
            }
        }
    }

    /// Stores it with its task.
    ///
    /// # Errors
    /// `limit_reached` when too many live; then the task is not there either.
    pub async fn insert(self, tx: &mut Tx, cause: &Cause) -> ApiResult<()> {
        insert(tx, cause, self.key, fingerprint(&self.secret)).await.map(drop)
    }
}

/// What a task runs, as the name of its key.
fn name(summary: &str) -> String {
    let plain: String = summary.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    if plain.chars().count() <= NAME_CHARS {
        return plain.to_owned();
    }
    let cut: String = plain.chars().take(NAME_CHARS - 1).collect();
    format!("{}…", cut.trim_end())
}

/// Revokes the key of a task that has ended, if it had one.
///
/// # Errors
/// When the database cannot be written.
pub async fn end(tx: &mut Tx, cause: &Cause, task: TaskId) -> ApiResult<()> {
    revoke(tx, cause, "task_id = $2", task.to_string()).await
}

/// Revokes the keys of a device's tasks, before it and they are removed.
///
/// # Errors
/// When the database cannot be written.
pub async fn device_left(tx: &mut Tx, cause: &Cause, device: DeviceId) -> ApiResult<()> {
    revoke(tx, cause, "task_id IN (SELECT id FROM tasks WHERE device_id = $2)", device.to_string()).await
}

async fn revoke(tx: &mut Tx, cause: &Cause, whose: &str, id: String) -> ApiResult<()> {
    let sql = format!(
        "UPDATE model_keys SET revoked_at = $1 WHERE {whose} AND revoked_at IS NULL RETURNING id, name"
    );
    let revoked = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(now()).bind(id).fetch_all(tx.conn()).await?;
    for row in revoked {
        let key_id: ModelKeyId = parse(&row.try_get::<String, _>("id")?)?;
        tx.emit(cause, Event::ModelKeyRevoked { key_id, name: row.try_get("name")? }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_what_its_task_runs_as_its_name() {
        assert_eq!(name("claude -p \t'mend it'"), "claude -p  'mend it'");
        let long = name(&"ä ".repeat(100));
        assert!(long.chars().count() <= NAME_CHARS && long.ends_with('…'));
    }
}
