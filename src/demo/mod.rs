//! The session-login application: a small shop, as a backend that a person logs in to and a bench measures.
//!
//! Its sessions live in the memory of each backend, in a Redis or Memcached that all of them ask, or in a signed token
//! that the client carries; what each way costs, and what it loses when a backend goes, is the same shop's to show. A
//! session id that a backend does not know is reported and never made anew, otherwise a loss would look like a hit.
//! Every session has a version that only grows: one that is older than what its client has seen was brought back from
//! somewhere, and that is worse than lost.
//!
//! * [`serve`] runs a backend on a listener that you bring: `homing backend`.
//! * [`start`] runs a few of them on a thread of their own and on free ports of 127.0.0.1: `homing demo`.
//! * [`Server`] is a Redis or Memcached of the demo's own.
//! * [`introduction`] is what a person reads afterwards: where to click, what to type.
//!
//! To the balancer in front, its backends are strangers, as yours are: of the rooms below, this one uses base64url and
//! nothing else. It speaks no TLS.
//!
//! ```
//! use homing::demo::{Audience, Options, start};
//! let demo = start(&["a", "b", "c"], &Options::named("shop"), Audience::Watches)?;
//! for (name, address) in demo.addresses() {
//!     println!("backend {name} answers on http://{address}/");
//! }
//! drop(demo); // ends the backends and waits for their thread
//! # Ok::<(), std::io::Error>(())
//! ```

mod options;
mod stage;
mod start;

mod introduction;
mod server;

mod backend;
mod routes;
mod shop;

mod accounts;
mod password;
mod sessions;

mod jwt;
mod wire;

mod events;
mod faults;
mod page;
mod request;
mod stats;

pub use accounts::Shared;
pub use backend::{StartError, serve};
pub use introduction::introduction;
pub use jwt::{Algorithm, KeyError, Keys};
pub use options::{Endpoint, Options, Place, PlaceError};
pub use password::Cost;
pub use server::{Server, ServerError, Software};
pub use start::{Audience, Demo, start};
