//! Budgets and allowed components of a study, and the checks against them.
