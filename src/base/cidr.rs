//! Address prefixes, trusted-proxy sets, and masking a client address.
