//! Logs and measurements of a device, live.

use foreman_protocol::{LogEnd, LogLevel, LogLine, LogSources, Sample};
use futures_util::{StreamExt, stream::BoxStream};

use super::{
    DeviceConnection,
    ask::Ask,
    sse::{Said, Unavailable, resuming},
};
use crate::{Error, devices::wire_name};

/// Which lines of a source.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// So many of the last lines first; the device's default when absent.
    pub lines: Option<u32>,
    /// Only lines that match this regular expression.
    pub grep: Option<String>,
    /// Only lines of at least this level.
    pub level: Option<LogLevel>,
    /// Go on with what is written from now on.
    pub follow: bool,
}

/// What following a log says.
#[derive(Debug, Clone)]
pub enum LogUpdate {
    /// Lines in order, each once.
    Line(LogLine),
    /// Lines were lost to rotation on the device.
    Gap,
    /// The stream is gone and is opened again after the last line, as long as it is polled.
    Lost(Error),
    /// All that was asked for was said, or the device's reason why no more is; nothing follows.
    Ended(Option<String>),
    /// It cannot be had; nothing follows.
    Failed(Error),
}

/// What live measurements say.
#[derive(Debug, Clone)]
pub enum MetricsUpdate {
    Sample(Box<Sample>),
    /// The stream is gone and is opened again, as long as it is polled.
    Lost(Error),
    /// It cannot be had; nothing follows.
    Failed(Error),
}

impl DeviceConnection {
    /// What logs there are.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn log_sources(&self) -> Result<LogSources, Error> {
        self.json(Ask::get("/logs")).await
    }

    /// Lines of a source, by its id in [`DeviceConnection::log_sources`]. It goes on after the last line when a path
    /// dies.
    #[must_use]
    pub fn logs(&self, source: &str, filter: &LogFilter) -> BoxStream<'static, LogUpdate> {
        let (source, filter) = (source.to_owned(), filter.clone());
        let ask = move || {
            Ask::get("/logs/stream")
                .query("source", Some(&source))
                .query("lines", filter.lines)
                .query("grep", filter.grep.as_ref())
                .query("level", filter.level.map(wire_name))
                .query("follow", Some(filter.follow))
        };
        let said = resuming(self.clone(), ask, Unavailable::Stays);
        let updates = said.filter_map(|said| std::future::ready(understand(said)));
        until_over(updates.boxed(), |update| matches!(update, LogUpdate::Ended(_) | LogUpdate::Failed(_)))
    }

    /// Measurements, one each second while this is polled.
    #[must_use]
    pub fn metrics(&self) -> BoxStream<'static, MetricsUpdate> {
        let updates =
            resuming(self.clone(), || Ask::get("/metrics"), Unavailable::Passes).filter_map(|said| {
                std::future::ready(match said {
                    Said::Event(event) if event.event == "sample" => {
                        serde_json::from_str(&event.data).ok().map(MetricsUpdate::Sample)
                    }
                    Said::Event(_) => None,
                    Said::Lost(error) => Some(MetricsUpdate::Lost(error)),
                    Said::Failed(error) => Some(MetricsUpdate::Failed(error)),
                })
            });
        updates.boxed()
    }
}

/// `None` for what adds nothing: pings, names of the future.
fn understand(said: Said) -> Option<LogUpdate> {
    let event = match said {
        Said::Event(event) => event,
        Said::Lost(error) => return Some(LogUpdate::Lost(error)),
        Said::Failed(error) => return Some(LogUpdate::Failed(error)),
    };
    match event.event.as_str() {
        "line" => serde_json::from_str(&event.data).ok().map(LogUpdate::Line),
        "gap" => Some(LogUpdate::Gap),
        "end" => {
            let end: LogEnd = serde_json::from_str(&event.data).unwrap_or_default();
            Some(LogUpdate::Ended(end.reason))
        }
        _ => None,
    }
}

/// Up to and with the first item that ends it; what is behind is dropped at once.
pub(super) fn until_over<T: Send + 'static>(
    items: BoxStream<'static, T>,
    is_last: impl Fn(&T) -> bool + Send + Sync + Copy + 'static,
) -> BoxStream<'static, T> {
    let state = Some(items);
    futures_util::stream::unfold(state, move |state| async move {
        let mut items = state?;
        let item = items.next().await?;
        let last = is_last(&item);
        Some((item, (!last).then_some(items)))
    })
    .boxed()
}
