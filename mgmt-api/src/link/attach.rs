//! Terminals for browsers: a WebSocket here, the device's own duplex stream over a link of its own there. One binary
//! message is one frame; what is in it is between the page and the device.

use std::io;

use axum::{
    extract::State,
    http::{Method, StatusCode},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use foreman_link::h2::{self, BodySender};
use foreman_protocol::{DeviceId, MAX_TERMINAL_FRAME, Role, TerminalId};
use futures_util::{
    SinkExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{SplitSink, SplitStream},
};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tokio_util::{
    codec::{FramedRead, LengthDelimitedCodec},
    io::StreamReader,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    leg::{self, Messages},
    pool,
    splice::{GONE_AFTER, GOODBYE, PING_EVERY},
    through,
    upgrade::{Upgrade, Way},
};
use crate::{
    App,
    auth::Caller,
    bounds,
    devices::store,
    extract::{Path, Query},
    problem::{ApiError, ApiResult},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(attach))
}

#[derive(Debug, Deserialize)]
struct Where {
    id: DeviceId,
    terminal: TerminalId,
}

#[derive(Debug, Deserialize, IntoParams)]
struct AttachQuery {
    /// Output from this byte on.
    from: Option<u64>,
    /// Names a writer, whose bytes are typed once however often they are sent; absent: only looks.
    writer: Option<String>,
}

/// A terminal of the device as a WebSocket: binary messages, each one terminal frame. Viewers only look.
#[utoipa::path(get, path = "/api/v1/devices/{id}/link/terminals/{terminal}/attach", tag = "link",
    params(("id" = DeviceId, Path), ("terminal" = TerminalId, Path), AttachQuery),
    responses((status = 101, description = "A WebSocket of binary messages, each one frame")))]
async fn attach(
    State(app): State<App>,
    caller: Caller,
    Path(Where { id, terminal }): Path<Where>,
    Query(query): Query<AttachQuery>,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    caller.at_least(Role::Viewer)?;
    let device =
        store::find(app.db.read(), caller.tenant, id).await?.ok_or_else(|| ApiError::not_found("device"))?;
    let place = app.link.terminals.enter(caller.tenant, caller.account())?;
    let departure = app.hub.departure(id);
    let may_write = caller.at_least(Role::Operator).is_ok();
    let address = address(terminal, &query, may_write)?;
    // Of its own, so that a keystroke never waits behind a file.
    let link = pool::open(&app, &caller, &device).await?;
    let (typing, body) = h2::Body::channel();
    let mut request = axum::http::Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = address.parse().map_err(ApiError::internal)?;
    let answer = tokio::select! {
        () = app.closing.cancelled() => return Err(ApiError::unavailable()),
        answer = link.request(request) => answer.map_err(|error| through::lost(&device, true, &error))?,
    };
    if answer.status() != StatusCode::OK {
        return Ok(through::pass_on(&app, caller, answer));
    }
    let open = app.link.open.token();
    Ok(upgrade.then(move |socket| async move {
        let typing = Typing { device: typing, may_write };
        let leaving = Leaving { departure, signed_off: Box::pin(caller.ended(app.clone())) };
        carry(&app, leaving, socket, typing, answer.into_body()).await;
        drop((place, open, link));
    }))
}

fn address(terminal: TerminalId, query: &AttachQuery, may_write: bool) -> ApiResult<String> {
    let mut address = format!("/terminals/{terminal}/attach?from={}", query.from.unwrap_or(0));
    if let Some(writer) = query.writer.as_deref().filter(|_| may_write) {
        bounds::text("writer", writer, 64)?;
        if !writer.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(ApiError::invalid("writer", "A writer's name has letters, digits, - and _ only."));
        }
        address.push_str("&writer=");
        address.push_str(writer);
    }
    Ok(address)
}

/// Why it ended, as the page is told.
type Goodbye = (CloseCode, &'static str);

const ENDED: Goodbye = (CloseCode::Normal, "the terminal's stream ended");
const LEFT: Goodbye = (CloseCode::Normal, "");
const UNFIT: Goodbye = (CloseCode::Protocol, "this is no terminal frame");
const GONE: Goodbye = (CloseCode::Away, "the page answers no more");
const BROKE: Goodbye = (CloseCode::Away, "the connection to the device broke; attach again");
const REMOVED: Goodbye = (CloseCode::Policy, "the device was disconnected or deleted");
const SIGNED_OFF: Goodbye = (CloseCode::Policy, "you were signed out");
const STOPPING: Goodbye = (CloseCode::Away, "the server stops; attach again in a moment");

/// What ends a terminal's stream from outside.
struct Leaving {
    departure: watch::Receiver<()>,
    signed_off: BoxFuture<'static, ()>,
}

/// One frame is in flight in each direction: a page that does not read holds the device back.
async fn carry(app: &App, mut leaving: Leaving, socket: Way, typing: Typing, output: Incoming) {
    let (mut page, mut from_page) = leg::messages(socket).await.split();
    let (code, reason) = tokio::select! {
        () = app.closing.cancelled() => STOPPING,
        _ = leaving.departure.changed() => REMOVED,
        () = leaving.signed_off => SIGNED_OFF,
        goodbye = up(&mut from_page, &typing) => goodbye,
        goodbye = down(output, &mut page) => goodbye,
    };
    let goodbye = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    let parting = async {
        // What is still unread would make the goodbye unheard.
        if page.send(goodbye).await.is_ok() {
            while let Some(Ok(_)) = from_page.next().await {}
        }
    };
    let _ = timeout(GOODBYE, parting).await;
}

/// Where a page's frames go. A viewer's go nowhere, but its place is kept.
struct Typing {
    device: BodySender,
    may_write: bool,
}

async fn up(page: &mut SplitStream<Messages>, typing: &Typing) -> Goodbye {
    loop {
        match timeout(GONE_AFTER, page.next()).await {
            Err(_) => return GONE,
            Ok(Some(Ok(Message::Binary(frame)))) => {
                if typing.may_write && !typing.device.send(with_length(&frame)).await {
                    return BROKE;
                }
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
            Ok(Some(Ok(Message::Close(_))) | None) => return LEFT,
            Ok(Some(Ok(Message::Text(_)) | Err(_))) => return UNFIT,
        }
    }
}

fn with_length(frame: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(4 + frame.len());
    // Messages are bounded far below.
    bytes.put_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX));
    bytes.put_slice(frame);
    bytes.freeze()
}

async fn down(output: Incoming, page: &mut SplitSink<Messages, Message>) -> Goodbye {
    let bytes = StreamReader::new(BodyDataStream::new(output).map_err(io::Error::other));
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_TERMINAL_FRAME).new_codec();
    let mut frames = FramedRead::with_capacity(bytes, codec, 4096);
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(frame)) => Message::Binary(frame.freeze()),
                Some(Err(_)) => return BROKE,
                None => return ENDED,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        if !matches!(timeout(GONE_AFTER, page.send(message)).await, Ok(Ok(()))) {
            return GONE;
        }
    }
}
