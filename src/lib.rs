//! The shared library of isbsvc: what an inter-step buffer service should be, what it is, and what follows.
//!
//! The webhook, the controller and the kubectl plugin are this code asked three times:
//!
//! ```text
//! reconcile   watch event - observe -> plan -> apply -> status
//! admit       AdmissionReview - defaults -> rules -> AdmissionResponse
//! inspect     observe -> health + rules + plan -> model -> table | json | yaml | tree
//! ```
//!
//! The rooms below without a feature are pure: they take values and return values, and use no clock, no randomness, no file and no network
//! (law *pure-core*, `docs/architecture.md`).

pub mod api;
pub mod controller_config;
pub mod defaults;
pub mod health;
pub mod limits;
pub mod observed;
pub mod plan;
pub mod rules;

#[cfg(feature = "cluster")]
pub mod apply;
#[cfg(feature = "controller")]
pub mod controller;
#[cfg(feature = "cluster")]
pub mod observe;
#[cfg(feature = "cluster")]
pub mod servers;
