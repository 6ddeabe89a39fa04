//! Proxies from the environment, never used to reach this machine itself.

use reqwest::{NoProxy, Proxy};

use super::RequestError;

/// This machine, in the notation of `NO_PROXY`.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1";

/// What the environment says of proxies, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub http: Option<String>,
    pub https: Option<String>,
    /// What is reached directly, in the notation of `NO_PROXY`.
    pub direct: String,
}

impl Settings {
    /// `variable` reads one of the environment's variables.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either_case = |name: &str| {
            variable(&name.to_lowercase())
                .or_else(|| variable(&name.to_uppercase()))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let direct = match either_case("no_proxy") {
            Some(list) => format!("{list},{THIS_MACHINE}"),
            None => THIS_MACHINE.to_owned(),
        };
        let all = either_case("all_proxy");
        let http = either_case("http_proxy").or_else(|| all.clone());
        Self { http, https: either_case("https_proxy").or(all), direct }
    }
}

/// The proxies that the environment asks for; `variable` reads one of its variables.
pub(super) fn from_environment(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Proxy>, RequestError> {
    let Settings { http, https, direct } = Settings::read(variable);
    let direct = NoProxy::from_string(&direct);
    let http = http.map(Proxy::http);
    let https = https.map(Proxy::https);
    http.into_iter()
        .chain(https)
        .map(|proxy| proxy.map(|proxy| proxy.no_proxy(direct.clone())).map_err(RequestError::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Vec<Proxy>, RequestError> {
        from_environment(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn none_named_none_used() {
        assert!(proxies(&[("HTTP_PROXY", " ")]).unwrap().is_empty());
    }

    #[test]
    fn either_case_and_all_are_read() {
        assert_eq!(proxies(&[("HTTP_PROXY", "http://p:1")]).unwrap().len(), 1);
        assert_eq!(proxies(&[("all_proxy", "http://p:1")]).unwrap().len(), 2);
    }

    #[test]
    fn a_wrong_address_is_said() {
        assert!(proxies(&[("https_proxy", "http://[broken")]).is_err());
    }
}
