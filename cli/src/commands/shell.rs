//! `foreman shell`: a terminal of a device in this one. It lives on the device: a lost path or a closed window does not
//! end it.

mod escape;

use anyhow::{Result, bail};
use clap::Args;
use foreman_client::{
    DeviceConnection,
    device::{AttachOptions, AttachedTerminal, TerminalInput, TerminalUpdate},
};
use foreman_protocol::{OpenTerminal, Terminal, TerminalEnded, TerminalId};
use tokio::{
    io::{AsyncReadExt, stdin},
    sync::mpsc,
};

use crate::{
    context::Context,
    output::{json, moment, note, put, table},
    raw::{self, Raw, Resizes},
};
use escape::{Escapes, Typed};

const AFTER: &str = "\
At the beginning of a line, ~. leaves the terminal, which runs on; ~~ types a ~ and ~? shows this.";

/// Without a window to ask.
const USUAL: (u16, u16) = (80, 24);

/// What a terminal sends when its input ends.
const END_OF_INPUT: &[u8] = &[4];

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// Go back to a terminal that runs, by its id or the beginning of it.
    #[arg(long, env = "FOREMAN_SHELL_ATTACH", value_name = "ID", conflicts_with_all = ["command", "cwd"])]
    attach: Option<String>,
    /// Only watch.
    #[arg(long, env = "FOREMAN_SHELL_VIEW", requires = "attach")]
    view: bool,
    /// List the terminals that run.
    #[arg(short, long, env = "FOREMAN_SHELL_LIST", conflicts_with_all = ["attach", "command", "end"])]
    list: bool,
    /// End a terminal and what runs in it.
    #[arg(long, env = "FOREMAN_SHELL_END", value_name = "ID", conflicts_with_all = ["attach", "command"])]
    end: Option<String>,
    /// Where to start.
    #[arg(long, env = "FOREMAN_SHELL_CWD")]
    cwd: Option<String>,
    /// Program and arguments; the login shell when absent.
    #[arg(last = true)]
    command: Vec<String>,
}

pub async fn run(context: &Context, options: Options) -> Result<u8> {
    let device = context.open(&options.device).await?;
    if options.list {
        list(context, &device).await?;
        return Ok(0);
    }
    if let Some(which) = &options.end {
        device.end_terminal(find(&device, which).await?.id).await?;
        return Ok(0);
    }
    let terminal = match &options.attach {
        Some(which) => find(&device, which).await?,
        None => open(&device, &options).await?,
    };
    let attach = AttachOptions { from: 0, write: !options.view, size: raw::size() };
    let session = device.attach(terminal.id, attach);
    let left = {
        let _raw = Raw::begin()?;
        watch(session, options.view).await
    };
    match left {
        Left::Ended(ended) => Ok(code(&ended)),
        Left::Detached => {
            let id = terminal.id;
            // Whatever line the terminal was in.
            eprintln!();
            note(format!(
                "it runs on: `foreman shell {} --attach {id}` goes back, --end {id} ends it",
                options.device
            ));
            Ok(0)
        }
        Left::Failed(why) => bail!(why),
    }
}

async fn open(device: &DeviceConnection, options: &Options) -> Result<Terminal> {
    let (cols, rows) = raw::size().unwrap_or(USUAL);
    let open = OpenTerminal {
        command: options.command.clone(),
        cwd: options.cwd.clone(),
        cols: cols.clamp(2, 1000),
        rows: rows.clamp(1, 1000),
        name: None,
        record: false,
    };
    Ok(device.open_terminal(&open).await?)
}

async fn find(device: &DeviceConnection, which: &str) -> Result<Terminal> {
    if let Ok(id) = which.parse::<TerminalId>() {
        return Ok(device.terminal(id).await?);
    }
    let all = device.terminals().await?;
    let mut fit = all.into_iter().filter(|one| one.id.to_string().starts_with(which) || one.name == which);
    match (fit.next(), fit.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => bail!("there is no terminal {which}: see --list"),
        _ => bail!("{which} may be several terminals: see --list"),
    }
}

async fn list(context: &Context, device: &DeviceConnection) -> Result<()> {
    let all = device.terminals().await?;
    if context.json {
        return json(&all);
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|one| {
            let state = if one.ended.is_some() { "ended" } else { "runs" };
            let since = moment(one.created_at);
            [one.id.to_string(), one.name, state.to_owned(), one.viewers.to_string(), since, one.opened_by]
        })
        .collect();
    table(["ID", "NAME", "", "VIEWERS", "SINCE", "OPENED BY"], &rows);
    Ok(())
}

enum Left {
    Ended(TerminalEnded),
    Detached,
    Failed(String),
}

async fn watch(mut session: AttachedTerminal, view: bool) -> Left {
    let input = session.input();
    let (detach, mut detached) = mpsc::channel(1);
    let typing = tokio::spawn(type_into(input.clone(), detach.clone(), view));
    let resizing = tokio::spawn(follow_size(input));
    let mut lost = false;
    let left = loop {
        let update = tokio::select! {
            update = session.next() => update,
            Some(()) = detached.recv() => break Left::Detached,
        };
        match update {
            Some(TerminalUpdate::Output { data, .. }) => {
                if !put(&data) {
                    break Left::Detached;
                }
            }
            Some(TerminalUpdate::Gap { .. }) => notice("some output is gone: it was not kept so long"),
            Some(TerminalUpdate::Lost(why)) => {
                if !std::mem::replace(&mut lost, true) {
                    notice(&format!("{why}; what you type is kept. Going on over the next path"));
                }
            }
            Some(TerminalUpdate::Attached(kind)) => {
                if std::mem::take(&mut lost) {
                    notice(&format!("back, over: {kind}"));
                }
            }
            Some(TerminalUpdate::State(state)) => {
                // One that has ended takes nothing from anybody.
                if !view && !state.may_write && state.terminal.ended.is_none() {
                    notice("you may only watch here");
                }
            }
            Some(TerminalUpdate::Ended(ended)) => break Left::Ended(ended),
            Some(TerminalUpdate::Failed(error)) => break Left::Failed(error.to_string()),
            None => break Left::Failed("the terminal ended without saying how".to_owned()),
        }
    };
    typing.abort();
    resizing.abort();
    left
}

/// One line that stands out of what the terminal shows.
fn notice(text: &str) {
    eprint!("\r\n[foreman: {text}]\r\n");
}

/// Types what is typed here, or with `view` only hears when somebody wants to leave.
async fn type_into(input: TerminalInput, detach: mpsc::Sender<()>, view: bool) {
    let mut escapes = Escapes::new(Raw::is_possible());
    let mut buffer = vec![0; 16 * 1024];
    let mut keys = stdin();
    loop {
        let typed = match keys.read(&mut buffer).await {
            Ok(0) | Err(_) => {
                if !view {
                    input.write(END_OF_INPUT).await;
                }
                return;
            }
            Ok(length) => escapes.read(&buffer[..length]),
        };
        match typed {
            Typed::Keys(keys) => {
                if !view && !keys.is_empty() && !input.write(keys).await {
                    return;
                }
            }
            Typed::Help => notice(AFTER),
            Typed::Leave => {
                let _ = detach.send(()).await;
                return;
            }
        }
    }
}

async fn follow_size(input: TerminalInput) {
    let Ok(mut resizes) = Resizes::new() else { return };
    while resizes.next().await.is_some() {
        if let Some((cols, rows)) = raw::size() {
            input.resize(cols.clamp(2, 1000), rows.clamp(1, 1000)).await;
        }
    }
}

/// The program's own code; what a shell would say of a signal.
fn code(ended: &TerminalEnded) -> u8 {
    if let Some(signal) = &ended.signal {
        note(format!("ended by {signal}"));
        return 129;
    }
    ended.exit_code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(1)
}
