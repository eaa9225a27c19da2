//! libFuzzer over one of the targets, whose name is in `ISBSVC_FUZZ_TARGET`.
#![no_main]
// The engine looks for a symbol of a fixed name.
#![allow(unsafe_code)]

use std::sync::LazyLock;

use isbsvc_fuzz::{TARGETS, Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("ISBSVC_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names = TARGETS.map(|target| target.name).join(", ");
        eprintln!("ISBSVC_FUZZ_TARGET is {name:?}; set it to one of {names}");
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.check)(input));
