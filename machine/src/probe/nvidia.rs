//! NVIDIA GPUs, asked of `nvidia-smi`.
//!
//! On unified memory (GB10, Jetson) it answers `[N/A]` for every memory field; the GPU's memory is then the
//! machine's. Drivers before 510 do not know `compute_cap` and refuse the whole question.

use foreman_protocol::Gpu;

use super::{
    Skip,
    command::{Places, run},
};

const FORMAT: &str = "--format=csv,noheader,nounits";
const MIB: u64 = 1024 * 1024;

pub(super) async fn probe(places: &Places, system_memory: u64) -> Result<Vec<Gpu>, Skip> {
    let query = "--query-gpu=index,name,memory.total,driver_version,compute_cap";
    let mut said = run(places.command("nvidia-smi")?.args([query, FORMAT])).await?;
    if said.text.contains("not a valid field") {
        let older = "--query-gpu=index,name,memory.total,driver_version";
        said = run(places.command("nvidia-smi")?.args([older, FORMAT])).await?;
    }
    let text = said.on_success()?;
    let gpus = parse(&text, system_memory);
    if gpus.is_empty() { Err(Skip::said(&text)) } else { Ok(gpus) }
}

/// One GPU a line: index, name, memory in MiB, driver, and, where asked, compute capability.
pub(super) fn parse(text: &str, system_memory: u64) -> Vec<Gpu> {
    text.lines().filter_map(|line| parse_line(line, system_memory)).collect()
}

fn parse_line(line: &str, system_memory: u64) -> Option<Gpu> {
    let mut fields = line.split(',').map(str::trim);
    fields.next()?.parse::<u32>().ok()?;
    let name = fields.next().filter(|name| !name.is_empty())?;
    let memory = fields.next()?;
    let driver = fields.next()?;
    let compute = fields.next();
    let unified_memory = matches!(memory, "[N/A]" | "N/A" | "[Not Supported]" | "Not Supported");
    let memory_total = if unified_memory {
        Some(system_memory)
    } else {
        memory.parse::<u64>().ok().and_then(|mib| mib.checked_mul(MIB))
    };
    Some(Gpu {
        name: name.to_owned(),
        memory_total,
        unified_memory,
        driver: version(driver),
        compute_capability: compute.and_then(version),
    })
}

fn version(field: &str) -> Option<String> {
    field.starts_with(|c: char| c.is_ascii_digit()).then(|| field.to_owned())
}

/// A number as `nvidia-smi` prints it; everything else (`[N/A]`, `[Unknown Error]`) is no number.
pub(crate) fn number(field: &str) -> Option<f32> {
    field.trim().parse::<f32>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_data_centre_machine_lists_each_gpu() {
        let gpus = parse(include_str!("../../tests/fixtures/h100/nvidia-smi.csv"), GIB);
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[0].name, "NVIDIA H100 80GB HBM3");
        assert_eq!(gpus[0].memory_total, Some(81_559 * MIB));
        assert_eq!(gpus[0].compute_capability.as_deref(), Some("9.0"));
        assert!(!gpus[0].unified_memory);
    }

    #[test]
    fn unified_memory_is_the_machines_memory() {
        let gpus = parse(include_str!("../../tests/fixtures/gb10/nvidia-smi.csv"), 120 * GIB);
        let expected = Gpu {
            name: "NVIDIA GB10".into(),
            memory_total: Some(120 * GIB),
            unified_memory: true,
            driver: Some("580.126.09".into()),
            compute_capability: Some("12.1".into()),
        };
        assert_eq!(gpus, [expected]);
    }

    #[test]
    fn a_field_that_cannot_be_read_costs_only_itself() {
        let gpus = parse("0, NVIDIA A100, [Unknown Error], 550.54.15, [N/A]\n", GIB);
        assert_eq!(gpus[0].memory_total, None);
        assert!(!gpus[0].unified_memory);
        assert_eq!(gpus[0].compute_capability, None);
    }

    #[test]
    fn messages_are_not_gpus() {
        for text in
            ["No devices were found\n", "Failed to initialize NVML: Driver/library version mismatch\n", ""]
        {
            assert!(parse(text, GIB).is_empty());
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&String::from_utf8_lossy(&bytes), u64::MAX);
        }

        #[test]
        fn no_row_makes_it_panic(row in "[0-9]{0,3}, ?[A-Z]{0,4}, ?[0-9\\[\\]N/A]{0,24}, ?[0-9.]{0,9}(, ?.{0,4})?") {
            parse(&row, u64::MAX);
        }
    }
}
