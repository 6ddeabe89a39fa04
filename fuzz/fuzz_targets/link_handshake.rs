//! Whatever a stranger sends to a device, or answers a client with: no panic, no channel, no question asked about
//! a grant.
#![no_main]

use std::sync::LazyLock;

use foreman_link::{
    channel::{ClientKeys, DeviceKeys, accept, connect, is_link_preamble},
    grant::{Issuer, LinkSecret},
};
use foreman_protocol::Hello;
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{join, sink},
    runtime::{Builder, Runtime},
};

struct Parties {
    runtime: Runtime,
    device: DeviceKeys,
    client: ClientKeys,
    hello: Hello,
}

static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let identity = Issuer::from_bytes(&[1; 32]).public_bytes();
    let secret = LinkSecret::from_bytes(&[2; 32]);
    let link_key = secret.public_bytes();
    Parties {
        runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
        device: DeviceKeys { identity, secret },
        client: ClientKeys { secret: LinkSecret::from_bytes(&[3; 32]), device: identity, link_key },
        hello: Hello::new(String::new(), "lan"),
    }
});

fuzz_target!(|data: &[u8]| {
    let Parties { runtime, device, client, hello } = &*PARTIES;
    let _ = is_link_preamble(data);
    // With and without a right beginning, which would take long to guess.
    for begin in [&[][..], b"FML1\0\x01", b"FML1\0\x01................\0\x60"] {
        let sent = [begin, data].concat();
        let accepted =
            runtime.block_on(accept(join(&sent[..], sink()), device, |_, _| panic!("asked about a stranger")));
        assert!(accepted.is_err());
    }
    for begin in [&[][..], b"\0\x30"] {
        let answered = [begin, data].concat();
        assert!(runtime.block_on(connect(join(&answered[..], sink()), client, hello)).is_err());
    }
});
