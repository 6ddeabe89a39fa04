//! Requests of a user interface to a device, passed on as they are; see [`crate::exchange`].

use reqwest::{Method, Url};

use super::{
    DeviceConnection, Route, TRIES,
    ask::{Ask, Content},
};
use crate::{
    Error,
    exchange::{RawAnswer, RawAsk, passed_on},
};

impl DeviceConnection {
    /// Passes a request on to the device's own API over the best path. One that only asks is sent again when its
    /// path dies before the answer begins.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no path, and when there was no answer; an answer that refuses is none.
    pub async fn exchange(&self, raw: RawAsk) -> Result<RawAnswer, Error> {
        let ask = asked(raw)?;
        let mut tries = if ask.method == Method::GET { TRIES } else { 1 };
        loop {
            tries -= 1;
            let Some(next) = ask.again() else { return Err(not_a_path("")) };
            match self.pass_on(next).await {
                Err(Error::Unreachable { .. }) if tries > 0 => {}
                outcome => return outcome,
            }
        }
    }

    async fn pass_on(&self, ask: Ask) -> Result<RawAnswer, Error> {
        let answer = match self.route().await? {
            Route::Link(session) => session.send(ask).await?,
            Route::Server(server) => ask.through(&server, self.known().id).await?,
        };
        Ok(RawAnswer { status: answer.status.as_u16(), headers: answer.headers, body: answer.body })
    }
}

fn not_a_path(path: &str) -> Error {
    Error::Invalid { message: format!("{path} is not a path of a device's API") }
}

fn asked(raw: RawAsk) -> Result<Ask, Error> {
    let wrong = || not_a_path(&raw.path);
    let url = Url::parse("http://device").and_then(|base| base.join(&raw.path)).map_err(|_| wrong())?;
    let (plain, _) = raw.path.split_once('?').unwrap_or((&raw.path, ""));
    // Nothing that resolves to another place: on the way through the server that would be another route of it.
    if url.host_str() != Some("device") || url.path() != plain || plain.contains('%') {
        return Err(wrong());
    }
    let mut ask = Ask::new(raw.method, plain);
    for (name, value) in url.query_pairs() {
        ask = ask.query(name.into_owned(), Some(value));
    }
    ask.headers = passed_on(raw.headers);
    if let Some(body) = raw.body {
        ask.body = Content::Whole(body);
    }
    Ok(ask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Option<String> {
        let raw =
            RawAsk { method: Method::GET, path: path.to_owned(), headers: Default::default(), body: None };
        asked(raw).ok().map(|ask| ask.path_and_query())
    }

    #[test]
    fn a_path_means_what_it_says() {
        assert_eq!(path("/terminals").unwrap(), "/terminals");
        assert_eq!(path("/files?path=%2Fa%20b&hidden=true").unwrap(), "/files?path=%2Fa+b&hidden=true");
        for odd in ["terminals", "/../tokens", "/%2e%2e/tokens", "//elsewhere/x", "/a/./b", "http://x/y", ""]
        {
            assert_eq!(path(odd), None, "{odd}");
        }
    }
}
