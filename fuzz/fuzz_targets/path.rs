//! `orthanc_gatehouse::fuzz::path` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| orthanc_gatehouse::fuzz::path(data));
