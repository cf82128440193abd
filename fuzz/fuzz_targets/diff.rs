#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| matrice_fuzz::diff(data));
