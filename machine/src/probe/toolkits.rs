//! Software people choose a machine for: CUDA, TensorRT, Isaac Lab, Python, Docker.

use std::path::Path;

use serde_json::Value;

use super::{
    ProbeOptions, Skip, blocking,
    command::{Places, run},
    python::package_version,
};

/// The CUDA toolkit's version, from the compiler or from the file it installs. What `nvidia-smi` prints as
/// "CUDA Version" is only the newest one the driver could serve, so it is not asked.
pub(super) async fn cuda(places: &Places, root: &Path) -> Result<String, Skip> {
    if let Ok(mut nvcc) = places.command("nvcc")
        && let Ok(said) = run(nvcc.arg("--version")).await
        && let Some(version) = parse_nvcc(&said.text)
    {
        return Ok(version);
    }
    blocking(root, |root| {
        let read = |name: &str| std::fs::read_to_string(root.join("usr/local/cuda").join(name)).ok();
        read("version.json")
            .and_then(|text| parse_cuda_json(&text))
            .or_else(|| read("version.txt").and_then(|text| parse_cuda_text(&text)))
            .ok_or_else(Skip::not_installed)
    })
    .await
}

/// `Cuda compilation tools, release 13.0, V13.0.88` is 13.0.
pub(super) fn parse_nvcc(text: &str) -> Option<String> {
    two_parts(text.split_once("release ")?.1)
}

/// `version.json`: `{"cuda":{"version":"12.6.68"}}` is 12.6.
pub(super) fn parse_cuda_json(text: &str) -> Option<String> {
    let all: Value = serde_json::from_str(text).ok()?;
    two_parts(all.get("cuda")?.get("version")?.as_str()?)
}

/// `version.txt` of older releases: `CUDA Version 10.2.300` is 10.2.
pub(super) fn parse_cuda_text(text: &str) -> Option<String> {
    two_parts(text.split_once("CUDA Version ")?.1)
}

/// TensorRT, by its Debian package, its Python package, or its benchmark tool, in this order of cost.
pub(super) async fn tensorrt(places: &Places, options: &ProbeOptions) -> Result<String, Skip> {
    if let Ok(mut dpkg) = places.command("dpkg-query")
        && let Ok(said) =
            run(dpkg.args(["-W", "-f=${Package} ${Version} ${db:Status-Status}\\n", "libnvinfer*"])).await
        && let Some(version) = parse_dpkg(&said.text)
    {
        return Ok(version);
    }
    let prefixes = options.python_prefixes.clone();
    let package = blocking(&options.root, move |root| {
        package_version(root, &prefixes, "tensorrt").ok_or_else(Skip::not_installed)
    });
    if let Ok(version) = package.await {
        return Ok(version);
    }
    let said = run(places.command("trtexec")?.arg("--help")).await?;
    parse_trtexec(&said.text).ok_or_else(|| Skip::said(&said.text))
}

/// The runtime library among the packages: `libnvinfer10 10.3.0.30-1+cuda12.5 installed` is 10.3.0.
pub(super) fn parse_dpkg(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let number = words.next()?.strip_prefix("libnvinfer")?;
        let version = words.next()?;
        (number.chars().all(|c| c.is_ascii_digit()) && words.next() == Some("installed"))
            .then(|| parts(version, 3))
            .flatten()
    })
}

/// `[TensorRT v100300]` is 10.3.0; before version 10 it had four digits, `v8601` for 8.6.1.
pub(super) fn parse_trtexec(text: &str) -> Option<String> {
    let number: String =
        text.split_once("[TensorRT v")?.1.chars().take_while(char::is_ascii_digit).take(9).collect();
    let number: u32 = number.parse().ok()?;
    match number {
        1_000..=9_999 => Some(format!("{}.{}.{}", number / 1_000, number / 100 % 10, number % 100)),
        10_000..=999_999 => Some(format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)),
        _ => None,
    }
}

/// Isaac Lab: the installed package, else a checkout's own extension, else the checkout's release number.
pub(super) async fn isaac_lab(options: &ProbeOptions) -> Result<String, Skip> {
    let prefixes = options.python_prefixes.clone();
    let checkout = options.isaac_lab_path.clone();
    blocking(&options.root, move |root| {
        package_version(root, &prefixes, "isaaclab")
            .or_else(|| {
                let checkout = checkout?;
                let read = |name: &str| std::fs::read_to_string(checkout.join(name)).ok();
                read("source/isaaclab/config/extension.toml")
                    .and_then(|text| parse_extension(&text))
                    .or_else(|| read("VERSION").and_then(|text| parts(text.trim(), 4)))
            })
            .ok_or_else(Skip::not_installed)
    })
    .await
}

/// The `version = "0.54.3"` line of an Omniverse extension's description.
pub(super) fn parse_extension(text: &str) -> Option<String> {
    let value =
        text.lines().find_map(|line| line.trim().strip_prefix("version")?.trim_start().strip_prefix('='))?;
    parts(value.trim().trim_matches('"'), 4)
}

pub(super) async fn python(places: &Places) -> Result<String, Skip> {
    let said = run(places.command("python3").or_else(|_| places.command("python"))?.arg("--version")).await?;
    let text = said.on_success()?;
    text.trim().strip_prefix("Python ").and_then(|version| parts(version, 3)).ok_or_else(|| Skip::said(&text))
}

/// Docker counts when its daemon answers: a client alone runs nothing.
pub(super) async fn docker(places: &Places) -> Result<String, Skip> {
    let said = run(places.command("docker")?.args(["version", "--format", "{{json .}}"])).await?;
    parse_docker(&said.text)
        .ok_or_else(|| Skip("installed, but its daemon does not answer to the agent's user".into()))
}

pub(super) fn parse_docker(text: &str) -> Option<String> {
    let all: Value = serde_json::from_str(text.lines().find(|line| line.starts_with('{'))?).ok()?;
    parts(all.get("Server")?.get("Version")?.as_str()?, 4)
}

fn two_parts(text: &str) -> Option<String> {
    parts(text, 2)
}

/// The leading number with at most so many parts: `parts("10.3.0.30-1+cuda12.5", 3)` is 10.3.0.
fn parts(text: &str, most: usize) -> Option<String> {
    let number: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').take(32).collect();
    let kept: Vec<&str> = number.split('.').filter(|part| !part.is_empty()).take(most).collect();
    (!kept.is_empty()).then(|| kept.join("."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuda_is_read_in_its_three_forms() {
        let nvcc = include_str!("../../tests/fixtures/gb10/nvcc.txt");
        assert_eq!(parse_nvcc(nvcc).as_deref(), Some("13.0"));
        let json = include_str!("../../tests/fixtures/agx-orin/root/usr/local/cuda/version.json");
        assert_eq!(parse_cuda_json(json).as_deref(), Some("12.6"));
        assert_eq!(parse_cuda_text("CUDA Version 10.2.300\n").as_deref(), Some("10.2"));
    }

    #[test]
    fn tensorrt_is_read_from_packages_and_from_its_tool() {
        let dpkg =
            "libnvinfer-bin 10.3.0.30-1+cuda12.5 installed\nlibnvinfer10 10.3.0.30-1+cuda12.5 installed\n";
        assert_eq!(parse_dpkg(dpkg).as_deref(), Some("10.3.0"));
        assert_eq!(parse_dpkg("libnvinfer8 8.6.1.6-1 config-files\n"), None);
        assert_eq!(
            parse_trtexec("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # t").as_deref(),
            Some("8.6.1")
        );
        assert_eq!(
            parse_trtexec("&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b30]").as_deref(),
            Some("10.3.0")
        );
    }

    #[test]
    fn isaac_labs_extension_names_its_version() {
        let text =
            "[package]\n\n# Semantic versioning\nversion = \"0.54.3\"\n\ntitle = \"Isaac Lab framework\"\n";
        assert_eq!(parse_extension(text).as_deref(), Some("0.54.3"));
    }

    #[test]
    fn docker_needs_its_daemon() {
        assert_eq!(
            parse_docker("{\"Client\":{\"Version\":\"27.1.1\"},\"Server\":{\"Version\":\"27.1.1\"}}\n")
                .as_deref(),
            Some("27.1.1")
        );
        assert_eq!(parse_docker("{\"Client\":{\"Version\":\"27.1.1\"},\"Server\":null}\n"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), digits in "[0-9.]{0,40}") {
            let text = String::from_utf8_lossy(&bytes);
            for text in [text.as_ref(), &format!("release {digits}"), &format!("[TensorRT v{digits}]"),
                &format!("libnvinfer{digits} {digits} installed"), &format!("version = \"{digits}\"")] {
                parse_nvcc(text);
                parse_cuda_json(text);
                parse_cuda_text(text);
                parse_dpkg(text);
                parse_trtexec(text);
                parse_extension(text);
                parse_docker(text);
            }
        }
    }
}
