//! A service of Windows, which the service control manager starts and this program answers.
//!
//! It runs as the local system, because a service of one user needs that user's password. Its log is in the state
//! directory, a file a day.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use windows_service::{
    Error, define_windows_service,
    service::{
        Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceControl, ServiceControlAccept,
        ServiceErrorControl, ServiceExitCode, ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo,
        ServiceStartType, ServiceState, ServiceStatus, ServiceType,
    },
    service_control_handler::{self, ServiceControlHandlerResult},
    service_dispatcher,
    service_manager::{ServiceManager, ServiceManagerAccess},
};

use super::{
    Installed,
    registered::{self, NAME, Registered},
};
use crate::ending;

/// How long starting or stopping may take.
const MOST_WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Of the service's log, one a day.
const LOG_FILES: usize = 5;

/// As the system's list of errors numbers them.
const ACCESS_DENIED: i32 = 5;
const NO_SUCH_SERVICE: i32 = 1060;

/// Installs and starts the service. Doing it again changes nothing. Returns what was done, one line each.
///
/// # Errors
/// When this is no administrator, or Windows refuses; its own words are in the error.
pub fn install(state_dir: &Path) -> anyhow::Result<Vec<String>> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let state_dir = std::path::absolute(state_dir).context("cannot make the state directory absolute")?;
    let wanted = registered::describe(&program, &state_dir);
    let info = info(&wanted);
    let access = ServiceAccess::QUERY_STATUS
        | ServiceAccess::QUERY_CONFIG
        | ServiceAccess::CHANGE_CONFIG
        | ServiceAccess::START
        | ServiceAccess::STOP;
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let mut done = Vec::new();
    let service = match manager.open_service(NAME, access) {
        Ok(service) => {
            let running = state(&service)? == ServiceState::Running;
            if running && is_as_wanted(&service, &wanted) {
                return Ok(vec![format!("the Windows service {NAME} is installed and running already")]);
            }
            service.change_config(&info).context("cannot change the service")?;
            done.push(format!("Changed the Windows service {NAME}, which starts with the machine"));
            if running {
                stop(&service)?;
                done.push("Stopped the agent that ran before; its tasks go on".to_owned());
            }
            service
        }
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => {
            let service = manager.create_service(&info, access).context("cannot install the service")?;
            done.push(format!("Installed the Windows service {NAME}, which starts with the machine"));
            service
        }
        Err(error) => return Err(error).context("cannot open the service"),
    };
    done.extend(come_back(&service, &wanted));
    service.start::<&OsStr>(&[]).context("cannot start the service")?;
    wait_for(&service, ServiceState::Running)?;
    done.push("Started the agent".to_owned());
    Ok(done)
}

/// Stops and removes the service; the state directory stays. Returns what was done, one line each.
///
/// # Errors
/// When this is no administrator, or Windows refuses; its own words are in the error.
pub fn uninstall(state_dir: &Path) -> anyhow::Result<Vec<String>> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE;
    let service = match manager(ServiceManagerAccess::CONNECT)?.open_service(NAME, access) {
        Ok(service) => service,
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => {
            return Ok(vec![format!("the Windows service {NAME} is not installed; nothing to do")]);
        }
        Err(error) => return Err(error).context("cannot open the service"),
    };
    let mut done = Vec::new();
    if state(&service)? != ServiceState::Stopped {
        stop(&service)?;
        done.push("Stopped the agent; tasks that run go on until they end".to_owned());
    }
    service.delete().context("cannot remove the service")?;
    done.push(format!(
        "Removed the Windows service {NAME}; what the agent keeps in {} stays",
        state_dir.display()
    ));
    Ok(done)
}

/// Whether the service exists and runs. `None` where nobody may ask.
#[must_use]
pub fn status() -> Option<Installed> {
    let manager = manager(ServiceManagerAccess::CONNECT).ok()?;
    match manager.open_service(NAME, ServiceAccess::QUERY_STATUS) {
        Ok(service) => Some(match state(&service).ok()? {
            ServiceState::Running => Installed::Running,
            _ => Installed::Stopped,
        }),
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => Some(Installed::No),
        Err(_) => None,
    }
}

fn manager(access: ServiceManagerAccess) -> anyhow::Result<ServiceManager> {
    match ServiceManager::local_computer(None::<&str>, access) {
        Err(error) if code(&error) == Some(ACCESS_DENIED) => {
            bail!("only an administrator can do that: run it in a console that was opened as administrator")
        }
        manager => manager.context("cannot reach the service control manager"),
    }
}

fn code(error: &Error) -> Option<i32> {
    match error {
        Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

fn state(service: &Service) -> anyhow::Result<ServiceState> {
    let status = service.query_status().context("cannot ask how the service is")?;
    Ok(status.current_state)
}

/// The same in the words of Windows.
fn info(wanted: &Registered) -> ServiceInfo {
    let start_type =
        if wanted.starts_with_the_machine { ServiceStartType::AutoStart } else { ServiceStartType::OnDemand };
    ServiceInfo {
        name: wanted.name.into(),
        display_name: wanted.display_name.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type,
        error_control: ServiceErrorControl::Normal,
        executable_path: wanted.program.clone(),
        launch_arguments: wanted.arguments.clone(),
        dependencies: Vec::new(),
        account_name: wanted.account.clone(),
        account_password: None,
    }
}

/// Whether it would start this program with these arguments.
fn is_as_wanted(service: &Service, wanted: &Registered) -> bool {
    let config = service.query_config();
    config.is_ok_and(|config| wanted.is_started_by(&config.executable_path.to_string_lossy()))
}

/// Has the system start the agent again when it ends by itself. Says so only when that could not be set.
fn come_back(service: &Service, wanted: &Registered) -> Option<String> {
    let again = ServiceAction { action_type: ServiceActionType::Restart, delay: wanted.restart_after };
    let actions = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(wanted.forgiven_after),
        reboot_msg: None,
        command: None,
        actions: Some(vec![again; wanted.restarts]),
    };
    let set = service
        .update_failure_actions(actions)
        .and_then(|()| service.set_failure_actions_on_non_crash_failures(true));
    let why = anyhow::Error::new(set.err()?);
    Some(format!("Windows will not start it again after a crash: {why:#}"))
}

fn stop(service: &Service) -> anyhow::Result<()> {
    service.stop().context("cannot stop the service")?;
    wait_for(service, ServiceState::Stopped)
}

fn wait_for(service: &Service, wanted: ServiceState) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let now = state(service)?;
        if now == wanted {
            return Ok(());
        }
        if now == ServiceState::Stopped {
            bail!("the service ended at once; its log is in `logs` of the state directory");
        }
        if begun.elapsed() > MOST_WAIT {
            bail!("the service does not answer; it is {now:?} after {} s", MOST_WAIT.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What the service does until it is asked to end.
static BODY: OnceLock<fn() -> bool> = OnceLock::new();

/// Becomes the service that the control manager started. `body` says whether all went well.
///
/// # Errors
/// When the control manager did not start this process.
pub fn serve(body: fn() -> bool) -> anyhow::Result<ExitCode> {
    let _ = BODY.set(body);
    service_dispatcher::start(NAME, ffi_main)
        .context("this is for the service control manager; start the agent with `foreman-agent run`")?;
    Ok(ExitCode::SUCCESS)
}

define_windows_service!(ffi_main, service_main);

/// Nobody is there to hear of errors: a service that says nothing is found stopped.
fn service_main(_arguments: Vec<OsString>) {
    let answer = |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
            ending::ask();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let (Ok(handle), Some(body)) = (service_control_handler::register(NAME, answer), BODY.get()) else {
        return;
    };
    let say = |current_state, controls_accepted, exit_code| {
        let _ = handle.set_service_status(ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state,
            controls_accepted,
            exit_code,
            checkpoint: 0,
            wait_hint: Duration::ZERO,
            process_id: None,
        });
    };
    let controls = ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN;
    say(ServiceState::Running, controls, ServiceExitCode::NO_ERROR);
    let code = if body() { ServiceExitCode::NO_ERROR } else { ServiceExitCode::ServiceSpecific(1) };
    say(ServiceState::Stopped, ServiceControlAccept::empty(), code);
}

/// Where the service writes its log: nobody sees its standard error.
///
/// # Errors
/// When the directory cannot be made.
pub fn log_file(state_dir: &Path) -> anyhow::Result<RollingFileAppender> {
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("agent")
        .filename_suffix("log")
        .max_log_files(LOG_FILES)
        .build(state_dir.join("logs"))
        .context("Cannot write the log")
}
