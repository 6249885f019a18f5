//! nginx and HAProxy, as applications and as balancers.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use md5::{Digest as _, Md5};
use socket2::Socket;

use crate::harness::{bound, until};

/// Ports that nobody else is given while this lives.
pub(super) struct Ports(Vec<Socket>);

/// A program that is killed on drop, with its files.
pub(super) struct Server {
    child: Child,
    _folder: tempfile::TempDir,
}

/// What the applications are called.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

impl Ports {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| bound("127.0.0.1:0".parse().unwrap())).collect())
    }

    pub(super) fn get(&self, at: usize) -> u16 {
        self.0[at].local_addr().unwrap().as_socket().unwrap().port()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where nginx keeps its files, and what it logs.
pub(super) fn nginx_frame(folder: &Path) -> String {
    let at = folder.display();
    let mut text = format!("pid {at}/pid; error_log {at}/error.log;\nevents {{}}\nhttp {{ access_log off;\n");
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(text, "{kind}_temp_path {at}/{kind};");
    }
    text
}

/// An application at this port: it says who it is, and at `/app` it makes a session for who has none.
pub(super) fn application(name: &str, port: u16) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port}; add_header X-Served-By {name} always;\n\
         location / {{ return 200 \"hello\"; }}\n\
         location /page {{ return 200 '<p>served by <b>{name}</b> at $request_id</p>'; }}\n\
         location /odd {{ if ($cookie_odd = '') {{ add_header X-Served-By {name}; \
         add_header Set-Cookie 'odd=$request_id; Path=/'; return 200 'new'; }} return 200 'known'; }}\n\
         location /once {{ if ($cookie_node = '') {{ add_header Set-Cookie 'node={name}; Path=/'; }} return 200 'same'; }}\n\
         location /app {{ if ($cookie_sid = '') {{ add_header X-Served-By {name}; \
         add_header Set-Cookie 'sid=$request_id; Path=/; HttpOnly; SameSite=Lax'; return 200 'new'; }} return 200 'known'; }}\n}}\n"
    )
}

/// nginx with three applications at the first three ports, and what stands in `more`.
pub(super) fn nginx(ports: &Ports, more: &str) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!("daemon off; master_process off;\n{}", nginx_frame(folder.path()));
    NAMES.iter().enumerate().for_each(|(at, name)| text.push_str(&application(name, ports.get(at))));
    text.push_str(more);
    text.push('}');
    let config = folder.path().join("nginx.conf");
    std::fs::write(&config, text).unwrap();
    let child = start(Command::new("/usr/sbin/nginx").arg("-c").arg(config));
    wait(ports, 0..NAMES.len() + more.matches("upstream ").count());
    Server { child, _folder: folder }
}

/// nginx's upstream over the three, and a listener that passes on to it.
pub(super) fn upstream(ports: &Ports, at: usize, method: &str) -> String {
    let servers: String = (0..3).map(|i| format!("server 127.0.0.1:{}; ", ports.get(i))).collect();
    format!(
        "upstream u{at} {{ {method} {servers}}}\n\
         server {{ listen 127.0.0.1:{}; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;\n\
         location / {{ proxy_pass http://u{at}; }} }}\n",
        ports.get(at)
    )
}

/// HAProxy over the three at the first three ports, with a listener for each of these at the ports that follow.
pub(super) fn haproxy(ports: &Ports, first: usize, backends: &[&str]) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let mut text =
        "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n".to_owned();
    for (at, body) in backends.iter().enumerate() {
        let _ = writeln!(
            text,
            "listen l{at}\n bind 127.0.0.1:{}\n {}",
            ports.get(first + at),
            body.replace('\n', "\n ")
        );
        for (i, name) in NAMES.iter().enumerate() {
            let cookie = if body.contains("digest") {
                // As nginx's sticky module and Kubernetes' first ingresses have it.
                format!(" cookie {:x}", Md5::digest(format!("127.0.0.1:{}", ports.get(i))))
            } else if body.contains("insert") && !body.contains("dynamic") {
                format!(" cookie {name}")
            } else {
                String::new()
            };
            let _ = writeln!(text, " server {name} 127.0.0.1:{}{cookie}", ports.get(i));
        }
    }
    let config = folder.path().join("haproxy.cfg");
    std::fs::write(&config, text).unwrap();
    let child = start(Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(config));
    wait(ports, first..first + backends.len());
    Server { child, _folder: folder }
}

fn start(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; `make setup` installs it"))
}

/// Until somebody listens at each of these ports.
fn wait(ports: &Ports, served: Range<usize>) {
    served.for_each(|at| until(|| TcpStream::connect(("127.0.0.1", ports.get(at))).is_ok()));
}
