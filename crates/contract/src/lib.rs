//! Budgets and allowed components of a study, the checks against them, and the reading of a request in plain words.
//!
//! This crate is pure: no IO, no clock, no tensors.

mod admitted;
mod certificate;
mod cheap;
mod clause;
mod contract;
mod decoding;
mod faults;
mod feasible;
mod join;
mod request;
mod sections;
mod spelling;
mod terms;
mod violation;
mod words;

pub use admitted::{Admitted, admit};
pub use certificate::{CERTIFICATE_VERSION, Certificate, Measured, Row, Verdict};
pub use clause::{Clause, Side, Unit};
pub use contract::{Contract, ContractError, MAX_BOUND, VERSION};
pub use decoding::{Decoding, Diverse, LengthPenalty, Sampling};
pub use feasible::{Demand, Impossible, cheapest, impossible};
pub use request::{
    BACKBONES, Ignored, MAX_REQUEST_BYTES, Reading, Understood, parse_request, parse_request_with,
};
pub use sections::{Components, Data, Family, Search, Training};
pub use terms::{
    Amount, Budgets, Floors, Licences, Limits, Measuring, Merit, Objective, Range, Ranges, Score,
};
pub use violation::{Violation, spent, violations};
pub use words::{know_backbones, meanings};
