//! The pin's sealed form: authenticated, encrypted, versioned, with a ring of keys.
