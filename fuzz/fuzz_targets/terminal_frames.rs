//! Frames of a terminal from the other end of a link: read or refused, and the same when written again.
#![no_main]

use foreman_protocol::TerminalFrame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = TerminalFrame::decode(data);
    let mut rest = data;
    while let Ok(Some((frame, length))) = TerminalFrame::decode_first(rest) {
        let written = frame.encode_with_length();
        let again = TerminalFrame::decode_first(&written).expect("what was written can be read");
        assert_eq!(again, Some((frame, written.len())));
        rest = &rest[length..];
    }
});
