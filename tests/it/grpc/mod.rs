//! gRPC through homing, with tonic as client and server.

mod affinity;
mod calls;
mod leaving;
mod many;
