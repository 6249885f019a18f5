//! The data plane: one thread per core, each a world of its own.
//!
//! A request's way: [`worker`] accepts, [`door`] lets in, [`handshake`] makes a TLS session where there is one, [`connection`] waits for heads, [`exchange`] is the whole way
//! of one request in order: `place` finds it a seat at a backend, `ask` sends it and waits for an answer, `deliver`
//! passes that on. [`request`] admits a request's head and `rewrite` makes it fit for a backend with what homing vouches
//! for ([`vouched`]), [`upstream`] finds a connection to a backend, [`forward`] moves bodies, [`tunnel`] moves what is
//! no longer HTTP, [`respond`] writes heads and homing's own answers, [`turned`] those that a listener or a route asks for
//! (`screen` says when), [`retry`] says what may be tried again, [`aging`] when a connection has served enough. Tasks never leave their thread, so nothing here is locked but
//! [`visits`], a small map that workers share.

pub mod aging;
mod ask;
pub mod clock;
pub mod connection;
mod deliver;
pub mod door;
pub mod exchange;
pub mod facts;
pub mod forward;
mod grpc;
pub mod handshake;
pub mod http2;
mod moved;
mod pace;
mod place;
pub mod record;
pub mod request;
pub mod request_id;
pub mod respond;
pub mod retry;
mod rewrite;
pub mod sampler;
mod screen;
pub mod story;
pub mod tunnel;
pub mod turned;
pub mod upstream;
pub mod visits;
pub mod vouched;
pub mod worker;
