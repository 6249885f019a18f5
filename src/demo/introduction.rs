//! What `homing demo` prints once it runs: where to click, and what to type.

/// How to see a session hold, and how to see one lost, in words for a person at a terminal.
///
/// `proxy_url` is the balancer's address and `admin_url` that of its admin API, both as `http://host:port`;
/// `affinity_on` is whether the balancer keeps a session with its backend. The commands are meant to be pasted.
#[must_use]
pub fn introduction(proxy_url: &str, admin_url: &str, affinity_on: bool) -> String {
    let (proxy, admin) = (proxy_url.trim_end_matches('/'), admin_url.trim_end_matches('/'));
    let (browser, shell, other) = if affinity_on {
        (
            "Log in under any name and reload: the same backend answers, and the counter grows.",
            "the counter grows, the backend stays",
            "See sessions lost, without affinity:\n\n  homing demo --affinity none --strategy round_robin\n",
        )
    } else {
        (
            "Affinity is off. Log in under any name and reload: you are moved, and the page says what you lost.",
            "the backend changes, and only one of them knows the session",
            "See sessions hold, with affinity:\n\n  homing demo\n",
        )
    };
    format!(
        "
In a browser, open the application and, beside it, the balancer's own page, which shows and changes everything:

  {proxy}/
  {admin}/

{browser}

In a shell, log in and keep the cookies in a jar; then {shell}:

  curl -s -o /dev/null -c homing.jar -d name=ada {proxy}/login
  for i in 1 2 3 4 5 6; do curl -s -b homing.jar -c homing.jar {proxy}/api/whoami; done

Watch a response stream, and drain a backend without logging anybody out:

  curl -N -b homing.jar {proxy}/events
  curl -s -H 'X-Homing: 1' -d '{{\"state\": \"drain\"}}' {admin}/api/v1/pools/demo/backends/amber/state

{other}
Ctrl-C ends everything.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_addresses_without_a_doubled_slash() {
        let text = introduction("http://127.0.0.1:8080/", "http://127.0.0.1:9090/", true);
        assert!(text.contains("-d name=ada http://127.0.0.1:8080/login\n"), "{text}");
        assert!(text.contains("\n  http://127.0.0.1:9090/\n"), "{text}");
        assert!(!text.contains("0//"), "{text}");
    }

    #[test]
    fn either_way_the_other_way_is_named() {
        let check = |affinity_on, expected: &str| {
            assert!(introduction("http://p", "http://a", affinity_on).contains(expected));
        };
        check(true, "homing demo --affinity none --strategy round_robin");
        check(false, "  homing demo\n");
    }
}
