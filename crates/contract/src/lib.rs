//! Budgets and allowed components of a study, the checks against them, and the reading of a request in plain words.
//!
//! This crate is pure: no IO, no clock, no tensors.

mod admitted;
mod contract;
mod request;
mod violation;

pub use admitted::{Admitted, admit};
pub use contract::{
    Budgets, Components, Contract, ContractError, Data, Decoding, Family, MAX_BOUND, Search, Training,
    VERSION,
};
pub use request::{Ignored, MAX_REQUEST_BYTES, Reading, Understood, parse_request};
pub use violation::{Clause, Violation, violations};
