//! Jetson's GPU as `tegrastats` reports it. Its memory is the machine's and is not told a second time.

use std::time::Duration;

use foreman_protocol::GpuSample;
use tokio::process::Command;

use super::{reporter::Reporter, system::plausible};
use crate::probe::{Places, number};

/// The rails that feed the GPU, by generation of the board: Thor, Orin, Xavier, TX2 and Nano.
const RAILS: [&str; 5] = ["VDD_GPU", "VDD_GPU_SOC", "GPU", "VDD_SYS_GPU", "POM_5V_GPU"];

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TegraReport {
    pub gpu: GpuSample,
}

/// `None` when the tool is not installed.
pub(super) fn report(places: &Places, interval: Duration) -> Option<Reporter<TegraReport>> {
    let program = places.find("tegrastats")?;
    let milliseconds = interval.as_millis().max(1_000).to_string();
    let command = move || {
        let mut command = Command::new(&program);
        command.args(["--interval", &milliseconds]);
        command
    };
    Some(Reporter::start(interval, command, take))
}

fn take(report: &mut TegraReport, line: &str) -> bool {
    match parse(line) {
        Some(gpu) => {
            report.gpu = gpu;
            true
        }
        None => false,
    }
}

/// `GR3D_FREQ 12%@…` is the load, `gpu@46.3C` the temperature, `VDD_GPU_SOC 3175mW/3175mW` power now and on
/// average. Newer releases print temperatures twice, `gpu@46.3C/46.3C`.
pub(super) fn parse(line: &str) -> Option<GpuSample> {
    let mut gpu = GpuSample::default();
    let mut seen = false;
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        if word == "GR3D_FREQ" {
            seen = true;
            gpu.utilization_percent = next
                .split_once('%')
                .and_then(|(load, _)| number(load))
                .filter(|load| (0.0..=100.0).contains(load));
        } else if RAILS.contains(&word) {
            let now = next.split('/').next().unwrap_or_default();
            gpu.power_w =
                number(now.trim_end_matches("mW")).filter(|milli| *milli >= 0.0).map(|milli| milli / 1_000.0);
        } else if let Some((sensor, value)) = word.split_once('@')
            && sensor.eq_ignore_ascii_case("gpu")
        {
            let now = value.split('/').next().unwrap_or_default();
            gpu.celsius = number(now.trim_end_matches('C')).filter(|celsius| plausible(*celsius));
        }
    }
    seen.then_some(gpu)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_idle_agx_orin_is_read() {
        let gpu = parse(include_str!("../../tests/fixtures/agx-orin/tegrastats.txt")).unwrap();
        assert_eq!(gpu.utilization_percent, Some(0.0));
        // The GPU's own sensor is powered down with it and says -256.
        assert_eq!(gpu.celsius, None);
        assert_eq!(gpu.power_w, Some(2.34));
        assert_eq!(gpu.memory_used, None);
    }

    #[test]
    fn the_forms_of_other_releases_are_read() {
        let newer = parse("RAM 20642/62817MB GR3D_FREQ 35%@[1300,1300] APE 174 gpu@52.968C/52.968C").unwrap();
        assert_eq!((newer.utilization_percent, newer.celsius), (Some(35.0), Some(52.968)));
        let older = parse("RAM 1/2MB GR3D_FREQ 99%@1377 GPU@41C GPU 1500mW/1200mW").unwrap();
        assert_eq!((older.utilization_percent, older.power_w), (Some(99.0), Some(1.5)));
        assert_eq!(parse("GR3D_FREQ @[1000,1000,1000] gpu@50C").unwrap().utilization_percent, None);
    }

    #[test]
    fn a_line_without_the_gpu_is_no_report() {
        assert_eq!(parse("RAM 4321/62801MB CPU [0%@729]"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), tail in ".{0,40}") {
            parse(&String::from_utf8_lossy(&bytes));
            parse(&format!("GR3D_FREQ {tail} gpu@{tail} VDD_GPU_SOC {tail}"));
        }
    }
}
