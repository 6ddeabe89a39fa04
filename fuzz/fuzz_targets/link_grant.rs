//! Grants and revocations as text: read or refused, and never believed without a signature.
#![no_main]

use foreman_link::grant::{
    Issuer, Revocations, Trust, read_grant, read_revocation, verify_grant, verify_revocation,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let issuers = [Issuer::from_bytes(&[1; 32]).public()];
    let device = Issuer::from_bytes(&[2; 32]).public();
    let read = read_grant(text).ok();
    let _ = read_revocation(text);
    // As friendly as can be: for whatever client and device it names, before it ends.
    let trust = Trust {
        issuers: &issuers,
        device: read.as_ref().map_or(&device, |grant| &grant.device),
        client: read.as_ref().map_or("", |grant| &grant.client),
        now: i64::MIN,
        revocations: &Revocations::default(),
    };
    assert!(verify_grant(text, &trust).is_err());
    assert!(verify_revocation(text, &issuers, &device).is_err());
});
