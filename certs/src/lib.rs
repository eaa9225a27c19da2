//! Certificates of our own: making them, deciding when to make the next, and serving one that changes while connections run.
//!
//! Depends on nothing of ours. [`Facts`] is always there; `issue` and [`rotation`](crate::rotation) come with the feature `issue`, `serve` with the
//! feature `serve`.

mod facts;
#[cfg(feature = "issue")]
pub mod issue;
#[cfg(feature = "issue")]
pub mod rotation;
#[cfg(feature = "serve")]
pub mod serve;

pub use facts::{Facts, ReadError};
