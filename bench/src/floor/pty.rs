//! The most a terminal can give: what a program prints, read from its pseudo-terminal by the one who waits for
//! nothing else. The kernel hands it over in pieces of 4 KiB, whoever reads.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

/// Runs `script` with `sh`, waits for `ready`, types a line and takes `count` bytes; how long these took. Blocks.
pub fn output(script: &str, ready: &str, count: usize) -> Duration {
    let pair = native_pty_system().openpty(PtySize::default()).expect("a pseudo-terminal");
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let mut writer = pair.master.take_writer().expect("a writer");
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", script]);
    let mut child = pair.slave.spawn_command(command).expect("sh");
    let mut buffer = [0; 64 * 1024];
    let mut take = |count: usize| {
        let mut taken = 0;
        while taken < count {
            taken += reader.read(&mut buffer).expect("it prints");
        }
        assert_eq!(taken, count, "more was printed than was meant to be");
    };
    take(ready.len());
    let begin = Instant::now();
    writer.write_all(b"go\n").expect("it listens");
    take(count);
    let took = begin.elapsed();
    child.kill().expect("it ends");
    child.wait().expect("it ended");
    took
}
