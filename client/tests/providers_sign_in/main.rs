//! Signing in to providers: against a stub with GitHub's shapes, and against a real OAuth server (npm `oidc-provider`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod codes;
mod github;
mod oidc;
mod real;
mod renewal;
mod scene;
mod vault;
