//! Debian's nginx, as a careful operator would set it up. It has no active checks: who fails a request is out for a second.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Balancer, Node, Placement, program};
use crate::bench::process::find;
use crate::bench::settings::ClientAddress;

/// Ways to route: name, affinity, and what is to be expected.
pub(super) const WAYS: &[(&str, &str, Placement)] = &[
    ("round_robin", "none", Placement::Spread),
    // Who is down is passed over by hashing again: the others' sessions stay.
    ("ip_hash", "source", Placement::Consistent),
    ("hash_consistent", "source", Placement::Consistent),
    ("hash_cookie", "cookie", Placement::Consistent),
];

pub(super) fn command(folder: &Path, file: &Path) -> Result<Command> {
    let (folder, file) = (folder.to_string_lossy(), file.to_string_lossy());
    Ok(program(&find("nginx", "nginx")?, &["-p", &folder, "-e", "stderr", "-c", &file]))
}

pub(super) fn configuration(balancer: &Balancer, node: &Node, folder: &Path, number: usize) -> String {
    let folder = folder.display();
    let balance = match balancer.routing.strategy.as_str() {
        "ip_hash" => "ip_hash;",
        "hash_consistent" => "hash $remote_addr consistent;",
        // The application's own id changes with each login, so that hashing it loses who logs in. nginx gives a name to each
        // visitor.
        "hash_cookie" => "hash $uid_got$uid_set consistent;",
        _ => "",
    };
    let visitors = match balancer.routing.strategy.as_str() {
        "hash_cookie" => "userid on; userid_name uid; userid_path /;",
        _ => "",
    };
    let addresses = match balancer.client_address {
        ClientAddress::Header => "set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;",
        ClientAddress::Bind | ClientAddress::Same => "",
    };
    let mut text = format!(
        "daemon off;\nworker_processes 1;\nworker_shutdown_timeout 1s;\npid {folder}/{number}.pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 8192; }}\nhttp {{\n  access_log off;\n  keepalive_requests 1000000;\n\
         \x20 client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  fastcgi_temp_path {folder}/fastcgi;\n\
         \x20 uwsgi_temp_path {folder}/uwsgi;\n  scgi_temp_path {folder}/scgi;\n  {addresses}\n  upstream app {{\n    {balance}\n"
    );
    for member in &balancer.members {
        let down = if member.is_down { " down" } else { "" };
        let _ = writeln!(
            text,
            "    server {} weight={} max_fails=1 fail_timeout=1s{down};",
            member.address, member.weight
        );
    }
    let _ = write!(
        text,
        "    keepalive 64;\n  }}\n  server {{\n    listen {};\n    {visitors}\n    location / {{\n\
         \x20     proxy_pass http://app;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n\
         \x20     proxy_set_header Host $http_host;\n      proxy_connect_timeout 2s;\n      proxy_read_timeout 5s;\n    }}\n  }}\n}}\n",
        node.address
    );
    text
}
