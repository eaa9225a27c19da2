//! The admission webhook of isbsvc: `AdmissionReview` in, decision out.
//!
//! [`admission`] decides and touches nothing. Around it stand the bounds of a request ([`router()`]), those of a connection, the files that are read
//! again when they change, and the end with a goodbye.

mod admin;
pub mod admission;
mod arguments;
pub mod cluster;
mod configuration;
mod connection;
mod logging;
mod metrics;
mod router;
mod server;
mod webhook;

pub use admin::router as admin_router;
pub use arguments::{Arguments, Ended, LogFormat};
pub use configuration::{FileError, Files, Look, Looks};
pub use metrics::{Metrics, Outcome};
pub use router::router;
pub use server::{run, serve};
pub use webhook::{Bounds, Webhook};
