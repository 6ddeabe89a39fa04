//! The property list for launchd. Tasks must outlive the agent, so launchd is asked to leave alone what the agent
//! started; and nothing is held back that a task might need.

use std::ffi::OsStr;

use anyhow::{Context as _, bail};
use plist::{Dictionary, Value};

use super::{RESTART_S, Service};

/// launchd's own says nothing of what people install.
const PATH: &str = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Open files that the program, with what it starts, may have.
const OPEN_FILES: u32 = 65_536;

/// How long the program may take to end, in seconds.
const EXIT_S: u32 = 30;

/// The service's name, which is also its file's.
pub(super) fn label(service: &Service) -> String {
    format!("foreman.{}", service.application())
}

/// Whether a property list calls a program with the service's arguments, whatever comes after them.
pub(super) fn calls(list: &str, service: &Service) -> bool {
    let Ok(list) = Value::from_reader_xml(list.as_bytes()) else { return false };
    let line = list.as_dictionary().and_then(|keys| keys.get("ProgramArguments")).and_then(Value::as_array);
    let Some([_, said @ ..]) = line.map(Vec::as_slice) else { return false };
    let wanted = &service.arguments;
    said.len() >= wanted.len() && said.iter().zip(wanted).all(|(said, one)| said.as_string() == one.to_str())
}

/// The file's text.
///
/// # Errors
/// When a part of the command line is nothing that a property list can hold.
pub(super) fn render(service: &Service) -> anyhow::Result<String> {
    let mut line = vec![text(service.program.as_os_str())?];
    for argument in &service.arguments {
        line.push(text(argument)?);
    }
    // Nobody sees its standard error.
    let log = text(service.folder.join(format!("{}.log", service.what)).as_os_str())?;
    let files = || one("NumberOfFiles", OPEN_FILES);
    let mut environment = Dictionary::new();
    environment.insert("PATH".to_owned(), PATH.into());
    for (name, value) in &service.surroundings.carried {
        environment.insert(name.clone(), text(OsStr::new(value))?);
    }
    let mut keys: Vec<(&str, Value)> = vec![
        ("Label", label(service).into()),
        ("ProgramArguments", Value::Array(line)),
        ("EnvironmentVariables", Value::Dictionary(environment)),
        ("RunAtLoad", true.into()),
        ("KeepAlive", true.into()),
        ("ThrottleInterval", RESTART_S.into()),
        ("ExitTimeOut", EXIT_S.into()),
    ];
    if service.outlived {
        keys.push(("AbandonProcessGroup", true.into()));
    }
    keys.extend([
        // Tasks compute for hours: they get what a program of a person gets.
        ("ProcessType", "Interactive".into()),
        ("SoftResourceLimits", files()),
        ("HardResourceLimits", files()),
        ("StandardErrorPath", log),
    ]);
    let keys: Dictionary = keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut written = Vec::new();
    plist::to_writer_xml(&mut written, &Value::Dictionary(keys)).context("cannot write the property list")?;
    written.push(b'\n');
    String::from_utf8(written).context("cannot write the property list")
}

fn one(key: &str, value: impl Into<Value>) -> Value {
    Value::Dictionary([(key.to_owned(), value.into())].into_iter().collect())
}

/// XML has no way to write control characters.
fn text(word: &OsStr) -> anyhow::Result<Value> {
    let text = word.to_str().with_context(|| {
        format!("{} is not valid text, so no property list can name it", word.to_string_lossy())
    })?;
    if text.chars().any(char::is_control) {
        bail!("{text:?} has control characters, so no property list can name it");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{agent, server};

    const PROGRAM: &str = "/usr/local/bin/foreman-agent";
    /// Where it is by itself: with a space.
    const STATE: &str = "/Users/ada/Library/Application Support/foreman-agent";

    fn keys(program: &str, state_dir: &str) -> Dictionary {
        let text = render(&agent(program, state_dir)).unwrap();
        Value::from_reader_xml(text.as_bytes()).unwrap().into_dictionary().unwrap()
    }

    #[test]
    fn it_is_what_was_looked_at() {
        assert_eq!(render(&agent(PROGRAM, STATE)).unwrap(), include_str!("golden/foreman.agent.plist"));
        let folder = "/Users/ada/Library/Application Support/dev.foreman.app/this-computer";
        let kept = server(&format!("{folder}/programs/0.1.0/foreman-server"), &format!("{folder}/server"));
        assert_eq!(render(&kept).unwrap(), include_str!("golden/foreman.server-app.plist"));
    }

    #[test]
    fn a_list_is_known_by_what_it_calls() {
        let service = agent(PROGRAM, STATE);
        let list = render(&service).unwrap();
        assert!(calls(&list, &service) && calls(&list, &agent("/opt/other", STATE)));
        assert!(!calls(&list, &agent(PROGRAM, "/Users/ada")) && !calls("no list", &service));
    }

    #[test]
    fn it_starts_with_the_machine_and_comes_back_and_its_tasks_live_on() {
        let keys = keys(PROGRAM, STATE);
        for key in ["RunAtLoad", "KeepAlive", "AbandonProcessGroup"] {
            assert_eq!(keys[key].as_boolean(), Some(true), "{key}");
        }
        // `launchctl load` starts what is not marked so.
        assert!(!keys.contains_key("Disabled"));
        assert_eq!(keys["StandardErrorPath"].as_string(), Some(&*format!("{STATE}/agent.log")));
    }

    #[test]
    fn odd_paths_stay_one_argument_and_are_what_they_were() {
        let (program, state) = ("/a b/<agent> & \"c'd\"/]]>/é", "/state/--x &amp; <!-- $HOME %h");
        let keys = keys(program, state);
        let arguments: Vec<_> =
            keys["ProgramArguments"].as_array().unwrap().iter().filter_map(Value::as_string).collect();
        assert_eq!(arguments, [program, "run", "--state", state]);
        assert!(render(&agent("/a\u{1b}b", STATE)).is_err());
        assert!(render(&agent(PROGRAM, "/a\nb")).is_err());
    }

    #[test]
    fn it_has_what_was_set_where_it_was_installed() {
        let mut service = agent(PROGRAM, STATE);
        service.surroundings.carried = vec![("OLLAMA_HOST".into(), "<10.0.0.7>".into())];
        let list = Value::from_reader_xml(render(&service).unwrap().as_bytes()).unwrap();
        let keys = list.into_dictionary().unwrap();
        let environment = keys["EnvironmentVariables"].as_dictionary().unwrap();
        assert_eq!(environment["OLLAMA_HOST"].as_string(), Some("<10.0.0.7>"));
        assert_eq!(environment["PATH"].as_string(), Some(PATH));
    }

    /// What else the installing shell knows stays there: a token, for one.
    #[test]
    fn its_environment_says_where_programs_are_and_nothing_else() {
        let keys = keys(PROGRAM, STATE);
        let environment: Vec<_> = keys["EnvironmentVariables"].as_dictionary().unwrap().keys().collect();
        assert_eq!(environment, ["PATH"]);
    }

    /// A parser of other people's finds it well-formed, too.
    #[cfg(unix)]
    #[test]
    fn another_parser_reads_it() {
        use std::process::Command;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("foreman.agent.plist");
        std::fs::write(&file, render(&agent("/a & b/<c>", STATE)).unwrap()).unwrap();
        for (parser, options) in [("plutil", &["-lint"][..]), ("xmllint", &["--noout", "--nonet"])] {
            match Command::new(parser).args(options).arg(&file).output() {
                Ok(said) => assert!(said.status.success(), "{parser}: {said:?}"),
                Err(_) => eprintln!("SKIPPED: {parser} is not installed"),
            }
        }
    }
}
