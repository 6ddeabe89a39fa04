//! The agent as a service of the system: how it is called there, and where its log is.

use std::path::Path;

use anyhow::Context as _;
use foreman_services::{Service, Which};

/// The service that runs the agent of this state directory.
///
/// # Errors
/// When a path cannot be found out.
pub fn describe(which: Which, state_dir: &Path) -> anyhow::Result<Service> {
    let state = std::path::absolute(state_dir).context("cannot make the state directory absolute")?;
    // The service control manager of Windows has to be answered.
    let run = if cfg!(windows) { crate::SERVE } else { "run" };
    let arguments = vec![run.into(), "--state".into(), state.clone().into()];
    which.service("agent", arguments, &state, "foreman-agent run", true)
}

/// Becomes the service that Windows started. `body` says whether all went well.
///
/// # Errors
/// When the service control manager did not start this process.
#[cfg(windows)]
pub fn serve(body: fn() -> bool) -> anyhow::Result<std::process::ExitCode> {
    foreman_services::serve(body, crate::ending::ask)
}

/// Where the service of Windows writes its log, a file a day: nobody sees its standard error.
///
/// # Errors
/// When the directory cannot be made.
#[cfg(windows)]
pub fn log_file(state_dir: &Path) -> anyhow::Result<tracing_appender::rolling::RollingFileAppender> {
    use tracing_appender::rolling::{RollingFileAppender, Rotation};
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("agent")
        .filename_suffix("log")
        .max_log_files(5)
        .build(state_dir.join("logs"))
        .context("Cannot write the log")
}
