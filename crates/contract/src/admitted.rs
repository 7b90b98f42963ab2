//! The proof that a design keeps a contract.

use crate::{Contract, Violation, violations};
use capwright_blueprint::Checked;

/// A checked design that keeps a contract. Only [`admit`] makes one, and training accepts nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted(Checked);

impl Admitted {
    /// The checked design.
    pub fn checked(&self) -> &Checked {
        &self.0
    }
}

/// Admits a design under a contract.
///
/// # Errors
/// Every violated clause at once.
pub fn admit(design: Checked, contract: &Contract) -> Result<Admitted, Vec<Violation>> {
    let found = violations(design.blueprint(), &design.cost(), contract);
    if found.is_empty() { Ok(Admitted(design)) } else { Err(found) }
}
