//! The device's own rules: one file on the device, read by the agent and changed by nobody else.
//!
//! The file has the form of an environment file, and the same names in the agent's environment win over
//! it. What is missing is not allowed. The server sees the rules and has no way to write them.

mod paths;

use std::{collections::BTreeMap, fmt::Write as _, io, path::Path};

use anyhow::{Context as _, bail};
use foreman_protocol::Policy;

pub use paths::{Refusal, admit, check_run};

/// The policy's file name inside the agent's state directory.
pub const POLICY_FILE: &str = "policy.env";

const ALLOW_BASH: &str = "ALLOW_BASH";
const ALLOW_FILE_READ: &str = "ALLOW_FILE_READ";
const ALLOW_FILE_WRITE: &str = "ALLOW_FILE_WRITE";
const ALLOW_LOGS: &str = "ALLOW_LOGS";
const ALLOW_MODELS: &str = "ALLOW_MODELS";
const ALLOWED_PATHS: &str = "ALLOWED_PATHS";
const BLOCKED_PATHS: &str = "BLOCKED_PATHS";
/// What is wrong with most values that cannot be read.
const QUOTES: &str = if cfg!(windows) {
    "a value with backslashes or spaces needs single quotes around it"
} else {
    "a value with spaces needs quotes around it"
};
const NAMES: [&str; 7] =
    [ALLOW_BASH, ALLOW_FILE_READ, ALLOW_FILE_WRITE, ALLOW_LOGS, ALLOW_MODELS, ALLOWED_PATHS, BLOCKED_PATHS];

/// Reads the policy file; the same names in the environment win over it. A missing file allows nothing. In one that is
/// there, only what `ALLOW_MODELS` decides is allowed without being named: a model sees nothing of the device.
///
/// # Errors
/// When the file cannot be read or understood. Whoever asked must then allow nothing: a rule that was
/// misread may be the one that forbids.
pub fn load(path: &Path) -> anyhow::Result<Policy> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("{ALLOW_MODELS}=false\n").into(),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the policy file {}", path.display()));
        }
    };
    let home = std::env::home_dir();
    parse(&text, |name| std::env::var(name).ok(), home.as_deref())
        .with_context(|| format!("the policy file {} cannot be used, so nothing is allowed", path.display()))
}

/// The policy a file of these bytes means, whatever the environment says.
///
/// # Errors
/// When a line or a value cannot be understood: then nothing is allowed.
pub fn read(text: &[u8]) -> anyhow::Result<Policy> {
    parse(text, |_| None, std::env::home_dir().as_deref())
}

fn parse(
    text: &[u8],
    environment: impl Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> anyhow::Result<Policy> {
    let mut settings = BTreeMap::new();
    for line in dotenvy::from_read_iter(text) {
        let (name, value) = line.context(QUOTES)?;
        if !NAMES.contains(&name.as_str()) && (name.starts_with("ALLOW") || name.starts_with("BLOCK")) {
            bail!("{name} is not a setting; the settings are {}", NAMES.join(", "));
        }
        settings.insert(name, value);
    }
    for name in NAMES {
        if let Some(value) = environment(name) {
            settings.insert(name.to_owned(), value);
        }
    }
    let switch = |name| settings.get(name).map_or(Ok(false), |value| parse_switch(name, value));
    let models = settings.get(ALLOW_MODELS).map_or(Ok(true), |value| parse_switch(ALLOW_MODELS, value));
    let list = |name| settings.get(name).map_or(Ok(Vec::new()), |value| parse_paths(name, value, home));
    Ok(Policy {
        allow_bash: switch(ALLOW_BASH)?,
        allow_file_read: switch(ALLOW_FILE_READ)?,
        allow_file_write: switch(ALLOW_FILE_WRITE)?,
        allow_logs: switch(ALLOW_LOGS)?,
        allow_models: models?,
        allowed_paths: list(ALLOWED_PATHS)?,
        blocked_paths: list(BLOCKED_PATHS)?,
    })
}

fn parse_switch(name: &str, value: &str) -> anyhow::Result<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        other => bail!("{name} is {other:?}; it can be true or false"),
    }
}

fn parse_paths(name: &str, value: &str, home: Option<&Path>) -> anyhow::Result<Vec<String>> {
    value
        .split(',')
        .map(str::trim)
        .filter(|path| !path.is_empty())
        .map(|path| {
            let expanded = paths::expand_home(Path::new(path), home);
            if !expanded.is_absolute() {
                bail!("{path:?} in {name} is not an absolute path");
            }
            Ok(expanded.to_string_lossy().into_owned())
        })
        .collect()
}

/// The policy as a file to edit, with a comment for each setting. Reading it back gives the same policy,
/// unless a path holds a comma, which the list cannot express.
#[must_use]
pub fn render(policy: &Policy) -> String {
    let mut text = String::from(
        "# What Foreman may do on this device. Only this file and the environment of the agent decide;\n\
         # the server can read these rules and cannot change them.\n",
    );
    let switches = [
        (
            ALLOW_BASH,
            policy.allow_bash,
            "Run programs and shell commands, with everything the agent's user may do.",
        ),
        (ALLOW_FILE_READ, policy.allow_file_read, "List and read files."),
        (ALLOW_FILE_WRITE, policy.allow_file_write, "Create, change and delete files."),
        (
            ALLOW_LOGS,
            policy.allow_logs,
            "Read the logs of the system, of containers and of tasks. A file outside /var/log needs ALLOW_FILE_READ too.",
        ),
        (
            ALLOW_MODELS,
            policy.allow_models,
            "Ask the models of this device's Ollama, and pull and delete them. On unless it says false.",
        ),
    ];
    for (name, on, comment) in switches {
        let _ = write!(text, "\n# {comment}\n{name}={on}\n");
    }
    let lists = [
        (
            ALLOWED_PATHS,
            &policy.allowed_paths,
            "Directories, separated by commas, in quotes if one has spaces; empty means every path.",
        ),
        (BLOCKED_PATHS, &policy.blocked_paths, "Never these, whatever is allowed above."),
    ];
    for (name, paths, comment) in lists {
        let _ = write!(text, "\n# {comment}\n{name}={}\n", quote(&paths.join(",")));
    }
    text
}

/// A value as the environment file's grammar takes it: bare where it can be, else in double quotes.
fn quote(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "/._-,:+@%".contains(c);
    if value.chars().all(bare) {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> anyhow::Result<Policy> {
        parse(text.as_bytes(), |_| None, Some(Path::new("/home/mia")))
    }

    #[test]
    fn a_missing_file_allows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(&folder.path().join(POLICY_FILE)).unwrap(), Policy::default());
    }

    #[test]
    fn the_documented_format_is_read() {
        let policy = read(
            "# Local permissions\nALLOW_BASH=true\nALLOW_FILE_READ=true\nALLOW_FILE_WRITE=false\n\
             ALLOW_LOGS=true\nALLOWED_PATHS=/home/mia,/tmp,/var/log\nBLOCKED_PATHS=/etc/shadow,~/.ssh\n\
             SOMETHING_ELSE=1\n",
        );
        let policy = policy.unwrap_or_else(|error| panic!("{error:#}"));
        assert!(policy.allow_bash && policy.allow_file_read && policy.allow_logs);
        assert!(!policy.allow_file_write);
        assert!(policy.allow_models, "it is on unless the file says otherwise");
        assert!(!read("ALLOW_MODELS=false\n").unwrap().allow_models);
        assert_eq!(policy.blocked_paths, ["/etc/shadow", "/home/mia/.ssh"]);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let environment = |name: &str| (name == ALLOW_BASH).then(|| "false".to_owned());
        let policy = parse(b"ALLOW_BASH=true\nALLOW_LOGS=true\n", environment, None).unwrap();
        assert!(!policy.allow_bash);
        assert!(policy.allow_logs);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_not_a_permission() {
        for text in ["ALLOW_BASH=maybe", "ALLOWED_PATHS=relative/path", "BLOCK_PATHS=/root", "ALLOW_BASH"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(
            switches in any::<[bool; 5]>(),
            allowed in prop::collection::vec("/[a-zA-Z0-9 ._$\"'\\\\#=üß-]{0,12}[a-z]", 0..4),
            blocked in prop::collection::vec("/[a-z~ *]{0,12}[a-z]", 0..4),
        ) {
            let [allow_bash, allow_file_read, allow_file_write, allow_logs, allow_models] = switches;
            let policy = Policy {
                allow_bash, allow_file_read, allow_file_write, allow_logs, allow_models,
                allowed_paths: allowed, blocked_paths: blocked,
            };
            prop_assert_eq!(read(&render(&policy)).unwrap(), policy);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, |_| None, None);
        }
    }
}
