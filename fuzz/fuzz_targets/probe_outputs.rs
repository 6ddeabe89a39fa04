//! What other programs print about this machine, against any text.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    foreman_machine::probe::read_anything(text);
    foreman_machine::sample::read_anything(text);
});
