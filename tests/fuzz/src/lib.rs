//! What must hold of every input that a stranger may send: one function per kind of input, which panics where it does not. The program `isbsvc-fuzz` looks
//! for such an input, and a test tries those in `corpus/`.

// A panic is how an input is told to be a bad one.
#![allow(clippy::panic, clippy::missing_panics_doc)]

pub mod admission;
mod buffer_config;
mod controller_config;
mod policy;
mod settings;

use std::sync::LazyLock;

use isbsvc::controller_config::ControllerConfig;

/// The configuration that services' own texts are merged over; read once.
static BUILT_IN: LazyLock<ControllerConfig> = LazyLock::new(ControllerConfig::built_in);

/// Something that reads what a stranger wrote.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where something does not hold of the input.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target { name: "admission", check: admission::check },
    Target { name: "buffer_config", check: buffer_config::check },
    Target { name: "controller_config", check: controller_config::check },
    Target { name: "policy", check: policy::check },
    Target { name: "settings", check: settings::check },
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Whether a text is one line that a terminal can be shown.
fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
