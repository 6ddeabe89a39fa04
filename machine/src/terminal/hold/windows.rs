//! A process on the pseudo-console whose program is in a job that ends with it. So everything in the terminal ends when
//! the program does, when this is ended, and when the console is closed, which happens when the agent dies.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    process::Stdio,
};

use process_wrap::tokio::{CommandWrap, JobObject, KillOnDrop};
use tokio::{
    process::Command,
    signal::windows::{ctrl_break, ctrl_c},
};

use super::{NOT_STARTED, Orders, why_not};
use crate::run::Ending;

/// The console of this process, whatever its standard handles are.
const INPUT: &str = "CONIN$";
const OUTPUT: &str = "CONOUT$";

/// To read its mode a program needs to read its output too, and the other way round.
fn console(name: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(name)
}

/// To the terminal, for whoever looks.
pub(super) fn say(text: &str) {
    if let Ok(mut console) = console(OUTPUT) {
        let _ = console.write_all(format!("{text}\r\n").as_bytes());
    }
}

pub(super) async fn run(orders: &Orders) -> io::Result<Ending> {
    // Typed for the program, and heard by everyone on the console.
    let _typed = (ctrl_c()?, ctrl_break()?);
    let mut command = Command::new(&orders.program);
    command.args(&orders.args).current_dir(&orders.cwd);
    let stdio = |name| console(name).map(Stdio::from);
    command.stdin(stdio(INPUT)?).stdout(stdio(OUTPUT)?).stderr(stdio(OUTPUT)?);
    let mut wrap = CommandWrap::from(command);
    wrap.wrap(KillOnDrop).wrap(JobObject);
    let mut child = match wrap.spawn() {
        Ok(child) => child,
        Err(error) => {
            say(&why_not(orders, &error));
            return Ok(Ending::Code(NOT_STARTED.into()));
        }
    };
    // The wrapper's own wait would be for all of the job.
    let status = child.inner_mut().wait().await?;
    Ok(Ending::Code(status.code().unwrap_or(-1)))
}

/// Ends with the program's own code, which has more than the 8 bits that a `main` may return.
pub(super) fn leave(ending: &Ending) -> u8 {
    match ending {
        Ending::Code(number) => std::process::exit(*number),
        Ending::Signal(_) | Ending::CouldNotStart(_) | Ending::StillAlive => 1,
    }
}
