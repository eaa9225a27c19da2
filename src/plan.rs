//! Desired objects and the next step: what follows from what should be there and what is there.
//!
//! [`plan`] is total, synchronous and free of effects. An [`Action`] names the object, the field manager and the precondition, so that
//! [`crate::apply`] has nothing left to decide. `render`, `diff`, the tests and the simulator read the same [`Plan`].

mod action;
mod adoption;
mod budget;
mod children;
mod compare;
mod deletion;
mod jetstream;
pub mod material;
mod missing;
mod owners;
pub(crate) mod ownership;
mod reconcile;
mod redis;
mod status;
mod undecodable;

use std::time::Duration;

use serde_json::Value;

pub use action::{Action, ChildKind, Event, EventType, Place, Precondition};
pub use compare::differences;
pub use material::{CertificatePair, Material, Need, needs};
pub use owners::forget_own_fields;
pub use reconcile::{paused, plan, verdict};
pub use redis::{external_of as external, vanished};
pub use status::{Failure, failed};
pub use undecodable::{Undecodable, readable, refused};

use crate::api::{InterStepBufferService, InterStepBufferServiceStatus};
use crate::controller_config::ControllerConfig;
use crate::health::Verdict;

/// What a plan is made from, besides what was observed.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The service as the API server or a file holds it.
    pub service: &'a InterStepBufferService,
    /// The controller configuration.
    pub config: &'a ControllerConfig,
    /// The wall clock, for condition times and deadlines.
    pub now: jiff::Timestamp,
}

/// What to do next for one service.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Writes, in order. Empty when all is as it should be (law *quiet-when-done*).
    pub actions: Vec<Action>,
    /// The status that should stand; `None` where we must not write one.
    pub status: Option<InterStepBufferServiceStatus>,
    /// Things to tell people, once each.
    pub events: Vec<Event>,
    /// When to look again although nothing changed; `None` waits for a change.
    pub next_look: Option<Duration>,
    /// Every object that should exist, complete and in the order of making, as `render` and `diff` show them.
    pub desired: Vec<Desired>,
    /// Why nothing more can be done for now, in words: a fact that is not known, a lost key.
    pub held: Option<String>,
    /// Objects that another controller writes too, in words; they are left alone for now.
    pub foreign_writers: Vec<String>,
    /// The verdict on the servers that the status was made from; `None` where nothing runs, or it was not judged.
    pub verdict: Option<Verdict>,
}

/// An object that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// What it is.
    pub kind: ChildKind,
    /// Its name.
    pub name: String,
    /// The object as it is to be applied.
    pub object: Value,
}
