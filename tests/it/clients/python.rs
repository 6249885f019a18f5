//! Python's ssl and http.client.

use super::{Both, text};
use crate::harness::fronts::Authority;
use crate::harness::program::run;
use crate::harness::{backend, homing};

/// What every script begins with: where homing is, and who is believed.
const BEGINS: &str = "
import http.client, socket, ssl, sys
port, ca, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
def open(context=context, name='localhost', session=None):
    raw = socket.create_connection(('127.0.0.1', port), timeout=10)
    return context.wrap_socket(raw, server_hostname=name, session=session)
def ask(tls):
    tls.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')
    answer = http.client.HTTPResponse(tls)
    answer.begin()
    return answer.status, answer.read().decode()
";

/// Runs a script; what it printed.
fn python(both: &Both, script: &str) -> String {
    let (port, ca) = (both.homing.other("tls").port().to_string(), both.authority.ca());
    let whole = format!("{BEGINS}{script}");
    run("python3", &["-c", &whole, &port, text(&ca), text(both.authority.folder())], "").text()
}

#[test]
fn a_connection_is_verified_and_kept() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let said = python(
        &both,
        "
connection = http.client.HTTPSConnection('localhost', port, context=context, timeout=10)
socket_of = None
for n in range(20):
    connection.request('POST', f'/{n}', body=b'x' * n * 10_000, headers={'Cookie': 'x=1'})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b'a'), answer.status
    assert socket_of in (None, connection.sock), 'another connection'
    socket_of = connection.sock
print(socket_of.version(), socket_of.getpeercert()['subjectAltName'])
",
    );
    assert_eq!(said, "TLSv1.3 (('DNS', 'localhost'), ('IP Address', '127.0.0.1'))\n");
    let lengths: Vec<usize> = a.requests().iter().map(|r| r.iter().filter(|b| **b == b'x').count()).collect();
    assert!(lengths.windows(2).all(|pair| pair[1] == pair[0] + 10_000), "{lengths:?}");
    assert_eq!(lengths.len(), 20);
}

#[test]
fn a_name_or_signer_that_is_wrong_is_noticed() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let said = python(
        &both,
        "
for context, name in ((context, 'other.test'), (ssl.create_default_context(), 'localhost')):
    try:
        open(context, name)
        print('believed')
    except ssl.SSLCertVerificationError as e:
        print(e.verify_code)
print(ask(open()))
",
    );
    assert_eq!(said, "62\n20\n(200, 'a')\n");
}

#[test]
fn protocols_are_agreed_on() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let said = python(
        &both,
        "
for offers in (['h2', 'http/1.1'], ['http/1.1'], ['http/1.0'], None):
    context = ssl.create_default_context(cafile=ca)
    if offers:
        context.set_alpn_protocols(offers)
    tls = open(context)
    print(tls.selected_alpn_protocol(), ask(tls)[0] if tls.selected_alpn_protocol() != 'h2' else '')
",
    );
    assert_eq!(said, "h2 \nhttp/1.1 200\nhttp/1.0 200\nNone 200\n");
}

#[test]
fn a_session_is_taken_up_again_by_both_versions() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let said = python(
        &both,
        "
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context.minimum_version = context.maximum_version = version
    first = open()
    print(first.version(), first.session_reused, *ask(first))
    again = open(session=first.session)
    print(again.version(), again.session_reused, *ask(again))
",
    );
    let each = |version| format!("{version} False 200 a\n{version} True 200 a\n");
    assert_eq!(said, each("TLSv1.2") + &each("TLSv1.3"));
}

#[test]
fn a_client_shows_its_certificate_where_one_is_required() {
    let a = backend("a");
    let authority = Authority::new();
    authority.issue(&["visitor"]);
    let (ca, pair) = (authority.ca(), authority.issue(&["localhost"]));
    let tls = format!(
        "tls = {{ certificate = {:?}, key = {:?} }}\nclient_certificates = {{ ca = {ca:?}, mode = \"required\" }}\n",
        pair.certificate, pair.key
    );
    let asking = homing(&[&a]).listener(&tls).run();
    let script = format!(
        "{BEGINS}
def told(context):
    try:
        return ask(open(context))
    except (ssl.SSLError, OSError, http.client.HTTPException):
        return 'refused'
print(told(context))
context.load_cert_chain(folder + '/visitor.pem', folder + '/visitor.key')
print(told(context))
"
    );
    let port = asking.address.port().to_string();
    let arguments = ["-c", &script, &port, text(&ca), text(authority.folder())];
    assert_eq!(run("python3", &arguments, "").text(), "refused\n(200, 'a')\n");
    assert_eq!(a.requests().len(), 1);
}
