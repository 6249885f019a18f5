//! The session-login application: small backends on which a person sees a session hold, or sees it lost.
//!
//! Each backend keeps the sessions of its own visitors in its own memory, as most applications begin. So it shows
//! with nothing but a browser what session affinity is for: while a balancer keeps a visitor at one backend, a
//! counter grows; as soon as it moves the visitor, the page says that nobody here knows them. A session id that a
//! backend does not know is reported and never made anew, otherwise a loss would look like a hit.
//!
//! * [`start`] runs a few backends on a thread of their own and on free ports of 127.0.0.1.
//! * [`serve`] runs one of them on a listener that you bring.
//! * [`introduction`] is what a person reads afterwards: where to click, what to type.
//!
//! This room knows no other room: to the balancer in front, its backends are strangers, as yours are. It asks for no
//! password and speaks no TLS, so it belongs on loopback.
//!
//! ```
//! let demo = homing::demo::start(&["a", "b", "c"])?;
//! for (name, address) in demo.addresses() {
//!     println!("backend {name} answers on http://{address}/");
//! }
//! drop(demo); // ends the backends and waits for their thread
//! # Ok::<(), std::io::Error>(())
//! ```

mod start;

mod introduction;

mod backend;
mod routes;
mod visitor;

mod events;
mod page;
mod request;
mod sessions;

pub use backend::serve;
pub use introduction::introduction;
pub use start::{Demo, start};
