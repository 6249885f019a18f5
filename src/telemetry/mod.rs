//! Counters and the access log: what homing did, for people and for machines.
//!
//! [`metrics`] holds every series by name, [`shards`] is what workers count into, by the words of [`reasons`],
//! [`histogram`] how durations are kept, [`totals`] what all that adds up to, [`live`] what is true now, [`process`] what the kernel knows, [`exposition`]
//! the text that a scrape reads; [`access_log`] carries finished lines to a writer thread, [`access_line`] is the form of one.
//! Nothing here knows a pool or a reason: names come in as text, and reasons as places in lists.

pub mod access_line;
pub mod access_log;
pub mod exposition;
pub mod histogram;
mod line_sink;
pub mod live;
pub mod metrics;
pub mod process;
pub mod reasons;
pub mod shards;
pub mod totals;
