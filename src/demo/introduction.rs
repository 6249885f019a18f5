//! What `homing demo` prints once it runs: where to click, and what to type.

use super::options::Place;

/// How to see a session hold, and how to see one lost, in words for a person at a terminal.
///
/// `proxy_url` is the balancer's address and `admin_url` that of its admin API, both as `http://host:port`;
/// `affinity_on` is whether the balancer keeps a session with its backend, and `sessions` where the backends keep
/// theirs. The commands are meant to be pasted.
#[must_use]
pub fn introduction(proxy_url: &str, admin_url: &str, affinity_on: bool, sessions: &Place) -> String {
    let (proxy, admin) = (proxy_url.trim_end_matches('/'), admin_url.trim_end_matches('/'));
    let (browser, shell) = match (sessions, affinity_on) {
        (Place::Memory, true) => (
            "Log in under any name, with the password demo: the same backend answers from then on. Kill it, and see what is lost.".to_owned(),
            "the version stays, and so does the backend",
        ),
        (Place::Memory, false) => (
            "Affinity is off. Log in under any name, with the password demo, and look again: you are moved, and the page says what you lost.".to_owned(),
            "the backend changes, and only one of them knows the session",
        ),
        (place, _) => (
            format!("Sessions are in {place}. Log in under any name, with the password demo, and kill the backend that answers: nothing is lost."),
            "whichever backend answers knows the session",
        ),
    };
    let others: String = [
        ("memory", "homing demo", "each backend remembers its own"),
        ("memory", "homing demo --affinity none", "the same without affinity: sessions are lost"),
        ("redis", "homing demo --sessions redis", "a store that all ask"),
        ("memcached", "homing demo --sessions memcached", "a cache that all ask"),
        ("jwt", "homing demo --sessions jwt", "a signed token, and no server remembers"),
    ]
    .iter()
    .filter(|(kind, command, _)| {
        *kind != sessions.kind() || command.contains("none") == affinity_on && *kind == "memory"
    })
    .map(|(_, command, what)| format!("  {command:<34} # {what}\n"))
    .collect();
    format!(
        "
In a browser, open the shop and, beside it, the balancer's own page, which shows and changes everything:

  {proxy}/
  {admin}/

{browser}

In a shell, log in and keep the cookies in a jar; then {shell}:

  curl -s -c homing.jar -d '{{\"user\": \"ada\", \"password\": \"demo\"}}' {proxy}/api/login
  for i in 1 2 3 4 5 6; do curl -s -b homing.jar -c homing.jar {proxy}/api/me; done
  curl -s -b homing.jar -c homing.jar -d '{{\"item\": \"tea\"}}' {proxy}/api/cart

Watch a response stream, and drain a backend without logging anybody out:

  curl -N -b homing.jar {proxy}/events
  curl -s -H 'X-Homing: 1' -d '{{\"state\": \"drain\"}}' {admin}/api/v1/pools/demo/backends/amber/state

The other ways to keep sessions:

{others}
Ctrl-C ends everything.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Algorithm;

    #[test]
    fn commands_name_the_addresses_without_a_doubled_slash() {
        let text = introduction("http://127.0.0.1:8080/", "http://127.0.0.1:9090/", true, &Place::Memory);
        assert!(text.contains(" http://127.0.0.1:8080/api/login\n"), "{text}");
        assert!(text.contains("\n  http://127.0.0.1:9090/\n"), "{text}");
        assert!(!text.contains("0//"), "{text}");
    }

    #[test]
    fn whichever_way_the_others_are_named() {
        let others = |affinity_on, place: &Place| -> Vec<bool> {
            let text = introduction("http://p", "http://a", affinity_on, place);
            ["demo  ", "--affinity none", "--sessions redis", "--sessions memcached", "--sessions jwt"]
                .map(|command| text.contains(command))
                .into()
        };
        assert_eq!(others(true, &Place::Memory), [false, true, true, true, true]);
        assert_eq!(others(false, &Place::Memory), [true, false, true, true, true]);
        assert_eq!(others(true, &Place::Jwt(Algorithm::Hs256)), [true, true, true, true, false]);
    }
}
