#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| matrice_fuzz::chunk_html(data));
