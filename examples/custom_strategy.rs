//! A strategy from outside the crate: all keys of one tenant go to one backend.
//!
//! Run it with `cargo run --example custom_strategy`. A key is `tenant/user`; the part before the slash places it,
//! so that a backend's cache holds few tenants and all of each.

#![expect(clippy::print_stdout, reason = "an example's output is its purpose")]

use std::sync::Arc;

use homing::backend::members::{BackendSet, Candidates, Group, Members};
use homing::backend::{Backend, BackendIx};
use homing::base::hash::hash64;
use homing::base::options::Options;
use homing::base::time::UnixSeconds;
use homing::strategy::rendezvous::second_choice;
use homing::strategy::{Kind, Needs, Picker, Registry, RequestFacts, Strategy};

/// What the registry is told of it; `strategy = "by_tenant"` then names it.
static BY_TENANT: Kind = Kind {
    name: "by_tenant",
    summary: "by the part of the key before the first slash",
    needs: Needs::Key,
    build,
};

fn build(options: &mut Options, _: Group<'_>) -> Arc<dyn Strategy> {
    // Options are read by name, with bounds and a default; a value out of bounds becomes a message for the operator.
    let salt = options.integer("salt", 0..=1000, 0);
    Arc::new(ByTenant { salt: salt.into() })
}

/// What all workers share: here nothing but an option, elsewhere a table.
#[derive(Debug)]
struct ByTenant {
    salt: u64,
}

/// One worker's chooser: here it keeps nothing of its own.
#[derive(Debug)]
struct ByTenantPicker {
    shared: Arc<ByTenant>,
}

impl Strategy for ByTenant {
    fn picker(self: Arc<Self>, _seed: u64) -> Box<dyn Picker> {
        Box::new(ByTenantPicker { shared: self })
    }
}

impl Picker for ByTenantPicker {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        let tenant = request.key.and_then(|key| key.split(|b| *b == b'/').next());
        second_choice(tenant.map_or(request.hash, hash64), self.shared.salt, among)
    }
}

fn main() {
    let registry = Registry::built_in().with(&BY_TENANT);
    for kind in registry.iter() {
        println!("{:<15} {}", kind.name, kind.summary);
    }

    let addresses = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"];
    let members = Members::new(addresses.iter().filter_map(|a| Backend::at(a)).map(Arc::new).collect());
    let all: BackendSet = members.iter().map(|(ix, _)| ix).collect();
    let none = BackendSet::new();

    let Some(kind) = registry.find("by_tenant") else { return };
    let strategy = (kind.build)(&mut Options::none(), members.primaries());
    let mut picker = strategy.picker(1);
    println!();
    for key in ["acme/anna", "acme/bert", "globex/carl", "globex/dora", "initech/emil"] {
        let request = RequestFacts {
            client: None,
            key: Some(key.as_bytes()),
            hash: hash64(key.as_bytes()),
            attempt: 0,
            now: UnixSeconds::now(),
        };
        let first = picker.pick(&request, &Candidates::new(members.primaries(), &all, &none));
        let tried: BackendSet = first.into_iter().collect();
        let next = picker.pick(&request, &Candidates::new(members.primaries(), &all, &tried));
        let name = |ix: Option<BackendIx>| ix.map_or("nobody", |ix| members.get(ix).id.as_str());
        println!("{key:<13} {}  (should that fail: {})", name(first), name(next));
    }
}
