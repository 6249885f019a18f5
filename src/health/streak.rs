//! Rise and fall: how many checks in a row turn a verdict.
