//! Measurements with the vendors' tools played by scripts that keep running as the real ones do.

#![cfg(unix)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use foreman_machine::sample::{Sampler, SamplerOptions};
use foreman_protocol::{Capabilities, Gpu, Sample};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn sampler(machine: &str) -> Sampler {
    Sampler::new(SamplerOptions {
        search_path: Some(fixtures().join(machine).join("bin").into()),
        interval: Duration::from_secs(60),
        ..SamplerOptions::new(&std::env::temp_dir())
    })
}

fn nvidia() -> Capabilities {
    let gpu = Gpu { name: "NVIDIA".into(), driver: Some("580.126.09".into()), ..Gpu::default() };
    Capabilities { gpus: vec![gpu], ..Capabilities::default() }
}

/// Samples until so many GPUs have been heard of.
async fn with_gpus(sampler: &mut Sampler, count: usize) -> Sample {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let sample = sampler.sample(3).await;
        if sample.gpus.len() >= count || Instant::now() > deadline {
            return sample;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn this_machine_is_measured_without_any_gpu() {
    let mut sampler = sampler("nothing-here");
    sampler.follow(&Capabilities::default());
    let sample = sampler.sample(2).await;
    assert_eq!(sample.running_tasks, 2);
    assert!(sample.gpus.is_empty());
    assert!(sample.memory_total > 0 && sample.disk_total > 0 && sample.uptime_s > 0);
}

#[tokio::test]
async fn every_gpu_of_a_data_centre_machine_is_reported() {
    let mut sampler = sampler("h100");
    sampler.follow(&nvidia());
    let sample = with_gpus(&mut sampler, 2).await;
    assert_eq!(sample.gpus.len(), 2);
    assert_eq!(sample.gpus[0].utilization_percent, Some(97.0));
    assert_eq!(sample.gpus[0].power_w, Some(644.93));
    assert_eq!(sample.gpus[1].index, 1);
    let share = sample.gpu_memory_share().unwrap();
    assert!((share - 70_113.0 / 81_559.0).abs() < 1e-6, "{share}");
}

#[tokio::test]
async fn unified_memory_has_no_share_of_its_own() {
    let mut sampler = sampler("gb10");
    sampler.follow(&nvidia());
    let sample = with_gpus(&mut sampler, 1).await;
    assert_eq!(sample.gpus[0].utilization_percent, Some(96.0));
    assert_eq!(sample.gpu_memory_share(), None);
}

#[tokio::test]
async fn a_jetson_is_measured_by_its_own_tool() {
    let mut sampler = sampler("agx-orin");
    sampler.follow(&Capabilities { board: Some("NVIDIA Jetson AGX Orin".into()), ..nvidia() });
    let sample = with_gpus(&mut sampler, 1).await;
    assert_eq!(sample.gpus.len(), 1);
    assert_eq!(sample.gpus[0].power_w, Some(2.34));
}

#[tokio::test]
async fn a_gpu_that_is_gone_after_detection_is_not_reported_any_more() {
    let mut sampler = sampler("laptop");
    sampler.follow(&nvidia());
    assert_eq!(with_gpus(&mut sampler, 1).await.gpus.len(), 1);
    sampler.follow(&Capabilities::default());
    assert!(sampler.sample(0).await.gpus.is_empty());
}

#[tokio::test]
async fn dropping_the_sampler_ends_its_tool() {
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(fixtures().join("hanging/bin/nvidia-smi"), place.path().join("nvidia-smi"))
        .unwrap();
    let mut sampler = Sampler::new(SamplerOptions {
        search_path: Some(place.path().into()),
        ..SamplerOptions::new(place.path())
    });
    sampler.follow(&nvidia());
    let deadline = Instant::now() + Duration::from_secs(20);
    let pid = loop {
        if let Ok(pid) = std::fs::read_to_string(place.path().join("child")) {
            break pid.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "the tool did not start");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(sampler.sample(0).await.gpus.is_empty());
    drop(sampler);
    loop {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => break,
            Ok(stat) if stat.contains(") Z ") => break,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        assert!(Instant::now() < deadline, "the tool's child {pid} lives on");
    }
}
