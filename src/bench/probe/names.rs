//! Whose cookie that is: by its name, by its value, by how many values there are.

use crate::affinity::foreign::{self, Names, Presented, Secrets};
use crate::backend::Backend;
use crate::backend::members::Members;

use super::observed::{Carrier, Node};
use super::token::{self, Token};

/// Names that balancers give their cookies, by default or in their manuals, in small letters, and whose they are.
const BALANCERS: [(&str, &str); 25] = [
    ("awsalb", "AWS ALB"),
    ("awsalbcors", "AWS ALB"),
    ("awsalbtg", "AWS ALB"),
    ("awsalbapp-0", "AWS ALB"),
    ("awselb", "AWS ELB"),
    ("gclb", "Google Cloud"),
    ("gcilb", "Google Cloud"),
    ("__cflb", "Cloudflare"),
    ("ingresscookie", "ingress-nginx"),
    ("serverid", "HAProxy"),
    ("srvname", "HAProxy"),
    ("sozubalanceid", "Sōzu"),
    ("arraffinity", "Azure"),
    ("arraffinitysamesite", "Azure"),
    ("applicationgatewayaffinity", "Azure"),
    ("applicationgatewayaffinitycors", "Azure"),
    ("lb", "Caddy"),
    ("routeid", "Apache"),
    ("balancerid", "Apache"),
    ("srv", "a balancer"),
    ("srv_id", "a balancer"),
    ("route", "a balancer"),
    ("sticky", "a balancer"),
    ("lb_affinity", "a balancer"),
    (".yarp.affinity", "YARP"),
];
/// Names that applications and their frameworks give their sessions' cookies, in small letters.
const APPLICATIONS: [&str; 20] = [
    "jsessionid",
    "phpsessid",
    "asp.net_sessionid",
    ".aspnetcore.session",
    "connect.sid",
    "sessionid",
    "session_id",
    "session",
    "sid",
    "laravel_session",
    "ci_session",
    "_session_id",
    "rack.session",
    "beaker.session.id",
    "auth_session_id",
    "cfid",
    "cftoken",
    "token",
    "mojolicious",
    "koa.sess",
];

/// Cookies of applications that are tried with made-up values where none is seen.
pub(super) const TRIED: [&str; 10] = [
    "JSESSIONID",
    "PHPSESSID",
    "ASP.NET_SessionId",
    "connect.sid",
    "sessionid",
    "session",
    "sid",
    "token",
    "laravel_session",
    "_session_id",
];
/// Fields that are tried with made-up values.
pub(super) const TRIED_FIELDS: [&str; 8] = [
    "X-Session-Id",
    "X-Session",
    "X-User-Id",
    "X-Client-Id",
    "X-Tenant-Id",
    "X-Api-Key",
    "X-Auth-Token",
    "Mcp-Session-Id",
];

/// Whose a cookie is, as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The balancer's, and why that is known.
    Balancer(String),
    /// The application's, and why.
    Application(String),
    /// Nothing tells.
    Unclear,
}

/// What a cookie's value gives away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whose form it has: `nginx sticky cookie: MD5 of the address`.
    pub form: Option<String>,
    /// An address or a name of a backend that can be read from it.
    pub leak: Option<String>,
    /// The backend's name is a part of an application's value.
    pub is_part: bool,
    /// It is a signed token, as anybody can read it.
    pub token: Option<Token>,
    /// Each backend has one value, so that a client can send that of another.
    pub is_one_per_backend: bool,
}

/// Whose it is.
#[must_use]
pub fn owner(carrier: &Carrier, reading: &Reading) -> Owner {
    if let Some(form) = reading.form.as_ref().filter(|_| reading.is_part) {
        return Owner::Balancer(format!("a part of the application's value: {form}"));
    }
    if let Some(applications) = carrier.is_the_applications {
        return if applications {
            Owner::Application("a backend asked directly sets it too".to_owned())
        } else {
            Owner::Balancer("a backend asked directly does not set it".to_owned())
        };
    }
    if !carrier.is_set {
        return Owner::Application("no answer sets it".to_owned());
    }
    if reading.token.is_some() {
        return Owner::Application("a signed token".to_owned());
    }
    if let Some(form) = &reading.form {
        return Owner::Balancer(form.clone());
    }
    let name = plain_name(&carrier.name);
    if APPLICATIONS.contains(&name.as_str()) || name.ends_with("_session") {
        return Owner::Application("by its name".to_owned());
    }
    if reading.is_one_per_backend {
        return Owner::Balancer("each backend has one value".to_owned());
    }
    if let Some((_, whose)) = BALANCERS.iter().find(|(known, _)| *known == name) {
        return Owner::Balancer(format!("by its name, {whose}'s"));
    }
    if name.starts_with("bigipserver") || name.starts_with("nsc_") || is_traefiks(&name) {
        return Owner::Balancer("by its name".to_owned());
    }
    match carrier.is_set_anywhere {
        Some(true) => Owner::Unclear,
        Some(false) => Owner::Application("only pages that there are set it".to_owned()),
        None => Owner::Unclear,
    }
}

/// In small letters, without the prefixes that browsers know.
fn plain_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_prefix("__host-").or_else(|| name.strip_prefix("__secure-"));
    bare.map_or_else(|| name.clone(), str::to_owned)
}

/// `_` and five hexadecimal digits.
fn is_traefiks(name: &str) -> bool {
    name.strip_prefix('_').is_some_and(|rest| rest.len() == 5 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What the values of a cookie say, read by the forms of known balancers. `known` are backends whose name and address
/// the person gave; `nodes` what backends call themselves.
#[must_use]
pub fn read(carrier: &Carrier, nodes: &[String], known: &[(String, String)]) -> Reading {
    let is_one_per_backend = is_one_per_backend(&carrier.values);
    let Some((node, value)) = carrier.values.first() else {
        return Reading { is_one_per_backend, ..Reading::default() };
    };
    let mut backends: Vec<_> =
        known.iter().filter_map(|(name, at)| Backend::at(at).map(|b| b.named(name).into())).collect();
    if backends.is_empty() {
        // Their names are all that is known: an address that nobody has.
        let named = |name: &String| Backend::at("0.0.0.0:1").map(|b| b.named(name).into());
        backends.extend(nodes.iter().filter_map(named));
    }
    let members = Members::new(backends);
    let shown = Presented { name: &carrier.name, value };
    let readings = foreign::read(shown, "app", &members, &Secrets::default());
    let token = token::read(value);
    let mut reading = Reading { is_one_per_backend, token, ..Reading::default() };
    if let Some(token) = &reading.token {
        reading.form = Some(format!("a signed token, {}", token.algorithm));
        return reading;
    }
    let Some(first) = readings.first() else {
        if is_sealed(value) && !is_one_per_backend {
            reading.form = Some("by its shape homing's sealed pin".to_owned());
        } else if nodes.get(*node) == Some(value) {
            reading.leak = Some(value.clone());
        }
        return reading;
    };
    // A digest's shape alone is many systems'; that each backend has one value makes it a balancer's.
    match &first.names {
        Names::Member(ix) => {
            let backend = members.get(*ix);
            reading.form = Some(format!("{} ({})", first.form, first.system));
            // HAProxy puts it in front, Tomcat behind.
            reading.is_part = first.form == "prefix" || first.form == "session id and route";
            let at = if known.is_empty() { String::new() } else { format!(" at {}", backend.address_text) };
            reading.leak = Some(format!("{}{at}", backend.id.as_str()));
        }
        Names::Stranger(whom) => {
            reading.form = Some(format!("{} ({})", first.form, first.system));
            reading.leak = Some(whom.clone());
        }
        Names::Nobody if is_one_per_backend || first.system == "ingress-nginx" => {
            let mut systems: Vec<String> =
                readings.iter().map(|r| format!("{} ({})", r.form, r.system)).collect();
            systems.dedup();
            reading.form = Some(format!("by its shape {}", systems.join(", or ")));
        }
        Names::Nobody => {}
    }
    reading
}

/// Whether each backend always sets the same value and no two the same, with a backend seen twice at least.
fn is_one_per_backend(values: &[(Node, String)]) -> bool {
    let mut of: std::collections::BTreeMap<Node, &str> = std::collections::BTreeMap::new();
    let same = values.iter().all(|(node, value)| *of.entry(*node).or_insert(value) == value);
    let distinct: std::collections::BTreeSet<&&str> = of.values().collect();
    same && distinct.len() == of.len() && values.len() > of.len()
}

/// `version 1 | key id 2 | nonce 24 | at least 20 | tag 16`, as base64url: 84 letters and more that begin with `A`.
fn is_sealed(value: &str) -> bool {
    const SHORTEST: usize = (1 + 2 + 24 + 20 + 16) * 4 / 3;
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    value.len() >= SHORTEST && value.len() % 4 != 1 && value.starts_with('A') && value.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"none"}` and `{"sub":"u"}`.
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.";

    fn carrier(name: &str, values: &[(Node, &str)]) -> Carrier {
        let values = values.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        Carrier {
            name: name.to_owned(),
            is_set: true,
            values,
            is_set_anywhere: Some(true),
            ..Carrier::default()
        }
    }

    #[test]
    fn a_cookie_is_known_by_its_value_and_its_name() {
        let nodes = ["a".to_owned(), "b".to_owned()];
        let digests = [(0, "0123456789abcdef0123456789abcdef"), (1, "f123456789abcdef0123456789abcdef")];
        let thrice = [digests[0], digests[1], digests[0]];
        let sealed = "AbTW8DTZZqFm3JmgAbTW8DTZZqFm3JmgAbTW8DTZZqFm3JmgAbTW8DTZZqFm3JmgAbTW8DTZZqFm3JmgAbTW";
        for (name, values, is_balancers, in_form, leak) in [
            ("route", &thrice[..], Some(true), "nginx sticky", None),
            ("who", &[(0, "a"), (1, "b"), (0, "a")][..], Some(true), "HAProxy", Some("a")),
            ("BIGipServerx", &[(0, "1677787402.36895.0000")], Some(true), "F5", Some("10.1.1.100:8080")),
            ("srv", &[(0, sealed), (1, &sealed[..84])], Some(true), "homing", None),
            ("JSESSIONID", &[(0, "4F2A"), (1, "77B1")], Some(false), "", None),
            ("shop_session", &[(0, "4F2A")], Some(false), "", None),
            ("__Host-session", &[(0, "4F2A")], Some(false), "", None),
            ("auth", &[(0, TOKEN)], Some(false), "a signed token, none", None),
            ("AWSALB", &[(0, "x+1"), (1, "y+2")], Some(true), "", None),
            ("_1a2b3", &[(0, "x")], Some(true), "", None),
            ("strange", &[(0, "x1"), (0, "x2")], None, "", None),
        ] {
            let carrier = carrier(name, values);
            let reading = read(&carrier, &nodes, &[]);
            let is = match owner(&carrier, &reading) {
                Owner::Balancer(_) => Some(true),
                Owner::Application(_) => Some(false),
                Owner::Unclear => None,
            };
            assert_eq!(is, is_balancers, "{name}: {reading:?}");
            assert!(reading.form.clone().unwrap_or_default().contains(in_form), "{name}: {reading:?}");
            assert_eq!(reading.leak.as_deref(), leak, "{name}");
        }
    }

    #[test]
    fn an_address_that_is_known_is_found_in_its_digest() {
        let digest = "df2b80dc43705d28db9be6f29fe58da3";
        let carrier = carrier("route", &[(0, digest)]);
        let known = [("a".to_owned(), "10.0.0.7:8080".to_owned())];
        let reading = read(&carrier, &["a".to_owned()], &known);
        assert_eq!(reading.leak, None, "another address's digest");
        assert!(!reading.is_one_per_backend, "one value says nothing");
    }

    #[test]
    fn what_a_backend_sets_itself_is_the_applications() {
        let mut carrier = carrier("srv", &[(0, "x")]);
        carrier.is_the_applications = Some(true);
        assert!(matches!(owner(&carrier, &Reading::default()), Owner::Application(_)));
    }
}
