//! Every wire type against any bytes: reading never panics, and what was read says the same when written again.

#![no_main]

use foreman_protocol::{
    Capabilities, ChallengeAnswer, Command, ConnectRequest, CreateDevice, DeviceFacts, EventRecord, OutputChunk,
    Problem, Reports, Sample, SetupRequest, SignIn, StreamSample, Task, TaskSpec, UpdateDevice,
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

fn check<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(data) else { return };
    let written = serde_json::to_string(&value).expect("what was read can be written");
    let again = serde_json::from_str::<T>(&written).expect("what was written can be read");
    assert_eq!(written, serde_json::to_string(&again).expect("and written again"));
}

fuzz_target!(|data: &[u8]| {
    check::<Capabilities>(data);
    check::<ChallengeAnswer>(data);
    check::<Command>(data);
    check::<ConnectRequest>(data);
    check::<CreateDevice>(data);
    check::<DeviceFacts>(data);
    check::<EventRecord>(data);
    check::<OutputChunk>(data);
    check::<Problem>(data);
    check::<Reports>(data);
    check::<Sample>(data);
    check::<SetupRequest>(data);
    check::<SignIn>(data);
    check::<StreamSample>(data);
    check::<Task>(data);
    check::<TaskSpec>(data);
    check::<UpdateDevice>(data);
});
