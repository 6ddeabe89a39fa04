//! From what is due to a receiver's carrier. A receiver is claimed first, so that of several servers one writes to it
//! at a time; a claim of a server that was killed ends by itself.

use std::sync::Arc;

use foreman_notices::{MOST_AT_ONCE, Notice, Subject, Word, Words};
use foreman_protocol::{PushChoice, PushReceiver, PushReceiverId, PushRemoved, PushTarget, TenantId};
use sqlx::Row;

use super::{
    carrier::{Outcome, PATIENCE, back_off},
    gather::json,
    message::Voice,
    quiet,
    store::{self, Standing},
};
use crate::{
    App,
    auth::parse,
    db::{Db, Tx, now},
    events::Cause,
    problem::ApiResult,
};

/// Longer than one turn of a receiver takes.
const CLAIM_MS: i64 = (PATIENCE.as_millis() as i64) * (MOST_AT_ONCE as i64 + 1);
/// How long one is left alone whose target cannot be read.
const UNREADABLE_MS: i64 = 60 * 60 * 1_000;
/// What is older is worth nothing any more.
const STALE_MS: i64 = 86_400_000;
/// Words looked at in one turn; more than anybody is told one by one.
const MOST_DUE: usize = 500;

const DUE: &str = "r.busy_until <= $1 AND r.next_at <= $1 AND EXISTS \
     (SELECT 1 FROM push_standings s WHERE s.receiver_id = r.id AND s.due IS NOT NULL)";

/// A receiver that this server may write to now.
pub struct Claimed {
    receiver: PushReceiver,
    tenant: TenantId,
    target: PushTarget,
    failures: i64,
    /// As it was when it was claimed: it may be renewed meanwhile.
    standing: Standing,
    /// What made it has ended.
    orphaned: bool,
}

/// A word about one thing, as it lies in its row.
struct Due {
    subject: String,
    text: String,
    word: Word,
    at: i64,
}

/// The next one, if any.
pub async fn claim(app: &App) -> ApiResult<Option<Claimed>> {
    loop {
        let idle =
            sqlx::query(sqlx::AssertSqlSafe(format!("SELECT 1 FROM push_receivers r WHERE {DUE} LIMIT 1")))
                .bind(now())
                .fetch_optional(app.db.read())
                .await?;
        if idle.is_none() {
            return Ok(None);
        }
        let own = Arc::clone(app);
        let claimed = app.db.write(move |tx| Box::pin(async move { claim_in(tx, &own).await })).await?;
        if claimed.is_some() {
            return Ok(claimed);
        }
    }
}

/// `None` where another server was faster, or the next one cannot be read.
async fn claim_in(tx: &mut Tx, app: &App) -> ApiResult<Option<Claimed>> {
    let sql = format!(
        "UPDATE push_receivers SET busy_until = $2 WHERE id = (SELECT r.id FROM push_receivers r WHERE {DUE} \
         ORDER BY r.next_at, r.id LIMIT 1) RETURNING id, tenant_id, origin, kind, name, via, place, target, choice, \
         created_at, last_success_at, last_failure_at, last_failure, failures"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(now())
        .bind(now() + CLAIM_MS)
        .fetch_optional(tx.conn())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let place: String = row.try_get("place")?;
    let origin: String = row.try_get("origin")?;
    let target = match store::open_target(&app.seal, &place, &row.try_get::<String, _>("target")?) {
        Ok(target) => target,
        Err(error) => {
            // Kept by a newer server, say: that is no reason to tell the others nothing.
            let id: String = row.try_get("id")?;
            tracing::warn!(receiver = id, %error, "a push receiver cannot be read and is left alone for an hour");
            sqlx::query("UPDATE push_receivers SET busy_until = 0, next_at = $2 WHERE id = $1")
                .bind(id)
                .bind(now() + UNREADABLE_MS)
                .execute(tx.conn())
                .await?;
            return Ok(None);
        }
    };
    let claimed = Claimed {
        receiver: store::read(&row)?,
        tenant: parse(&row.try_get::<String, _>("tenant_id")?)?,
        target,
        failures: row.try_get("failures")?,
        orphaned: !stands(tx, &origin).await?,
        standing: Standing { place, origin },
    };
    Ok(Some(claimed))
}

/// Whether what made a receiver is still there.
async fn stands(tx: &mut Tx, origin: &str) -> ApiResult<bool> {
    let (sql, id) = match origin.split_once(' ') {
        Some(("session", id)) => ("SELECT 1 FROM sessions WHERE id = $1 AND expires_at > $2", id),
        Some(("token", id)) => ("SELECT 1 FROM api_tokens WHERE id = $1 AND $2 > 0", id),
        Some(("user", id)) => ("SELECT 1 FROM users WHERE id = $1 AND $2 > 0", id),
        _ => return Ok(false),
    };
    let found = sqlx::query(sql).bind(id).bind(now()).fetch_optional(tx.conn()).await?;
    Ok(found.is_some())
}

/// Everything that is due to it, until something fails.
pub async fn deliver(app: App, claimed: Claimed) -> ApiResult<()> {
    let id = claimed.receiver.id;
    if claimed.orphaned {
        return app
            .db
            .write(move |tx| Box::pin(async move { ends(tx, &claimed, PushRemoved::SignedOut).await }))
            .await;
    }
    let mut turn = Turn { settled: Vec::new(), outcome: None, next_at: 0 };
    let due = due(&app.db, id).await?;
    let choice = &claimed.receiver.choice;
    let quiet_ms = quiet::left_ms(choice.rules.quiet, choice.time_zone.as_deref());
    let (mut tell, mut take_back) = (Vec::new(), Vec::new());
    for due in due {
        match &due.word {
            _ if due.at < now() - STALE_MS => turn.settled.push((due, false)),
            Word::TakeBack(_) => take_back.push(due),
            Word::Tell(notice) if !choice.rules.want(notice.kind, notice.device_id) => {
                turn.settled.push((due, false));
            }
            Word::Tell(_) => match quiet_ms {
                Some(left) => turn.next_at = now() + left,
                None => tell.push(due),
            },
        }
    }
    let together = tell.len() > MOST_AT_ONCE;
    let alone =
        if together { take_back } else { take_back.into_iter().chain(std::mem::take(&mut tell)).collect() };
    turn.one_by_one(&app, &claimed, alone).await?;
    if together && turn.goes_on() {
        let outcome =
            app.push.carriers.carry(&claimed.target, &voice(&app, id, choice).many(tell.len())).await;
        turn.takes(outcome, tell, false);
    }
    turn.end(&app.db, claimed).await
}

fn voice<'a>(app: &'a App, id: PushReceiverId, choice: &PushChoice) -> Voice<'a> {
    Voice {
        receiver: id,
        words: Words::of(choice.language),
        detail: choice.says,
        public_url: &app.settings.public_url,
    }
}

/// To see whether it arrives.
pub async fn try_out(app: &App, receiver: &PushReceiver, target: &PushTarget) -> ApiResult<Outcome> {
    let outcome = app.push.carriers.carry(target, &voice(app, receiver.id, &receiver.choice).test()).await;
    Ok(outcome)
}

async fn due(db: &Db, id: PushReceiverId) -> ApiResult<Vec<Due>> {
    let sql = format!(
        "SELECT subject, due, at FROM push_standings WHERE receiver_id = $1 AND due IS NOT NULL ORDER BY at LIMIT {MOST_DUE}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).fetch_all(db.read()).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(word) = json(row, "due")? {
            let (subject, text) = (row.try_get("subject")?, row.try_get("due")?);
            all.push(Due { subject, text, word, at: row.try_get("at")? });
        }
    }
    Ok(all)
}

/// What came of one turn of a receiver.
struct Turn {
    /// With whether it is on the screen there now.
    settled: Vec<(Due, bool)>,
    outcome: Option<Outcome>,
    next_at: i64,
}

impl Turn {
    const fn goes_on(&self) -> bool {
        !matches!(self.outcome, Some(Outcome::Gone | Outcome::Later { .. }))
    }

    async fn one_by_one(&mut self, app: &App, claimed: &Claimed, all: Vec<Due>) -> ApiResult<()> {
        let voice = voice(app, claimed.receiver.id, &claimed.receiver.choice);
        for due in all.into_iter().take(MOST_AT_ONCE) {
            if !self.goes_on() {
                break;
            }
            let message = voice.word(subject_of(&due)?, &due.word);
            let outcome = app.push.carriers.carry(&claimed.target, &message).await;
            self.takes(outcome, vec![due], true);
        }
        Ok(())
    }

    fn takes(&mut self, outcome: Outcome, words: Vec<Due>, shown: bool) {
        match outcome {
            Outcome::Taken => self.settled.extend(words.into_iter().map(|due| (due, shown))),
            Outcome::Refused { .. } => self.settled.extend(words.into_iter().map(|due| (due, false))),
            Outcome::Gone | Outcome::Later { .. } => {}
        }
        // A refusal is shown even when the next one is taken.
        if !matches!((&self.outcome, &outcome), (Some(Outcome::Refused { .. }), Outcome::Taken)) {
            self.outcome = Some(outcome);
        }
    }

    async fn end(self, db: &Db, claimed: Claimed) -> ApiResult<()> {
        let id = claimed.receiver.id;
        db.write(move |tx| {
            Box::pin(async move {
                for (due, shown) in self.settled {
                    settle(tx, id, due, shown).await?;
                }
                if self.outcome == Some(Outcome::Gone) {
                    return ends(tx, &claimed, PushRemoved::Gone).await;
                }
                note(tx, id, self.outcome.as_ref(), claimed.failures, self.next_at).await?;
                // Here and not with every note: a test in between must not end a claim that is not its own.
                store::let_go(tx, id).await
            })
        })
        .await
    }
}

fn subject_of(due: &Due) -> ApiResult<Subject> {
    match &due.word {
        Word::Tell(notice) | Word::TakeBack(Some(notice)) => Ok(notice.subject),
        Word::TakeBack(None) => {
            let (about, id) = due.subject.split_once(' ').unwrap_or_default();
            Ok(match about {
                "reach" => Subject::Reach(parse(id)?),
                "gpu_memory" => Subject::GpuMemory(parse(id)?),
                "task" => Subject::Task(parse(id)?),
                _ => Subject::Many,
            })
        }
    }
}

/// The word went out or never will. What was heard since stays due.
async fn settle(tx: &mut Tx, id: PushReceiverId, due: Due, shown: bool) -> ApiResult<()> {
    let told: Option<Notice> = match due.word {
        Word::Tell(notice) if shown => Some(notice),
        _ => None,
    };
    sqlx::query(
        "UPDATE push_standings SET told = $1, due = CASE WHEN due = $2 THEN NULL ELSE due END \
         WHERE receiver_id = $3 AND subject = $4",
    )
    .bind(told.as_ref().map(serde_json::to_string).transpose()?)
    .bind(due.text)
    .bind(id.to_string())
    .bind(&due.subject)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "DELETE FROM push_standings WHERE receiver_id = $1 AND subject = $2 AND told IS NULL AND due IS NULL",
    )
    .bind(id.to_string())
    .bind(&due.subject)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How it went, and when the next may go.
pub async fn note(
    tx: &mut Tx,
    id: PushReceiverId,
    outcome: Option<&Outcome>,
    failures: i64,
    next_at: i64,
) -> ApiResult<()> {
    let (why, next_at, failures) = match outcome {
        None => (None, next_at, failures),
        Some(Outcome::Taken | Outcome::Gone) => (None, next_at, 0),
        Some(Outcome::Refused { why }) => (Some(serde_json::to_string(why)?), next_at, 0),
        Some(Outcome::Later { after, why }) => {
            let asked = after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2));
            let why = serde_json::to_string(why)?;
            (Some(why), next_at.max(now() + asked.max(back_off(failures))), failures + 1)
        }
    };
    sqlx::query(
        "UPDATE push_receivers SET last_success_at = CASE WHEN $1 = 1 THEN $2 ELSE last_success_at END, \
         last_failure_at = CASE WHEN $3 = 1 THEN $2 ELSE last_failure_at END, \
         last_failure = CASE WHEN $1 = 1 THEN NULL WHEN $3 = 1 THEN $4 ELSE last_failure END, \
         failures = $5, next_at = $6 WHERE id = $7",
    )
    .bind(i64::from(outcome == Some(&Outcome::Taken)))
    .bind(now())
    .bind(i64::from(why.is_some()))
    .bind(why)
    .bind(failures)
    .bind(next_at)
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// It ends, unless it was renewed since it was claimed: then the next turn goes where it is now.
async fn ends(tx: &mut Tx, claimed: &Claimed, because: PushRemoved) -> ApiResult<()> {
    let id = claimed.receiver.id;
    store::remove_as_it_was(tx, &Cause::system(claimed.tenant), id, &claimed.standing, because).await?;
    store::let_go(tx, id).await
}

pub async fn remove(db: &Db, tenant: TenantId, id: PushReceiverId, because: PushRemoved) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move { store::remove(tx, &Cause::system(tenant), &id.to_string(), because).await })
    })
    .await
}
