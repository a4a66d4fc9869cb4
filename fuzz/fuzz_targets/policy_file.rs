#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::policy_file(data, fuzzed::Watch::strict()));
