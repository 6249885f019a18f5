//! Algorithms that homing does not ship, as small as they can be: what they promise is measured, nothing is routed by
//! them.
