//! Whatever comes over a relay's WebSocket, at either end: read to its end or refused, and never more than came.
#![no_main]

use std::sync::LazyLock;

use foreman_link::carrier::{Role, WebSocket};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt, join, sink},
    runtime::{Builder, Runtime},
};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    for role in [Role::Client, Role::Server] {
        let mut read = Vec::new();
        let _ = RUNTIME.block_on(async {
            WebSocket::new(join(data, sink()), role).read_to_end(&mut read).await
        });
        assert!(read.len() <= data.len());
    }
});
