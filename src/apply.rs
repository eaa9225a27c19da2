//! Carries a [`crate::plan::Plan`] out. Nothing is decided here: an action names its object, its field manager and its precondition.

mod error;
mod execute;
pub mod lease;
pub mod material;
mod reconcile;

pub use error::{ApplyError, Category};
pub use execute::{Carried, Outcome, Verb, execute, execute_telling};
#[cfg(feature = "controller")]
pub(crate) use reconcile::next;
pub use reconcile::{Look, ReconcileError, Secrets, look, reconcile_once};
