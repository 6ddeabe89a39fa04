//! What a machine is (capabilities), how it is doing (sample) and what it allows (policy).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::Millis;

/// What a device can do, as its agent detected it. A probe that is missing or hangs is listed in `skipped`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Capabilities {
    pub hostname: String,
    /// For people: "Debian GNU/Linux 12".
    pub os: String,
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
    pub cpu: Cpu,
    /// Bytes.
    pub memory_total: u64,
    /// Bytes on the file system that holds the agent's state.
    pub disk_total: u64,
    pub gpus: Vec<Gpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensorrt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isaac_lab: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<String>,
    /// Jetson: the board's name from the device tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Jetson: the L4T release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l4t: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama: Option<Ollama>,
    pub skipped: Vec<SkippedProbe>,
    /// By the device's clock.
    pub probed_at: Millis,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Cpu {
    pub model: String,
    pub physical_cores: u32,
    pub logical_cores: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Gpu {
    pub name: String,
    /// Bytes. On unified memory: the memory shared with the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// CPU and GPU share one memory (GB10, Jetson).
    pub unified_memory: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Ollama {
    pub version: String,
    pub endpoint: String,
    pub models: Vec<OllamaModel>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct OllamaModel {
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
}

/// A probe that gave nothing, and why: `not installed`, `took longer than 3 s`, `unexpected output`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SkippedProbe {
    pub probe: String,
    pub reason: String,
}

/// One measurement of a machine: the body of a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Sample {
    /// 0 to 100 over all cores.
    #[serde(deserialize_with = "finite")]
    pub cpu_percent: f32,
    /// One-minute load average.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "finite_or_none")]
    pub load1: Option<f32>,
    /// Bytes.
    pub memory_used: u64,
    /// Bytes.
    pub memory_total: u64,
    /// Bytes.
    pub disk_used: u64,
    /// Bytes.
    pub disk_total: u64,
    /// Bytes a second since the sample before.
    pub net_rx: u64,
    /// Bytes a second since the sample before.
    pub net_tx: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<Temperature>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSample>,
    pub running_tasks: u32,
    /// Ollama models in memory now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loaded_models: Vec<String>,
    /// The context that each of them runs with, tokens, where Ollama tells. It is often far below what the model can
    /// do, and Ollama cuts what is longer without a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded_context: Option<BTreeMap<String, u32>>,
    pub uptime_s: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Temperature {
    pub label: String,
    #[serde(deserialize_with = "finite")]
    pub celsius: f32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct GpuSample {
    pub index: u32,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "finite_or_none")]
    pub utilization_percent: Option<f32>,
    /// Bytes; absent where the GPU does not say (unified memory).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "finite_or_none")]
    pub celsius: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "finite_or_none")]
    pub power_w: Option<f32>,
}

/// JSON can write numbers that no `f32` holds; read as infinity they could not be written again.
fn finite<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    let number = f32::deserialize(from)?;
    if number.is_finite() { Ok(number) } else { Err(D::Error::custom("a number is too large")) }
}

fn finite_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    let number = Option::<f32>::deserialize(from)?;
    if number.is_none_or(f32::is_finite) {
        Ok(number)
    } else {
        Err(D::Error::custom("a number is too large"))
    }
}

impl Sample {
    /// The fullest GPU's memory, 0 to 1; `None` when no GPU says.
    #[must_use]
    pub fn gpu_memory_share(&self) -> Option<f64> {
        self.gpus
            .iter()
            .filter_map(|gpu| match (gpu.memory_used, gpu.memory_total) {
                (Some(used), Some(total)) if total > 0 => Some(used as f64 / total as f64),
                _ => None,
            })
            .reduce(f64::max)
    }
}

/// What this device allows, set on the device and only shown elsewhere. The default allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Policy {
    /// `ALLOW_BASH`: run programs and shell commands.
    pub allow_bash: bool,
    /// `ALLOW_FILE_READ`
    pub allow_file_read: bool,
    /// `ALLOW_FILE_WRITE`
    pub allow_file_write: bool,
    /// `ALLOW_LOGS`
    pub allow_logs: bool,
    /// `ALLOW_MODELS`: ask, load, pull and delete the models of the Ollama here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_models: bool,
    /// `ALLOWED_PATHS`: absolute; empty means every path.
    pub allowed_paths: Vec<String>,
    /// `BLOCKED_PATHS`: absolute; wins over `allowed_paths`.
    pub blocked_paths: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_could_not_be_written_again_is_not_read() {
        for text in [
            r#"{"cpu_percent":1e99}"#,
            r#"{"load1":-1e99}"#,
            r#"{"temperatures":[{"label":"x","celsius":1e40}]}"#,
            r#"{"gpus":[{"index":0,"power_w":1e40}]}"#,
        ] {
            assert!(serde_json::from_str::<Sample>(text).is_err(), "{text}");
        }
        let sample: Sample = serde_json::from_str(r#"{"cpu_percent":12.5,"load1":null}"#).unwrap();
        assert_eq!((sample.cpu_percent, sample.load1), (12.5, None));
    }
}
