//! How a task ended, as its supervisor wrote it down.

use foreman_protocol::{TaskId, TaskReport, TaskState};
use serde::{Deserialize, Serialize};

use super::Moment;

/// The contents of `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub ending: Ending,
    /// Set when the task was ended rather than ended by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<StopCause>,
    /// Bytes of output in all.
    pub output_total: u64,
    pub ended: Moment,
    /// What a person should know besides.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remark: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Code(i32),
    Signal(i32),
    CouldNotStart(String),
    /// Not even a kill ended it within the time given.
    StillAlive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    Asked,
    TimeUp { after_s: u64 },
}

/// What is heard of a task's processes.
pub(crate) enum Reaped {
    /// The main process has ended.
    Main(Ending, Moment),
    /// No process of the task is left.
    AllGone,
}

impl Exit {
    /// What to tell the server, with its age counted now.
    #[must_use]
    pub fn report(&self, task_id: TaskId) -> TaskReport {
        let (exit_code, signal) = match self.ending {
            Ending::Code(code) => (Some(code), None),
            Ending::Signal(signal) => (None, Some(signal)),
            Ending::CouldNotStart(_) | Ending::StillAlive => (None, None),
        };
        let state = match (&self.ending, self.stopped) {
            (Ending::CouldNotStart(_), _) => TaskState::Failed,
            (_, Some(_)) => TaskState::Stopped,
            (Ending::Code(0), None) => TaskState::Succeeded,
            _ => TaskState::Failed,
        };
        TaskReport {
            task_id,
            state,
            ago_ms: self.ended.ago_ms(),
            exit_code,
            signal,
            reason: self.reason(),
            output_total: Some(self.output_total),
        }
    }

    fn reason(&self) -> Option<String> {
        let mut parts = Vec::new();
        match self.stopped {
            Some(StopCause::TimeUp { after_s }) => parts.push(format!("Its time of {after_s} s was up.")),
            Some(StopCause::Asked) | None => {}
        }
        match &self.ending {
            Ending::CouldNotStart(why) => parts.push(why.clone()),
            Ending::StillAlive => parts
                .push("Some of its processes could not be ended; look for them on the device.".to_owned()),
            Ending::Code(_) | Ending::Signal(_) => {}
        }
        parts.extend(self.remark.clone());
        if parts.is_empty() { None } else { Some(parts.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(ending: Ending, stopped: Option<StopCause>) -> TaskReport {
        Exit { ending, stopped, output_total: 7, ended: Moment::now(), remark: None }.report(TaskId::fresh())
    }

    #[test]
    fn each_ending_has_its_state() {
        assert_eq!(exit(Ending::Code(0), None).state, TaskState::Succeeded);
        assert_eq!(exit(Ending::Code(3), None).exit_code, Some(3));
        assert_eq!(exit(Ending::Signal(9), None).state, TaskState::Failed);
        assert_eq!(exit(Ending::Code(0), Some(StopCause::Asked)).state, TaskState::Stopped);
        let timed = exit(Ending::Signal(15), Some(StopCause::TimeUp { after_s: 5 }));
        assert_eq!(
            (timed.state, timed.reason.as_deref()),
            (TaskState::Stopped, Some("Its time of 5 s was up."))
        );
        let never = exit(Ending::CouldNotStart("No such program.".to_owned()), Some(StopCause::Asked));
        assert_eq!((never.state, never.output_total), (TaskState::Failed, Some(7)));
    }
}
