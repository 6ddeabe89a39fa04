//! Processors, memory, disk, network and sensors, through the system's own counters.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Instant,
};

use foreman_protocol::{GpuSample, Sample, Temperature};
use sysinfo::{Components, CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};

use crate::probe::disk_space;

/// More sensors than this are noise on any screen.
const MOST_TEMPERATURES: usize = 32;

/// One pass over the system. Tasks, models and GPU tools are filled in by the sampler.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub sample: Sample,
    pub amd: Vec<GpuSample>,
}

/// Keeps the counters of the pass before, so that rates can be told.
#[derive(Debug)]
pub(super) struct SystemReader {
    state_dir: PathBuf,
    system: Option<System>,
    networks: Option<Networks>,
    components: Option<Components>,
    /// When the network counters were last read; `None` before the first pass.
    read_at: Option<Instant>,
}

fn wanted() -> RefreshKind {
    RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::nothing().with_ram())
}

impl SystemReader {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            system: None,
            networks: None,
            components: None,
            read_at: None,
        }
    }

    /// Blocks for as long as the slowest sensor. AMD cards are read beneath `amd_root`, where one is given.
    pub(super) fn read(&mut self, amd_root: Option<&Path>) -> Reading {
        let mut sample = Sample::default();
        self.read_system(&mut sample);
        self.read_network(&mut sample);
        sample.temperatures = self.read_temperatures();
        if let Some((total, used)) = disk_space(&self.state_dir) {
            (sample.disk_total, sample.disk_used) = (total, used);
        }
        Reading { sample, amd: super::amd(amd_root) }
    }

    fn read_system(&mut self, sample: &mut Sample) {
        match &mut self.system {
            Some(system) => system.refresh_specifics(wanted()),
            None => self.system = System::new_with_specifics(wanted()).ok(),
        }
        if let Some(system) = &self.system {
            sample.cpu_percent = system.global_cpu_usage().clamp(0.0, 100.0);
            sample.memory_used = system.used_memory();
            sample.memory_total = system.total_memory();
        }
        sample.uptime_s = System::uptime().unwrap_or_default();
        if cfg!(unix) {
            sample.load1 = System::load_average().ok().map(|load| load.one as f32);
        }
    }

    fn read_network(&mut self, sample: &mut Sample) {
        let now = Instant::now();
        let before = self.read_at.replace(now);
        let Some(networks) = &mut self.networks else {
            self.networks = Networks::new_with_refreshed_list().ok();
            return;
        };
        networks.refresh(true);
        let seconds = before.map_or(0.0, |before| now.duration_since(before).as_secs_f64());
        if seconds <= 0.0 {
            return;
        }
        let real = networks.keys().any(|name| is_hardware(name));
        let (mut received, mut sent) = (0_u64, 0_u64);
        for (name, counters) in networks.iter() {
            // Bridges and virtual pairs carry again what a real interface carries.
            if !is_loopback(name) && (!real || is_hardware(name)) {
                received = received.saturating_add(counters.received());
                sent = sent.saturating_add(counters.transmitted());
            }
        }
        sample.net_rx = (received as f64 / seconds) as u64;
        sample.net_tx = (sent as f64 / seconds) as u64;
    }

    fn read_temperatures(&mut self) -> Vec<Temperature> {
        match &mut self.components {
            Some(components) => components.refresh(false),
            None => self.components = Components::new_with_refreshed_list().ok(),
        }
        let components = self.components.as_deref().unwrap_or_default();
        components
            .iter()
            .filter_map(|component| {
                let celsius = component.temperature().filter(|celsius| plausible(*celsius))?;
                Some(Temperature { label: component.label().to_owned(), celsius })
            })
            .take(MOST_TEMPERATURES)
            .collect()
    }
}

/// Sensors that are switched off report nonsense such as -256.
pub(super) fn plausible(celsius: f32) -> bool {
    celsius.is_finite() && (-60.0..=200.0).contains(&celsius)
}

fn is_loopback(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    name == "lo" || name.strip_prefix("lo").is_some_and(|rest| rest.parse::<u8>().is_ok())
}

/// On Linux an interface with hardware behind it links to its device; elsewhere none counts as such.
fn is_hardware(name: &OsStr) -> bool {
    Path::new("/sys/class/net").join(name).join("device").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_passes_tell_what_the_machine_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = SystemReader::new(folder.path());
        let first = reader.read(None).sample;
        assert_eq!((first.net_rx, first.net_tx), (0, 0));
        let second = reader.read(None).sample;
        assert!(second.memory_total > 0 && second.memory_used > 0);
        assert!(second.memory_used <= second.memory_total);
        assert!(second.disk_total > 0 && second.disk_used <= second.disk_total);
        assert!((0.0..=100.0).contains(&second.cpu_percent));
        assert!(second.uptime_s > 0);
    }

    #[test]
    fn switched_off_sensors_are_left_out() {
        assert!(plausible(44.5));
        assert!(!plausible(-256.0));
        assert!(!plausible(f32::NAN));
    }

    #[test]
    fn loopback_is_known_by_its_names() {
        for (name, expected) in [("lo", true), ("lo0", true), ("long0", false), ("eth0", false)] {
            assert_eq!(is_loopback(OsStr::new(name)), expected, "{name}");
        }
    }
}
