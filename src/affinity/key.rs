//! The bytes that hash strategies place by.
