//! A service of Windows, which the service control manager starts and this program answers.
//!
//! It runs as the local system, because a service of one user needs that user's password.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
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
    Installed, Look, Scope, Service as Wanted, Which,
    registered::{self, Registered},
};

/// How long starting or stopping may take.
const MOST_WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// As the system's list of errors numbers them.
const ACCESS_DENIED: i32 = 5;
const NO_SUCH_SERVICE: i32 = 1060;

/// Installs and starts the service. Doing it again changes nothing. Returns what was done, one line each.
///
/// # Errors
/// When this is no administrator, or Windows refuses; its own words are in the error.
pub fn install(service: &Wanted) -> anyhow::Result<Vec<String>> {
    refuse_a_user(service)?;
    let (what, goes_on) = (service.what, service.goes_on());
    let wanted = registered::describe(service);
    let name = &wanted.name;
    let info = info(&wanted);
    let access = ServiceAccess::QUERY_STATUS
        | ServiceAccess::QUERY_CONFIG
        | ServiceAccess::CHANGE_CONFIG
        | ServiceAccess::START
        | ServiceAccess::STOP;
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    let mut done = Vec::new();
    let service = match manager.open_service(name, access) {
        Ok(service) => {
            let running = state(&service)? == ServiceState::Running;
            if running && is_as_wanted(&service, &wanted) {
                return Ok(vec![format!("the Windows service {name} is installed and running already")]);
            }
            service.change_config(&info).context("cannot change the service")?;
            done.push(format!("Changed the Windows service {name}, which starts with the machine"));
            if running {
                stop(&service)?;
                done.push(format!("Stopped the {what} that ran before{goes_on}"));
            }
            service
        }
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => {
            let service = manager.create_service(&info, access).context("cannot install the service")?;
            done.push(format!("Installed the Windows service {name}, which starts with the machine"));
            service
        }
        Err(error) => return Err(error).context("cannot open the service"),
    };
    done.extend(come_back(&service, &wanted));
    service.start::<&OsStr>(&[]).context("cannot start the service")?;
    wait_for(&service, ServiceState::Running)?;
    done.push(format!("Started the {what}"));
    Ok(done)
}

/// Stops and removes the service; what it keeps stays. Returns what was done, one line each.
///
/// # Errors
/// When this is no administrator, or Windows refuses; its own words are in the error.
pub fn uninstall(service: &Wanted) -> anyhow::Result<Vec<String>> {
    refuse_a_user(service)?;
    let what = service.what;
    let tasks = if service.outlived { "; tasks that run go on until they end" } else { "" };
    let name = &service.name();
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE;
    let service = match manager(ServiceManagerAccess::CONNECT)?.open_service(name, access) {
        Ok(service) => service,
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => {
            return Ok(vec![format!("the Windows service {name} is not installed; nothing to do")]);
        }
        Err(error) => return Err(error).context("cannot open the service"),
    };
    let mut done = Vec::new();
    if state(&service)? != ServiceState::Stopped {
        stop(&service)?;
        done.push(format!("Stopped the {what}{tasks}"));
    }
    service.delete().context("cannot remove the service")?;
    done.push(format!("Removed the Windows service {name}"));
    Ok(done)
}

/// How the service is.
///
/// # Errors
/// When nobody may ask, or Windows does not answer.
pub fn look(service: &Wanted) -> anyhow::Result<Look> {
    refuse_a_user(service)?;
    let name = service.name();
    let state = match manager(ServiceManagerAccess::CONNECT)?.open_service(&name, ServiceAccess::QUERY_STATUS)
    {
        Ok(service) => match state(&service)? {
            ServiceState::Running => Installed::Running,
            _ => Installed::Stopped,
        },
        Err(error) if code(&error) == Some(NO_SUCH_SERVICE) => Installed::No,
        Err(error) => return Err(error).context("cannot open the service"),
    };
    Ok(Look { name: format!("the Windows service {name}"), state, after_logout: true })
}

/// The service, if it is there, whatever it calls. One that was given a name of its own is not looked for.
///
/// # Errors
/// See [`look`].
pub fn find(service: &Wanted) -> anyhow::Result<Vec<(Which, Look)>> {
    let plain = Wanted { instance: None, scope: Scope::Fitting, ..service.clone() };
    let look = look(&plain)?;
    let which = Which { user: false, instance: None };
    Ok(if look.state == Installed::No { Vec::new() } else { vec![(which, look)] })
}

fn refuse_a_user(service: &Wanted) -> anyhow::Result<()> {
    if service.scope == Scope::User {
        bail!(
            "on Windows a service of one user needs that user's password, so there are only services of the system"
        );
    }
    Ok(())
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
        name: wanted.name.clone().into(),
        display_name: wanted.display_name.clone().into(),
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

/// What the service does until it is asked to end, and how it is asked.
static BODY: OnceLock<(fn() -> bool, fn())> = OnceLock::new();

/// Nobody reads it: a process that is one service is that service by any name.
const NAME: &str = "foreman";

/// Becomes the service that the control manager started. `body` says whether all went well; `end` asks it to end.
///
/// # Errors
/// When the control manager did not start this process.
pub fn serve(body: fn() -> bool, end: fn()) -> anyhow::Result<ExitCode> {
    let _ = BODY.set((body, end));
    service_dispatcher::start(NAME, ffi_main)
        .context("this is for the service control manager; start the program without it instead")?;
    Ok(ExitCode::SUCCESS)
}

define_windows_service!(ffi_main, service_main);

/// Nobody is there to hear of errors: a service that says nothing is found stopped.
fn service_main(_arguments: Vec<OsString>) {
    let Some((body, end)) = BODY.get() else { return };
    let answer = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
            end();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let Ok(handle) = service_control_handler::register(NAME, answer) else { return };
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
