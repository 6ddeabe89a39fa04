//! The policy file against any bytes: an error or a policy, never a panic, and never more than the file says.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(policy) = foreman_machine::policy::read(data) {
        // What it says of models is on unless it says otherwise.
        let says_yes = data.windows(5).any(|window| window == b"ALLOW");
        let allows = policy.allow_bash || policy.allow_file_read || policy.allow_file_write || policy.allow_logs;
        assert!(says_yes || !allows);
    }
});
