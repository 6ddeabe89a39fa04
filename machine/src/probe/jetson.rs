//! Jetson boards: the device tree names the board and its chip, `/etc/nv_tegra_release` the software.

use std::path::Path;

use foreman_protocol::Gpu;

use super::Skip;

/// What the device tree and the release file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jetson {
    pub board: String,
    pub l4t: Option<String>,
    chip: Option<Chip>,
}

/// The GPU inside a Tegra chip; no tool on older releases names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chip {
    compatible: &'static str,
    gpu: &'static str,
    compute_capability: &'static str,
}

const CHIPS: [Chip; 5] = [
    Chip { compatible: "nvidia,tegra264", gpu: "Thor (Blackwell)", compute_capability: "11.0" },
    Chip { compatible: "nvidia,tegra234", gpu: "Orin (Ampere)", compute_capability: "8.7" },
    Chip { compatible: "nvidia,tegra194", gpu: "Xavier (Volta)", compute_capability: "7.2" },
    Chip { compatible: "nvidia,tegra186", gpu: "TX2 (Pascal)", compute_capability: "6.2" },
    Chip { compatible: "nvidia,tegra210", gpu: "X1 (Maxwell)", compute_capability: "5.3" },
];

pub(super) fn probe(root: &Path) -> Result<Jetson, Skip> {
    let read = |path: &str| std::fs::read(root.join(path)).unwrap_or_default();
    let model = read("proc/device-tree/model");
    let compatible = read("proc/device-tree/compatible");
    let release = String::from_utf8_lossy(&read("etc/nv_tegra_release")).into_owned();
    identify(&model, &compatible, &release).ok_or_else(|| Skip("this is no Jetson".into()))
}

fn identify(model: &[u8], compatible: &[u8], release: &str) -> Option<Jetson> {
    let names: Vec<String> = strings(compatible).collect();
    let l4t = parse_release(release);
    if l4t.is_none() && !names.iter().any(|name| name.starts_with("nvidia,tegra")) {
        return None;
    }
    let chip = CHIPS.into_iter().find(|chip| names.iter().any(|name| name == chip.compatible));
    let board = strings(model).next().unwrap_or_else(|| "NVIDIA Jetson".into());
    Some(Jetson { board, l4t, chip })
}

impl Jetson {
    /// The board's GPU, with what `nvidia-smi` knew of it kept: on newer releases it exists and names little.
    pub(super) fn gpus(&self, found: Vec<Gpu>, system_memory: u64) -> Vec<Gpu> {
        let driver = found.into_iter().find_map(|gpu| gpu.driver);
        vec![Gpu {
            name: self.chip.map_or("Tegra", |chip| chip.gpu).to_owned(),
            memory_total: Some(system_memory),
            unified_memory: true,
            driver,
            compute_capability: self.chip.map(|chip| chip.compute_capability.to_owned()),
        }]
    }
}

/// Device-tree properties are lists of NUL-terminated strings.
fn strings(property: &[u8]) -> impl Iterator<Item = String> + '_ {
    property
        .split(|byte| *byte == 0)
        .map(|part| {
            String::from_utf8_lossy(part).trim().chars().filter(|c| !c.is_control()).take(128).collect()
        })
        .filter(|part: &String| !part.is_empty())
}

/// `# R36 (release), REVISION: 4.3, …` is release 36.4.3.
pub(super) fn parse_release(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("REVISION:"))?;
    let major = digits(line.split_once('R')?.1);
    let revision: String = line
        .split_once("REVISION:")?
        .1
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .take(16)
        .collect();
    (!major.is_empty() && !revision.is_empty()).then(|| format!("{major}.{revision}"))
}

fn digits(text: &str) -> String {
    text.chars().take_while(char::is_ascii_digit).take(8).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODEL: &[u8] = b"NVIDIA Jetson AGX Orin Developer Kit\0";
    const COMPATIBLE: &[u8] = b"nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0";
    const RELEASE: &str = include_str!("../../tests/fixtures/agx-orin/root/etc/nv_tegra_release");

    #[test]
    fn an_agx_orin_is_recognised() {
        let jetson = identify(MODEL, COMPATIBLE, RELEASE).unwrap();
        assert_eq!(jetson.board, "NVIDIA Jetson AGX Orin Developer Kit");
        assert_eq!(jetson.l4t.as_deref(), Some("36.4.3"));
        let gpus = jetson.gpus(Vec::new(), 64);
        assert_eq!(gpus[0].name, "Orin (Ampere)");
        assert_eq!(gpus[0].compute_capability.as_deref(), Some("8.7"));
        assert_eq!((gpus[0].memory_total, gpus[0].unified_memory), (Some(64), true));
    }

    #[test]
    fn another_arm_board_is_no_jetson() {
        assert_eq!(
            identify(b"Raspberry Pi 5 Model B Rev 1.0\0", b"raspberrypi,5-model-b\0brcm,bcm2712\0", ""),
            None
        );
    }

    #[test]
    fn releases_are_read() {
        assert_eq!(parse_release("# R35 (release), REVISION: 4.1, GCID: 33958178"), Some("35.4.1".into()));
        assert_eq!(parse_release("# R (release), REVISION: , GCID"), None);
        assert_eq!(parse_release(""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            model in prop::collection::vec(any::<u8>(), 0..80),
            compatible in prop::collection::vec(any::<u8>(), 0..80),
            release in ".{0,80}",
        ) {
            identify(&model, &compatible, &release);
            parse_release(&format!("# R{release} REVISION: {release}"));
        }
    }
}
