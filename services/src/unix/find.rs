//! Services that are there already, whatever they are called.

use std::ffi::OsStr;

use anyhow::Context as _;
use service_manager::{ServiceLevel, ServiceManager, ServiceManagerKind};

use super::{Place, launchd, unit};
use crate::{Look, Service, Which};

/// The services of this machine and of this user, under any name, that call a program as this one is called: with the
/// same folder, for one.
///
/// # Errors
/// When there is no service manager here that could be asked: one sentence.
pub fn find(service: &Service) -> anyhow::Result<Vec<(Which, Look)>> {
    let kind = ServiceManagerKind::native().context("this machine has neither systemd nor OpenRC")?;
    let mut asked = false;
    let mut found = Vec::new();
    for (level, user) in [(ServiceLevel::System, false), (ServiceLevel::User, true)] {
        let plain = Service { instance: None, ..service.clone() };
        let Some(place) = Place::at(kind, level, &plain).filter(Place::is_reached) else { continue };
        asked = true;
        for instance in place.instances() {
            let named = Service { instance: instance.clone(), ..plain.clone() };
            if let Some(place) = Place::at(kind, level, &named).filter(Place::is_called_so) {
                found.push((Which { user, instance }, place.look()));
            }
        }
    }
    anyhow::ensure!(asked, "no service manager of this machine answers");
    Ok(found)
}

impl<'a> Place<'a> {
    /// Nothing where services cannot be there.
    fn at(kind: ServiceManagerKind, level: ServiceLevel, service: &'a Service) -> Option<Self> {
        let mut manager = <dyn ServiceManager>::target(kind);
        manager.set_level(level).ok()?;
        Some(Self { kind, manager, service })
    }

    /// The names of those that have a file here, the one without a name of its own first.
    fn instances(&self) -> Vec<Option<String>> {
        let Some(plain) = self.unit_file() else { return vec![None] };
        let (Some(folder), Some(stem)) = (plain.parent(), plain.file_stem().and_then(OsStr::to_str)) else {
            return Vec::new();
        };
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let alike = files.filter(|file| file.extension() == plain.extension());
        let mut instances: Vec<_> = alike
            .filter_map(|file| match file.file_stem()?.to_str()?.strip_prefix(stem)? {
                "" => Some(None),
                rest => Some(Some(rest.strip_prefix('-')?.to_owned())),
            })
            .collect();
        instances.sort();
        instances
    }

    /// Whether what is installed under this name has the service's arguments.
    fn is_called_so(&self) -> bool {
        let read = |file| std::fs::read_to_string(file).ok();
        match self.kind {
            ServiceManagerKind::Systemd => {
                self.unit_file().and_then(read).is_some_and(|text| unit::calls(&text, self.service))
            }
            ServiceManagerKind::Launchd => {
                self.unit_file().and_then(read).is_some_and(|text| launchd::calls(&text, self.service))
            }
            // Others write their files in ways of their own; the name has to do.
            _ => self.status() != crate::Installed::No,
        }
    }
}
