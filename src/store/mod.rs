//! What outlives the process: sessions of the [stick table](crate::affinity::table).
//!
//! [`disk`] keeps a table in a file, [`form`] is what that file looks like. Both block; nothing here runs on a worker.
//!
//! # Where shared stores will stand
//!
//! A store that several nodes share (Redis, Memcached) will be a file beside `disk`. It will not be asked per request:
//! the table stays the place where requests look, and the store is what fills it and what hears of changes. Four
//! operations are all it will speak:
//!
//! * **find** a digest that the table does not hold: home, origin, issued, last seen; awaited, with a deadline;
//! * **write** a session that began, moved or was renewed, once per slot, with its time to live; not awaited;
//! * **forget** a session that ended, or let it live so many seconds more; not awaited;
//! * **hear** of sessions that other nodes moved or ended, so that no table is wrong for long.
//!
//! They carry digests, never ids, so that nodes sharing a store share its [seeds](crate::affinity::table::Seeds); and
//! names in full, since numbers mean something in one table only.

pub mod disk;
pub mod form;
