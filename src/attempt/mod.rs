//! Two plans of the same rows: a fast one whose operators keep what they collect in memory, and one
//! that needs little of it. The first is tried, within a budget; if it runs out, the second starts
//! over.
//!
//! - `logical`: the nodes [`InMemoryFirst`] and [`WithinBudget`], for rules to put into a plan
//! - `plan`: what they do
//! - `planner`: from one to the other
//!
//! What an attempt costs in vain is to read as much of the input as fits in memory.

mod logical;
mod plan;
mod planner;

pub(crate) use logical::{InMemoryFirst, WithinBudget};
pub(crate) use planner::Attempts;
