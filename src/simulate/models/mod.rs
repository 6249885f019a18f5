//! Algorithms that homing does not ship, and balls in bins, as small as they can be: what their papers promise is
//! measured, nothing is routed by them.

pub(super) mod anchor;
pub(super) mod choices;
pub(super) mod jump;
pub(super) mod ring;
