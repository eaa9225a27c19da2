//! Our programs are linked with the static C library: where it is missing, a page of the linker's words says so, and this says it in one line.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if !target.ends_with("linux-gnu") {
        return;
    }
    // Of a file that it does not find, the compiler repeats the name. What cannot be asked is left to the linker.
    let Ok(said) = Command::new("cc").arg("-print-file-name=libc.a").output() else { return };
    if said.status.success() && !Path::new(String::from_utf8_lossy(&said.stdout).trim()).is_absolute() {
        println!(
            "cargo::error=the static C library (libc.a) is missing; install it with `apt-get install libc6-dev` (Debian) or `dnf install glibc-static` (Fedora)"
        );
    }
}
