//! The cookie in which the client carries its pin.

/// Placeholder for the room being built beside this one.
#[derive(Debug)]
pub struct CookieAffinity;
