//! celery with redis, as durable as ours: redis writes every change to its disk before it answers, and a task is
//! acknowledged after it ran.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;

use super::{find, free_port, start};

/// What both sides are measured by.
pub struct Dispatch {
    pub one_by_one: Vec<Duration>,
    pub all_at_once: Duration,
}

/// The worker and its caller in one file; the caller prints seconds, one on a line, the last for all at once.
const PROGRAM: &str = r#"
import subprocess, sys, time
from celery import Celery
url = sys.argv[-1] if sys.argv[-1].startswith("redis://") else None
import os
url = os.environ["BENCH_REDIS"]
app = Celery("bench", broker=url, backend=url)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True,
                task_default_queue="bench")

@app.task(name="bench.nothing")
def nothing():
    return subprocess.run(["true"]).returncode

if __name__ == "__main__":
    one, many = int(sys.argv[1]), int(sys.argv[2])
    for _ in range(10):
        nothing.delay().get(timeout=60)
    for _ in range(one):
        begin = time.perf_counter()
        nothing.delay().get(timeout=60)
        print(time.perf_counter() - begin)
    begin = time.perf_counter()
    waiting = [nothing.delay() for _ in range(many)]
    for result in waiting:
        result.get(timeout=120)
    print(time.perf_counter() - begin)
"#;

pub async fn run(one_by_one: usize, at_once: usize) -> Result<Dispatch, String> {
    let redis = find(&["redis-server"])?;
    let python = python().await?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let port = free_port();
    let mut command = Command::new(redis);
    command
        .args(["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", ""])
        .args(["--port", &port.to_string(), "--dir"])
        .arg(folder.path());
    let _redis = start("redis", command, port).await?;
    std::fs::write(folder.path().join("bench.py"), PROGRAM).map_err(|error| error.to_string())?;
    let with = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(arguments).current_dir(folder.path()).kill_on_drop(true);
        command.env("BENCH_REDIS", format!("redis://127.0.0.1:{port}/0"));
        command
    };
    // As many workers as cores, which is celery's own default.
    let arguments = ["-m", "celery", "-A", "bench", "worker", "--loglevel=WARNING", "-Q", "bench"];
    let mut worker = with(&arguments);
    worker.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut worker = worker.spawn().map_err(|error| error.to_string())?;
    let output = with(&["bench.py", &one_by_one.to_string(), &at_once.to_string()]).output().await;
    if let Some(pid) = worker.id().and_then(|pid| i32::try_from(pid).ok()) {
        // Its children end with it when it is asked, not when it is killed.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        let _ = worker.wait().await;
    }
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("celery failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut times: Vec<Duration> =
        text.lines().filter_map(|line| line.parse().ok()).map(Duration::from_secs_f64).collect();
    let all_at_once = times.pop().ok_or("celery printed nothing")?;
    Ok(Dispatch { one_by_one: times, all_at_once })
}

/// A Python with celery, in a folder of its own under `target`.
async fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-python");
    let python = folder.join("bin/python");
    let check = |python: PathBuf| async move {
        let asked = Command::new(python).args(["-c", "import celery, redis"]).output().await;
        asked.is_ok_and(|output| output.status.success())
    };
    if check(python.clone()).await {
        return Ok(python);
    }
    eprintln!("Installing celery into {}", folder.display());
    let system = find(&["python3"])?;
    let steps: [(&Path, Vec<&str>); 2] = [
        (&system, vec!["-m", "venv", folder.to_str().ok_or("a folder with odd characters")?]),
        (&python, vec!["-m", "pip", "install", "--quiet", "celery[redis]==5.6.*"]),
    ];
    for (program, arguments) in steps {
        let output =
            Command::new(program).args(arguments).output().await.map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("celery cannot be installed: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    if check(python.clone()).await { Ok(python) } else { Err("celery does not start".to_owned()) }
}
