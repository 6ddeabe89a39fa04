//! Detection on machines that are not here: recorded answers behind the vendors' own program names, and a
//! file system root of their own. See `fixtures/README.md` for where each answer comes from.

#![cfg(unix)]

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use foreman_machine::probe::{ProbeOptions, detect};
use foreman_protocol::Capabilities;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A machine that has the programs in `bin` and the files under `root`, and no Ollama.
fn machine(name: &str) -> ProbeOptions {
    ProbeOptions {
        state_dir: std::env::temp_dir(),
        root: fixtures().join(name).join("root"),
        search_path: Some(fixtures().join(name).join("bin").into()),
        // Generous: a loaded machine starts even a small script late.
        time_limit: Duration::from_secs(20),
        // The discard port of this machine: nothing listens there.
        ollama_host: Some("127.0.0.1:9".into()),
        isaac_lab_path: None,
        python_prefixes: Vec::new(),
    }
}

fn reason<'a>(found: &'a Capabilities, probe: &str) -> &'a str {
    let skipped = found.skipped.iter().find(|skipped| skipped.probe == probe);
    skipped.map_or("", |skipped| skipped.reason.as_str())
}

#[tokio::test]
async fn a_dgx_spark_shares_its_memory_with_its_gpu() {
    let found = detect(&machine("gb10")).await;
    assert_eq!(found.gpus.len(), 1, "{found:?}");
    assert_eq!(found.gpus[0].name, "NVIDIA GB10");
    assert!(found.gpus[0].unified_memory);
    assert_eq!(found.gpus[0].memory_total, Some(found.memory_total));
    assert_eq!(found.cuda.as_deref(), Some("13.0"));
    assert_eq!(found.board, None);
}

#[tokio::test]
async fn an_agx_orin_is_named_by_its_device_tree() {
    let found = detect(&machine("agx-orin")).await;
    assert_eq!(found.board.as_deref(), Some("NVIDIA Jetson AGX Orin Developer Kit"));
    assert_eq!(found.l4t.as_deref(), Some("36.4.3"));
    assert_eq!(found.cuda.as_deref(), Some("12.6"));
    assert_eq!(found.tensorrt.as_deref(), Some("10.3.0"));
    assert_eq!(found.gpus.len(), 1, "nvidia-smi and the board are one GPU: {found:?}");
    assert_eq!(found.gpus[0].name, "Orin (Ampere)");
    assert_eq!(found.gpus[0].driver.as_deref(), Some("540.4.0"));
    assert!(found.gpus[0].unified_memory);
}

#[tokio::test]
async fn discrete_gpus_have_memory_of_their_own() {
    let data_centre = detect(&machine("h100")).await;
    assert_eq!(data_centre.gpus.len(), 2);
    assert_eq!(data_centre.gpus[1].memory_total, Some(81_559 * 1024 * 1024));
    let laptop = detect(&machine("laptop")).await;
    assert_eq!(laptop.gpus[0].name, "NVIDIA GeForce RTX 4070 Laptop GPU");
    assert!(!laptop.gpus[0].unified_memory);
}

#[tokio::test]
async fn a_bare_machine_is_still_described() {
    let found = detect(&machine("nothing-here")).await;
    assert!(found.gpus.is_empty());
    assert_eq!(reason(&found, "nvidia-smi"), "not installed");
    assert_eq!(reason(&found, "ollama"), "not running");
    assert!(found.memory_total > 0 && found.cpu.logical_cores > 0 && found.disk_total > 0);
    assert!(found.probed_at > 0);
}

#[tokio::test]
async fn a_driver_that_is_away_speaks_for_itself() {
    let found = detect(&machine("no-driver")).await;
    assert!(
        reason(&found, "nvidia-smi").contains("couldn't communicate with the NVIDIA driver"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_hanging_program_is_ended_with_its_children_and_costs_only_its_time() {
    let place = tempfile::tempdir().unwrap();
    symlink(fixtures().join("hanging/bin/nvidia-smi"), place.path().join("nvidia-smi")).unwrap();
    let options = ProbeOptions {
        search_path: Some(place.path().into()),
        time_limit: Duration::from_secs(3),
        ..machine("nothing-here")
    };
    let started = Instant::now();
    let found = detect(&options).await;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(reason(&found, "nvidia-smi"), "took longer than 3s");
    assert!(found.memory_total > 0);

    let child = std::fs::read_to_string(place.path().join("child")).unwrap();
    assert!(gone_soon(child.trim()).await, "the child {child} outlived its probe");
}

/// Waits for a process to end; a zombie that nobody has collected yet has ended.
async fn gone_soon(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => return true,
            Ok(stat) if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) => {
                return true;
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    false
}

#[tokio::test]
async fn isaac_lab_is_found_in_an_environment_and_in_a_checkout() {
    let place = tempfile::tempdir().unwrap();
    let packages = place.path().join("env/lib/python3.11/site-packages/isaaclab-0.54.3.dist-info");
    std::fs::create_dir_all(packages).unwrap();
    let in_environment =
        ProbeOptions { python_prefixes: vec![place.path().join("env")], ..machine("nothing-here") };
    assert_eq!(detect(&in_environment).await.isaac_lab.as_deref(), Some("0.54.3"));

    std::fs::write(place.path().join("VERSION"), "2.3.0\n").unwrap();
    let checkout = ProbeOptions { isaac_lab_path: Some(place.path().to_owned()), ..machine("nothing-here") };
    assert_eq!(detect(&checkout).await.isaac_lab.as_deref(), Some("2.3.0"));
}

#[tokio::test]
async fn ollama_tells_its_version_and_models() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap_or_default();
            let path =
                String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let name = format!("ollama/{}.json", path.trim_start_matches("/api/"));
            let body = std::fs::read_to_string(fixtures().join(name)).unwrap_or_default();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let options = ProbeOptions { ollama_host: Some(address.to_string()), ..machine("nothing-here") };
    let ollama = detect(&options).await.ollama.unwrap();
    assert_eq!(ollama.version, "0.5.1");
    assert_eq!(ollama.endpoint, format!("http://{address}"));
    assert_eq!(ollama.models.len(), 2);
}

#[tokio::test]
async fn an_ollama_that_never_answers_is_skipped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ProbeOptions {
        ollama_host: Some(listener.local_addr().unwrap().to_string()),
        time_limit: Duration::from_millis(300),
        ..machine("nothing-here")
    };
    let found = detect(&options).await;
    assert_eq!(reason(&found, "ollama"), "took longer than 300ms");
}
