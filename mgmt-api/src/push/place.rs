//! Which addresses a receiver may have. A person names them and this server writes to them: not to the machine's own
//! network, and to private networks only where whoever runs the server allows it.

use std::net::{IpAddr, SocketAddr};

use reqwest::{
    Url,
    dns::{Name, Resolve, Resolving},
};

use crate::{
    problem::{ApiError, ApiResult},
    providers::address::{is_forbidden, is_private},
};

const LONGEST: usize = 2_048;

/// Where this server may write to.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// Private networks are allowed.
    pub private: bool,
    /// Without encryption: then private networks are the only ones.
    pub plain: bool,
}

impl Reach {
    fn has(self, ip: IpAddr) -> bool {
        !is_forbidden(ip)
            && if self.plain { self.private && is_private(ip) } else { self.private || !is_private(ip) }
    }
}

/// An address as somebody gave it. Names are looked at again each time they are resolved.
///
/// # Errors
/// `invalid_request` on `field`.
pub fn checked(field: &str, text: &str, private: bool) -> ApiResult<Url> {
    let invalid = |message: &str| ApiError::invalid(field, message);
    let text = text.trim();
    if text.len() > LONGEST {
        return Err(invalid("This address is too long."));
    }
    let url = Url::parse(text)
        .map_err(|_| invalid("This is not an address. One looks like https://ntfy.sh/my-topic."))?;
    let host = match (url.scheme(), url.host_str()) {
        ("https", Some(host)) => host,
        ("http", Some(host)) if private => host,
        _ => return Err(invalid("An address begins with https://.")),
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(invalid("Give the address without a name, a password or what follows #."));
    }
    if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let reach = Reach { private, plain: url.scheme() == "http" };
        if !reach.has(ip) {
            return Err(invalid(if is_forbidden(ip) || private {
                "This address belongs to the machine's own network, or would be written to readable for everybody."
            } else {
                "This address is in a private network. Whoever runs the server can allow those (--push-private)."
            }));
        }
    }
    Ok(url)
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|at| reach.has(at.ip())).collect();
            if allowed.is_empty() {
                return Err(NotAllowed.into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("its name leads to an address that is not written to")]
pub struct NotAllowed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_taken_unless_private_ones_are_allowed() {
        for text in [
            "http://ntfy.sh/x",
            "https://192.168.1.5/x",
            "https://127.0.0.1/x",
            "https://[::1]/x",
            "https://[fd00::1]/x",
            "https://100.64.0.1/x",
            "ftp://ntfy.sh/x",
            "https://u:p@ntfy.sh/x",
            "https://ntfy.sh/x#y",
            "ntfy.sh/x",
        ] {
            assert!(checked("address", text, false).is_err(), "{text}");
        }
        for text in ["https://ntfy.sh/x", "https://updates.push.services.mozilla.com/wpush/v2/x?y=1"] {
            assert!(checked("address", text, false).is_ok(), "{text}");
        }
        for text in ["http://192.168.1.5:8080/x", "https://10.0.0.1/x", "http://localhost/x"] {
            assert!(checked("address", text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_machines_own_network_is_never_written_to() {
        for private in [false, true] {
            for text in [
                "https://169.254.169.254/latest",
                "https://[fe80::1]/",
                "https://[fd00:ec2::254]/",
                "https://[::ffff:169.254.169.254]/",
                "https://0.0.0.0/",
                "http://8.8.8.8/",
                "https://2852039166/",
            ] {
                assert!(checked("address", text, private).is_err(), "{text}");
            }
        }
    }
}
