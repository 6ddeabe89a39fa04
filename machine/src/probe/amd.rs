//! AMD GPUs, read from the kernel's files: the `amdgpu` driver tells everything without a tool.

use std::{
    fs,
    path::{Path, PathBuf},
};

use foreman_protocol::{Gpu, GpuSample};

use super::Skip;

/// PCI's number for AMD.
const VENDOR: &str = "0x1002";

pub(super) fn probe(root: &Path) -> Result<Vec<Gpu>, Skip> {
    let cards = cards(root);
    if cards.is_empty() {
        return Err(Skip("no such GPU".into()));
    }
    Ok(cards.iter().map(|card| describe(card)).collect())
}

/// Cards in the order of their numbers: `card0`, `card1`, never a connector such as `card0-DP-1`.
fn cards(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join("sys/class/drm")) else { return Vec::new() };
    let mut cards: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
            let device = entry.path().join("device");
            (text(&device, "vendor")? == VENDOR && device.join("mem_info_vram_total").exists())
                .then_some((number, device))
        })
        .collect();
    cards.sort();
    cards.into_iter().map(|(_, device)| device).collect()
}

fn describe(device: &Path) -> Gpu {
    let name = text(device, "product_name").filter(|name| !name.is_empty());
    Gpu {
        name: name.unwrap_or_else(|| format!("AMD GPU {}", text(device, "device").unwrap_or_default())),
        memory_total: amount(device, "mem_info_vram_total"),
        ..Gpu::default()
    }
}

/// How each card is doing. A card that sleeps is left asleep: reading its load would wake it.
pub(crate) fn sample(root: &Path) -> Vec<GpuSample> {
    let rows = cards(root).into_iter().zip(0..).map(|(device, index)| {
        let memory_total = amount(&device, "mem_info_vram_total");
        if text(&device, "power/runtime_status").as_deref() == Some("suspended") {
            return GpuSample { index, memory_total, ..GpuSample::default() };
        }
        let sensors = fs::read_dir(device.join("hwmon")).ok().and_then(|mut found| found.next()?.ok());
        let sensor = |name: &str| sensors.as_ref().and_then(|found| amount(&found.path(), name));
        GpuSample {
            index,
            utilization_percent: amount(&device, "gpu_busy_percent").map(|percent| percent as f32),
            memory_used: amount(&device, "mem_info_vram_used"),
            memory_total,
            celsius: sensor("temp1_input").map(|milli| milli as f32 / 1_000.0),
            power_w: sensor("power1_average").map(|micro| micro as f32 / 1_000_000.0),
        }
    });
    rows.collect()
}

fn text(folder: &Path, name: &str) -> Option<String> {
    Some(fs::read_to_string(folder.join(name)).ok()?.trim().to_owned())
}

fn amount(folder: &Path, name: &str) -> Option<u64> {
    text(folder, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(root: &Path, number: u32, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = root.join(format!("sys/class/drm/card{number}/device/{name}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
    }

    #[test]
    fn a_card_is_described_and_measured() {
        let root = tempfile::tempdir().unwrap();
        card(
            root.path(),
            1,
            &[
                ("vendor", "0x1002"),
                ("product_name", "AMD Instinct MI210"),
                ("mem_info_vram_total", "68702699520"),
                ("mem_info_vram_used", "1048576"),
                ("gpu_busy_percent", "42"),
                ("hwmon/hwmon3/temp1_input", "51000"),
            ],
        );
        card(root.path(), 0, &[("vendor", "0x8086")]);
        let gpus = probe(root.path()).unwrap();
        assert_eq!(gpus.len(), 1);
        assert_eq!(gpus[0].name, "AMD Instinct MI210");
        assert_eq!(gpus[0].memory_total, Some(68_702_699_520));
        let rows = sample(root.path());
        assert_eq!(rows[0].utilization_percent, Some(42.0));
        assert_eq!(rows[0].memory_used, Some(1_048_576));
        assert_eq!(rows[0].celsius, Some(51.0));
        assert_eq!(rows[0].power_w, None);
    }

    #[test]
    fn a_sleeping_card_is_not_woken() {
        let root = tempfile::tempdir().unwrap();
        card(
            root.path(),
            0,
            &[
                ("vendor", "0x1002"),
                ("mem_info_vram_total", "8589934592"),
                ("gpu_busy_percent", "0"),
                ("power/runtime_status", "suspended"),
            ],
        );
        assert_eq!(sample(root.path())[0].utilization_percent, None);
    }

    #[test]
    fn a_machine_without_one_says_so() {
        assert!(probe(tempfile::tempdir().unwrap().path()).is_err());
    }
}
