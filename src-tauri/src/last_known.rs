//! What the window asks of the server, answered from what was last known when nobody answers. Such an answer says in
//! a header when it was given, so that no page takes it for a fresh one.

use foreman_client::{
    RawAnswer,
    app::{KeptAnswer, KnownServer, LastKnown},
};

use crate::{
    ask::{AnswerHead, AskHead, head_of, pass_on},
    desk::{Desk, now},
    failure::Failure,
};

/// When a kept answer was given, in ms since the epoch.
const GIVEN_AT: &str = "x-foreman-last-known";
/// Bytes of an answer that is given as a whole; longer ones are streamed.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// What these answer is of one moment, so long that nobody asks for it twice, or a secret.
const NOT_KEPT: [&str; 7] =
    ["/samples", "/verify", "/export", "/usage.csv", "/stream", "/challenge", "/tunnel/access"];

/// Passes a request on and gives the whole answer, or the last one where there is none now.
pub async fn answer(desk: &Desk, head: AskHead, body: Vec<u8>) -> Result<(AnswerHead, Vec<u8>), Failure> {
    let Some((known, server)) = place(desk, &head).await else {
        return whole(pass_on(desk, head, body).await?).await;
    };
    let path = head.path.clone();
    // A server that takes long is waited for: an old answer beside a live link would look like a fresh one.
    let asked = async { whole(pass_on(desk, head, body).await?).await }.await;
    match &asked {
        Err(failure) if failure.nobody_answered() => {}
        Ok((head, _)) if (502..=504).contains(&head.status) => {}
        Err(_) => return asked,
        Ok(fresh) => {
            keep(&known, &server, &path, fresh).await;
            return asked;
        }
    }
    let latest = known.latest(&server.id, &path).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "what was last known is not there");
        None
    });
    latest.map_or(asked, |latest| Ok(as_kept(latest)))
}

/// Where the answer belongs; nothing where none is kept, as where no keychain holds the key.
async fn place(desk: &Desk, head: &AskHead) -> Option<(LastKnown, KnownServer)> {
    let path = head.path.split('?').next().unwrap_or_default();
    let worth = head.method == "GET"
        && head.device.is_none()
        && path.starts_with("/api/v1/")
        && !path.starts_with("/api/v1/auth/")
        && !NOT_KEPT.iter().any(|end| path.ends_with(end));
    if !worth {
        return None;
    }
    // In this order: with no server there is nothing to open a keychain for.
    let server = desk.selected().ok()?;
    Some((desk.last_known().await?, server))
}

async fn whole(answer: RawAnswer) -> Result<(AnswerHead, Vec<u8>), Failure> {
    let head = head_of(&answer);
    Ok((head, answer.whole(ANSWER_LIMIT).await?.to_vec()))
}

async fn keep(known: &LastKnown, server: &KnownServer, path: &str, (head, body): &(AnswerHead, Vec<u8>)) {
    let done = match head.status {
        200 => {
            let kind = head.headers.iter().find(|(name, _)| name == "content-type");
            let content_type = kind.map_or_else(String::new, |(_, kind)| kind.clone());
            known.keep(&server.id, path, &KeptAnswer { at: now(), content_type, body: body.clone() }).await
        }
        // Whoever may not use the server any more shall not go on reading what they knew.
        401 => known.forget(&server.id).await,
        403 | 404 | 410 => known.drop_answer(&server.id, path).await,
        _ => Ok(()),
    };
    if let Err(error) = done {
        tracing::warn!(%error, "what was answered is not kept");
    }
}

fn as_kept(kept: KeptAnswer) -> (AnswerHead, Vec<u8>) {
    let headers =
        vec![("content-type".to_owned(), kept.content_type), (GIVEN_AT.to_owned(), kept.at.to_string())];
    (AnswerHead { status: 200, headers }, kept.body)
}
