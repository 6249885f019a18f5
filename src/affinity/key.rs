//! The bytes that hash strategies place by.

/// Placeholder for the room being built beside this one.
#[derive(Debug, Default)]
pub struct KeyPlan;
