//! The cookie in which the client carries its pin.
