//! What of the environment of whoever installs a service the service needs too. A service manager starts it with none of
//! that, and a proxy or a model's address that was found by hand would be missing from the next start on.

/// Where proxies, certificates and what the probes look for are. The small ones are what curl reads.
const CARRIED: [&str; 11] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "OLLAMA_HOST",
    "ISAACLAB_PATH",
];

/// What is set where a service is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Name and value, for the service's own file.
    pub carried: Vec<(String, String)>,
    /// Names of what has a password in it: everybody may read that file.
    pub kept_back: Vec<String>,
}

impl Surroundings {
    /// `read` gives the value of a variable.
    pub(super) fn of(read: impl Fn(&str) -> Option<String>) -> Self {
        let mut found = Self::default();
        for name in CARRIED {
            let Some(value) = read(name).filter(|value| !value.is_empty()) else { continue };
            // user:password@host
            if name.to_ascii_lowercase().ends_with("_proxy") && value.contains('@') {
                found.kept_back.push(name.to_owned());
            } else {
                found.carried.push((name.to_owned(), value));
            }
        }
        found
    }

    /// What people are told of it, one line each.
    #[cfg(any(unix, test))]
    pub(super) fn told(&self, service: &str) -> Vec<String> {
        let names: Vec<_> = self.carried.iter().map(|(name, _)| name.as_str()).collect();
        let carried = (!names.is_empty()).then(|| format!("It has {} as set here", names.join(", ")));
        let kept_back = self.kept_back.iter().map(|name| {
            format!(
                "{name} has a password in it, so it is not in {service}, which everybody may read; \
                 set it there yourself in a way that only it can read"
            )
        });
        carried.into_iter().chain(kept_back).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_needs_is_carried_and_no_password() {
        let set = [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("http_proxy", "http://ada:secret@proxy:3128"),
            ("NO_PROXY", ""),
            ("OLLAMA_HOST", "10.0.0.7:11434"),
            ("AWS_SECRET_ACCESS_KEY", "never"),
        ];
        let read =
            |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        let found = Surroundings::of(read);
        let carried: Vec<_> = found.carried.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            (carried, found.kept_back.clone()),
            (vec!["HTTPS_PROXY", "OLLAMA_HOST"], vec!["http_proxy".to_owned()])
        );
        let told = found.told("the service").join("\n");
        assert!(
            told.contains("HTTPS_PROXY, OLLAMA_HOST") && told.contains("http_proxy has a password"),
            "{told}"
        );
        assert!(!told.contains("secret"), "{told}");
        assert!(Surroundings::default().told("the service").is_empty());
    }
}
