//! The HTTP clients that ask providers: pooled, following no redirects, and looking at what a name resolves to before
//! they go there.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use foreman_link::http;
use reqwest::dns::{Name, Resolve, Resolving};

use super::address::{is_forbidden, is_private};
use crate::problem::{ApiError, ApiResult};

/// Connections kept for each provider.
const IDLE: usize = 64;
const IDLE_FOR: Duration = Duration::from_secs(90);

/// One client for each time-out of the connection, in clear and not.
#[derive(Default)]
pub struct Ways(Mutex<Vec<Way>>);

struct Way {
    plain: bool,
    connect: Duration,
    client: reqwest::Client,
}

impl Ways {
    pub fn get(&self, plain: bool, connect: Duration) -> ApiResult<reqwest::Client> {
        let mut ways = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.iter().find(|way| way.plain == plain && way.connect == connect) {
            return Ok(way.client.clone());
        }
        let client = client(plain, connect)?;
        ways.push(Way { plain, connect, client: client.clone() });
        Ok(client)
    }
}

fn client(plain: bool, connect: Duration) -> ApiResult<reqwest::Client> {
    http::install_crypto_provider();
    reqwest::Client::builder()
        .user_agent(concat!("foreman/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .tcp_keepalive(Duration::from_secs(30))
        .tcp_nodelay(true)
        .pool_max_idle_per_host(IDLE)
        .pool_idle_timeout(IDLE_FOR)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .https_only(!plain)
        .dns_resolver(std::sync::Arc::new(Guard { plain }))
        .build()
        .map_err(ApiError::internal)
}

/// Leaves out the addresses that are never asked.
struct Guard {
    plain: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("its name leads to an address that is not asked{}", if *.0 { " without https" } else { "" })]
struct NotAsked(bool);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let plain = self.plain;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let asked: Vec<SocketAddr> =
                found.filter(|at| !is_forbidden(at.ip()) && (!plain || is_private(at.ip()))).collect();
            if asked.is_empty() {
                return Err(NotAsked(plain).into());
            }
            Ok(Box::new(asked.into_iter()) as reqwest::dns::Addrs)
        })
    }
}
