//! What every machine has: a name, an operating system, processors, memory and a disk.

use std::path::Path;

use foreman_protocol::{Capabilities, Cpu};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::{ProbeOptions, disk};

/// Reads it all once; a few milliseconds of small files, away from the runtime.
pub(super) async fn detect(options: &ProbeOptions) -> Capabilities {
    let (root, state_dir) = (options.root.clone(), options.state_dir.clone());
    tokio::task::spawn_blocking(move || read(&root, &state_dir)).await.unwrap_or_default()
}

fn read(root: &Path, state_dir: &Path) -> Capabilities {
    let wanted = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(wanted).ok();
    let cpus = system.as_ref().map(System::cpus).unwrap_or_default();
    // Windows has none of its own, and a file of that name there says nothing of it.
    let release =
        if cfg!(windows) { None } else { std::fs::read_to_string(root.join("etc/os-release")).ok() };
    let os = release.as_deref().and_then(pretty_name).or_else(|| System::long_os_version().ok());
    Capabilities {
        hostname: System::host_name().unwrap_or_default(),
        os: os.unwrap_or_else(|| std::env::consts::OS.to_owned()),
        kernel: System::kernel_version().unwrap_or_default(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu: Cpu {
            model: cpus
                .iter()
                .map(|cpu| cpu.brand().trim())
                .find(|brand| !brand.is_empty())
                .unwrap_or_default()
                .to_owned(),
            physical_cores: count(System::physical_core_count().unwrap_or(cpus.len())),
            logical_cores: count(cpus.len()),
        },
        memory_total: system.as_ref().map(System::total_memory).unwrap_or_default(),
        disk_total: disk::space(state_dir).map(|(total, _)| total).unwrap_or_default(),
        ..Capabilities::default()
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `PRETTY_NAME` of an os-release file.
fn pretty_name(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    let name = value.trim_matches(['"', '\'']).trim();
    (!name.is_empty()).then(|| name.chars().filter(|c| !c.is_control()).take(128).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_taken_out_of_its_quotes() {
        assert_eq!(
            pretty_name("NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
                .as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(pretty_name("PRETTY_NAME=Arch"), Some("Arch".into()));
        assert_eq!(pretty_name("PRETTY_NAME=\"\""), None);
    }

    #[test]
    fn this_machine_has_processors_memory_and_a_disk() {
        let found = read(Path::new("/"), &std::env::temp_dir());
        assert!(found.cpu.logical_cores > 0);
        assert!(found.memory_total > 0);
        assert!(found.disk_total > 0);
        assert!(!found.hostname.is_empty());
    }
}
