//! Logs on a device. `GET /logs` lists the sources; `GET /logs/stream?source=&lines=&grep=&level=&follow=` sends
//! SSE `line` ([`LogLine`]) with its cursor as id, `gap` when lines were lost to rotation, `ping`
//! ([`crate::StreamPing`]; with a cursor as id when a filter let nothing through for a while), and `end` ([`LogEnd`])
//! when `follow` is off or nothing more can come. A reconnect with `Last-Event-ID` goes on after that line.

use serde::{Deserialize, Serialize};

use crate::Millis;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// systemd's journal, whole or one unit.
    Journal,
    /// What a task printed.
    Task,
    /// A file, by its absolute path.
    File,
    /// A container of Docker or Podman.
    Container,
}

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogSource {
    /// For `source=`: `journal`, `journal:ssh.service`, `task:<id>`, `file:/var/log/syslog`, `container:<name>`.
    pub id: String,
    pub kind: LogKind,
    /// For people.
    pub name: String,
    /// Whether something is writing there now, as far as can be told.
    pub active: bool,
}

/// What of logs a device has. A kind that cannot be read is named with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct LogSources {
    pub sources: Vec<LogSource>,
    pub unavailable: Vec<UnavailableLogs>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnavailableLogs {
    pub kind: LogKind,
    /// `not installed`, `the agent's user may not read it`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<LogReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Why a log cannot be read, or not any more. Some have a detail beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogReason {
    /// The program that knows the log.
    NotInstalled,
    /// The agent's user may not read it. Detail: the group it would have to be in, where there is one.
    NoRight,
    /// What knows the log did not answer in time.
    TooSlow,
    NoAnswer,
    /// Nobody writes there.
    NothingWritten,
    /// The device's policy does not allow it any more. Detail: the setting that decides.
    Forbidden,
    /// The container does not run any more.
    ContainerStopped,
    /// Of a task's output the device has not all any more; its server has it.
    WithServer,
    /// As many logs are read as can be. Detail: how many.
    TooManyReaders,
    /// As the system or a program says. Detail: its words.
    Said,
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// When it was written, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Millis>,
    /// As the source says, or as the line's own words do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// The unit or the stream (`stdout`, `stderr`) it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// At most 16 KiB; longer lines are cut, and end in `…`.
    pub text: String,
}

/// The last word of a log's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct LogEnd {
    /// For people; absent when all was given that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<LogReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
