//! A value of the application's that names its backend, whole or behind a separator: Tomcat's, JBoss's and Keycloak's
//! `id.node1`, and what Apache's `stickysession` reads.

use memchr::memchr;

use crate::backend::BackendIx;
use crate::backend::members::Members;

/// How such values are read.
#[derive(Debug)]
pub struct Routed {
    /// Bytes behind each of which a route may begin.
    separators: Box<[u8]>,
}

/// Whom a value names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The member.
    pub backend: BackendIx,
    /// Whether the route is all that the value says: no id stands before it.
    pub is_alone: bool,
}

impl Routed {
    /// Values whose route begins behind one of these bytes.
    #[must_use]
    pub fn new(separators: &str) -> Self {
        Self { separators: separators.as_bytes().into() }
    }

    /// Whom a value names: the longest end of it that is a route, the whole value first.
    #[must_use]
    pub fn home(&self, value: &[u8], members: &Members) -> Option<Named> {
        let text = std::str::from_utf8(value).ok()?;
        let longest = members.longest_route();
        let from = value.len().saturating_sub(longest);
        let begins = |at: usize| at == 0 || memchr(value[at - 1], &self.separators).is_some();
        (from..value.len()).filter(|at| begins(*at)).find_map(|at| {
            // In front of it there is nothing, or a separator: Apache's ROUTEID=.node1.
            Some(Named { backend: members.find_route(text.get(at..)?)?, is_alone: at < 2 })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::Backend;

    #[test]
    fn the_longest_end_that_is_a_route_names_it() {
        let backend = |route: &str| {
            let id = format!("id of {route}");
            Arc::new(Backend { route: Some(route.into()), ..Backend::at("x:1").unwrap().named(&id) })
        };
        let members = Members::new(["node1", "node2", "eu.node1", "1"].map(backend).to_vec());
        let check = |separators: &str, value: &str, expected: Option<u16>| {
            let home = Routed::new(separators).home(value.as_bytes(), &members);
            assert_eq!(home.map(|n| n.backend), expected.map(BackendIx), "{value:?} by {separators:?}");
        };
        check(".", "0123456789ABCDEF.node1", Some(0));
        check(".", "0123456789ABCDEF.node2", Some(1));
        check(".", "node2", Some(1));
        check(".", "x.eu.node1", Some(2));
        check(".", "eu.node1", Some(2));
        check(".", "x.us.node1", Some(0));
        check(".", "x.1", Some(3));
        check(".", "x.node3", None);
        check(".", "xnode1", None);
        check(".", "x!node1", None);
        check("!", "x!node1", Some(0));
        check(".!", "x.y!node1", Some(0));
        check(".", "x.node1.", None);
        check(".", "x.NODE1", None);
        check(".", "", None);
        check(".", "....", None);
        check("", "node1", Some(0));
        check("", "x.node1", None);
        let is_alone = |value: &str| Routed::new(".").home(value.as_bytes(), &members).unwrap().is_alone;
        assert!(is_alone("node1") && is_alone(".node1") && is_alone("eu.node1"));
        assert!(!is_alone("x.node1") && !is_alone("x.eu.node1"));
    }
}
