//! `orthanc_gatehouse::fuzz::files` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orthanc_gatehouse::fuzz::files(data));
