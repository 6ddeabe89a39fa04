//! A request to a device's API and its answer, the same on the link and through the server.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use foreman_link::http;
use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Foreman, request::Query};

/// No JSON answer of a device is longer, in bytes; lists come in pages.
const JSON_LIMIT: usize = 16 * 1024 * 1024;
/// Above this an error's body is not read further.
const ERROR_LIMIT: usize = 64 * 1024;

/// What a request carries.
pub(super) enum Content {
    None,
    Whole(Bytes),
    Stream(BoxStream<'static, Result<Bytes, std::io::Error>>),
}

/// `path` begins with `/` and is made of constants and ids; what people type goes into the query.
pub(super) struct Ask {
    pub method: Method,
    path: String,
    query: Query,
    pub headers: HeaderMap,
    pub body: Content,
}

impl Ask {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Query::default(),
            headers: HeaderMap::new(),
            body: Content::None,
        }
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: Option<impl ToString>) -> Self {
        self.query.add(name, value);
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub fn json(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let body =
            serde_json::to_vec(value).map_err(|error| Error::Invalid { message: error.to_string() })?;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Content::Whole(body.into());
        Ok(self)
    }

    pub fn stream(
        mut self,
        pieces: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    ) -> Self {
        self.body = Content::Stream(pieces.boxed());
        self
    }

    /// The same once more, unless its body is a stream.
    pub fn again(&self) -> Option<Self> {
        let body = match &self.body {
            Content::None => Content::None,
            Content::Whole(bytes) => Content::Whole(bytes.clone()),
            Content::Stream(_) => return None,
        };
        let (method, headers) = (self.method.clone(), self.headers.clone());
        Some(Self { method, path: self.path.clone(), query: self.query.clone(), headers, body })
    }

    pub fn path_and_query(&self) -> String {
        match self.query.encoded() {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Sent by way of the server, which asks the device with its own right.
    pub async fn through(
        self,
        server: &Foreman,
        device: foreman_protocol::DeviceId,
    ) -> Result<Answer, Error> {
        let path = format!("devices/{device}/link{}", self.path);
        let mut request = server.open_ended(self.method, &path, &self.query).headers(self.headers);
        request = match self.body {
            Content::None => request,
            Content::Whole(bytes) => request.body(bytes),
            Content::Stream(pieces) => request.body(reqwest::Body::wrap_stream(pieces)),
        };
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes_stream().map_err(Error::from).boxed() })
    }
}

/// A device's answer; its body is read as fast as it is taken.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

impl Answer {
    /// Gives it back only when it is a success.
    pub async fn success(mut self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let mut body = BytesMut::new();
        // A body that breaks off still has its status, which is the better news.
        while let Some(Ok(chunk)) = self.body.next().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_LIMIT {
                break;
            }
        }
        Err(http::RequestError::from_answer(self.status.as_u16(), &body))
    }

    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let body = self.whole(JSON_LIMIT).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Malformed { message: error.to_string() })
    }

    /// The whole body.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.body.next().await {
            body.extend_from_slice(&chunk?);
            if body.len() > limit {
                let message = format!("it is longer than {limit} bytes");
                return Err(Error::Malformed { message });
            }
        }
        Ok(body.freeze())
    }

    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
