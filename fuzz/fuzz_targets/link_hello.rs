//! What a client whose key is proven says first: read or refused, and read the same when written again.
#![no_main]

use foreman_protocol::Hello;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(hello) = serde_json::from_slice::<Hello>(data) {
        let again = serde_json::to_vec(&hello).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<Hello>(&again).expect("and read again"), hello);
    }
});
