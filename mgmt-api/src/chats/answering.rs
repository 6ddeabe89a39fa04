//! Bringing one answer: from the router into rows, a few times a second, until it ends or somebody stops it.
//!
//! Nobody has to listen. Whether it was stopped is read from its row, so any server process can stop it.

use std::time::Duration;

use foreman_protocol::{ChatId, MessageId, MessageUsage, ProblemCode, Route, TenantId, UserId};
use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until},
};

pub use super::ending::watch;
use super::{
    context,
    ending::{self, ALIVE_EVERY, End},
};
use crate::{
    App,
    db::now,
    events::{Cause, Effect},
    problem::ApiError,
    router::{self, Payer, Piece, Question, Reply},
};

/// Text waits this long for more before it is written; the first does not wait.
const FLUSH_EVERY: Duration = Duration::from_millis(80);
/// Longer than any model's answer.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// An answer to bring.
pub struct Work {
    pub tenant: TenantId,
    pub owner: UserId,
    pub chat: ChatId,
    pub question: MessageId,
    pub answer: MessageId,
    pub model: String,
}

/// Brings it in the background.
pub fn begin(app: &App, work: Work) {
    let app = app.clone();
    // Subscribed before anything is looked at.
    let news = app.hub.answer(work.answer);
    tokio::spawn(async move {
        let mut bearer = Bearer::new(app, work, news);
        let end = match bearer.bring().await {
            Ok(usage) => End::done(bearer.take(), usage),
            Err(Cut::Failed(error)) => End::failed(bearer.take(), error),
            Err(Cut::Closing) => End::interrupted(bearer.take()),
            Err(Cut::Over) => return,
        };
        bearer.end(end).await;
    });
}

/// Why an answer is not brought to its end.
enum Cut {
    Failed(ApiError),
    /// The server stops.
    Closing,
    /// It was stopped, or its conversation is gone.
    Over,
}

impl From<ApiError> for Cut {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

struct Bearer {
    app: App,
    work: Work,
    news: watch::Receiver<()>,
    alive: Interval,
    /// Arrived and not written.
    pending: String,
    /// Bytes that are written.
    written: usize,
    thinking: bool,
    left_out: u32,
    route: Option<Route>,
}

/// What happens beside the answer itself.
enum Turn {
    Closing,
    News,
    Alive,
}

impl Bearer {
    fn new(app: App, work: Work, news: watch::Receiver<()>) -> Self {
        let mut alive = interval(ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            app,
            work,
            news,
            alive,
            pending: String::new(),
            written: 0,
            thinking: false,
            left_out: 0,
            route: None,
        }
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }

    async fn bring(&mut self) -> Result<MessageUsage, Cut> {
        let context =
            context::build(&self.app, self.work.tenant, self.work.chat, self.work.question, &self.work.model)
                .await?;
        self.left_out = context.left_out;
        let question = Question {
            tenant: self.work.tenant,
            payer: Payer::User(self.work.owner),
            model: self.work.model.clone(),
            project: None,
            body: context.body,
        };
        let app = self.app.clone();
        let asking = router::ask(&app, question);
        tokio::pin!(asking);
        let reply = loop {
            let turn = tokio::select! {
                reply = &mut asking => break reply?,
                turn = self.turn() => turn,
            };
            self.act_on(turn).await?;
        };
        self.route = Some(reply.route.clone());
        self.note().await?;
        self.follow(reply).await
    }

    async fn follow(&mut self, mut reply: Reply) -> Result<MessageUsage, Cut> {
        // The first text is written at once.
        let mut due = Instant::now();
        loop {
            let turn = tokio::select! {
                piece = reply.pieces.next() => match piece {
                    Some(Ok(Piece::Text(text))) => {
                        if self.pending.is_empty() {
                            due = due.max(Instant::now());
                        }
                        self.thinking = false;
                        self.pending.push_str(&text.replace('\0', "\u{fffd}"));
                        if self.written + self.pending.len() > MOST_BYTES {
                            return Err(Cut::Failed(ApiError::new(
                                ProblemCode::TooLarge,
                                "The answer did not end and was stopped at 2 MiB. What had arrived is kept.",
                            )));
                        }
                        continue;
                    }
                    Some(Ok(Piece::Reasoning(_))) => {
                        if !self.thinking && self.written == 0 && self.pending.is_empty() {
                            self.thinking = true;
                            self.note().await?;
                        }
                        continue;
                    }
                    Some(Ok(Piece::Done { usage, .. })) => return Ok(usage),
                    Some(Err(error)) => return Err(Cut::Failed(error)),
                    None => return Err(Cut::Failed(broke_off())),
                },
                () = sleep_until(due), if !self.pending.is_empty() => {
                    self.flush().await?;
                    due = Instant::now() + FLUSH_EVERY;
                    continue;
                }
                turn = self.turn() => turn,
            };
            self.act_on(turn).await?;
        }
    }

    /// What else may happen meanwhile. Nothing is lost when this is not waited for to its end.
    async fn turn(&mut self) -> Turn {
        tokio::select! {
            () = self.app.closing.cancelled() => Turn::Closing,
            _ = self.news.changed() => Turn::News,
            _ = self.alive.tick() => Turn::Alive,
        }
    }

    async fn act_on(&mut self, turn: Turn) -> Result<(), Cut> {
        match turn {
            Turn::Closing => Err(Cut::Closing),
            Turn::News => self.still_wanted().await,
            Turn::Alive => self.flush().await,
        }
    }

    async fn still_wanted(&self) -> Result<(), Cut> {
        let row = sqlx::query("SELECT 1 FROM chat_messages WHERE id = $1 AND state = 'streaming'")
            .bind(self.work.answer.to_string())
            .fetch_optional(self.app.db.read())
            .await
            .map_err(ApiError::from)?;
        row.map(|_| ()).ok_or(Cut::Over)
    }

    /// Writes what waits, and that this process is still at it.
    async fn flush(&mut self) -> Result<(), Cut> {
        let (id, text, offset) = (self.work.answer, self.pending.clone(), self.written);
        let size = text.len();
        let wanted = self
            .app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let sql = match text.is_empty() {
                        true => "UPDATE chat_messages SET alive_at = $1 WHERE id = $2 AND state = 'streaming'",
                        false => {
                            "UPDATE chat_messages SET alive_at = $1, thinking = 0 WHERE id = $2 AND state = 'streaming'"
                        }
                    };
                    let done =
                        sqlx::query(sql).bind(now()).bind(id.to_string()).execute(tx.conn()).await?;
                    if done.rows_affected() == 0 || text.is_empty() {
                        return Ok(done.rows_affected() > 0);
                    }
                    sqlx::query(
                        "INSERT INTO chat_pieces (message_id, start_offset, size, body) VALUES ($1, $2, $3, $4)",
                    )
                    .bind(id.to_string())
                    .bind(i64::try_from(offset).unwrap_or(i64::MAX))
                    .bind(i64::try_from(text.len()).unwrap_or(i64::MAX))
                    .bind(&text)
                    .execute(tx.conn())
                    .await?;
                    tx.after_commit(Effect::Answer(id));
                    Ok(true)
                })
            })
            .await?;
        if !wanted {
            return Err(Cut::Over);
        }
        self.written += size;
        self.pending.clear();
        Ok(())
    }

    /// Writes what is known beside the text.
    async fn note(&self) -> Result<(), Cut> {
        let (id, thinking, left_out) = (self.work.answer, self.thinking, self.left_out);
        let route = self.route.as_ref().map(serde_json::to_string).transpose().map_err(ApiError::from)?;
        self.app
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE chat_messages SET thinking = $1, left_out = $2, route = $3 WHERE id = $4",
                    )
                    .bind(i64::from(thinking))
                    .bind(i64::from(left_out))
                    .bind(route)
                    .bind(id.to_string())
                    .execute(tx.conn())
                    .await?;
                    tx.after_commit(Effect::Answer(id));
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn end(&self, end: End) {
        let (owner, chat, answer) = (self.work.owner, self.work.chat, self.work.answer);
        let cause = Cause::system(self.work.tenant);
        let ended = self
            .app
            .db
            .write(move |tx| Box::pin(async move { ending::end(tx, &cause, owner, chat, answer, end).await }))
            .await;
        if let Err(error) = ended {
            tracing::warn!(message.id = %answer, %error, "an answer's end could not be written; it counts as cut off");
        }
    }
}

fn broke_off() -> ApiError {
    ApiError::new(
        ProblemCode::UpstreamFailed,
        "The answer broke off at the model's end. What had arrived is kept; ask again for another.",
    )
}
