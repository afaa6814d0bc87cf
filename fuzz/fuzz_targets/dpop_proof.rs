#![no_main]

#[path = "../targets/dpop_proof.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::run(input);
});
