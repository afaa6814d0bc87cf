#![no_main]

#[path = "../targets/bearer_token.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::run(input);
});
