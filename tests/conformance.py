#!/usr/bin/env python3
"""Sends recorded odd messages through homing and prints where the outcome differs from what their authors expect.

    tests/conformance.py FOLDER --homing BINARY [--verbose]

FOLDER holds JSON files of a "cases" list. A case is one of

    "steps", "pass", "warn", "close"     requests sent in turn on one connection, and the statuses that pass
    "kind": "request", "raw", "expect"   a request and its status, 1 for any answer that is no error
    "kind": "response-header"            a field of an answer; 500 is a refusal
    "kind": .., "raw", "error"           a request or an answer, and the error that a strict parser finds in it

The script starts BINARY in front of a backend of its own, which notes what it sees and answers what a case says. What
a backend, or a client, is passed is read strictly: whatever could be read in two ways is an error, whoever expected
it. Every other difference must be explained by the tables below. Exit code 1: something ambiguous passed, or a
difference is not explained.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

# Seconds: homing is told to give up on what does not come; a little longer is waited for its answer.
PATIENCE = 1
WAIT = PATIENCE + 1.5
QUIET = 0.15

# Why homing's answer is another one than the author's: a pattern over "suite: id: statuses end reason", and why.
DIFFERS = [
    (r"(COMP-POST-CL-UNDERSEND|COMP-CHUNKED-NO-FINAL|MAL-INCOMPLETE-REQUEST|MAL-POST-CL-HUGE-NO-BODY): 408",
     "what does not come is waited for, and then it is a 408 (RFC 9110 section 15.5.9)"),
    (r"httpd-strict: httpd-strict-(39|41|49): 408",
     "the head has no end: the rest is waited for, and then it is a 408; nothing is passed on"),
    (r"http11probe: MAL-LONG-METHOD: 414",
     "a first line too long is a 414, whichever of its parts is too long (RFC 9112 section 3: 501 for the method)"),
    (r"(COMP-HTTP12-VERSION|httpd-strict-1[34]): 505",
     "HTTP/1.0 and HTTP/1.1 are served; another version is a 505 (RFC 9110 section 15.6.6), not taken for one of them"),
    (r"httpd-strict: httpd-strict-(11|19|20|21): (400|505)",
     "what is not HTTP/1 is refused with a status where httpd answers as HTTP/0.9, without one"),
    (r"httpd-strict: httpd-strict-40: 400",
     "HTTP/0.9 is refused; the author expects nothing in particular"),
    (r"llhttp: llhttp-request-(method-5[345]|uri-116): 405 closed connect",
     "CONNECT is not for a reverse proxy: 405"),
    (r"llhttp: llhttp-request-method-56: 400 closed target",
     "the asterisk form is for OPTIONS alone (RFC 9112 section 3.2.4)"),
    (r"llhttp: llhttp-(request-method-6[345]: 400 closed request_line|response-sample-15[78]: 502)",
     "ICE and RTSP are not HTTP"),
    (r"llhttp: llhttp-(request-sample-78: 400|response-sample-172: 502)",
     "HTTP/0.9 is not served, to clients or from backends"),
    (r"llhttp: llhttp-request-transfer-encoding-10[01]: 501",
     "the only transfer coding served is chunked, alone, in one line; lists have been holes (RFC 9112 section 6.1: 501)"),
    (r"llhttp: llhttp-request-uri-11[01]: 400 closed target",
     "an absolute target whose path is empty and whose query is not has no origin form of its own bytes"),
    (r"llhttp: llhttp-request-uri-115: 400 closed target",
     "a fragment never belongs in a target (RFC 9112 section 3.2)"),
    (r"llhttp: llhttp-request-uri-117: 400 closed target",
     "userinfo in an authority is refused (RFC 9110 section 4.2.4)"),
    (r"llhttp: llhttp-response-connection-12[67]: 502",
     "a 101 that nobody asked for is a 502; h2c is never asked for"),
    (r"llhttp: llhttp-response-(connection-133: 100 502|sample-174: 502)",
     "an answer begins with its status line: a blank line before it is what another reader may take for its head's end"),
    (r"llhttp: llhttp-response-transfer-encoding-17[678]: 502",
     "an answer whose coding is not chunked alone is a 502, not read until the close"),
]

# Why something passes that the author would refuse: what reaches the other side has one meaning all the same.
PASSES = [
    (r"http11probe: COMP-GET-WITH-CL-BODY: 200",
     "a GET may have content (RFC 9110 section 9.3.1); it ends where its length says"),
    (r"http11probe: COMP-405-ALLOW: 200|llhttp-request-invalid-(34|43): 200|httpd-strict-2: 200",
     "a method is a token and case-sensitive; which ones are allowed is for the backend to say"),
]


class Backend:
    """Notes every message that homing sends, and answers as it is told."""

    def __init__(self):
        self.answer, self.seen, self.fault = None, [], None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            held = b""
            while True:
                length = request_length(held)
                while length is None:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    held += piece
                    length = request_length(held)
                if length < 0:
                    self.seen.append(held)
                    self.fault = "a broken chunk"
                    return
                request, held = held[:length], held[length:]
                self.seen.append(request)
                if self.answer is not None:
                    connection.sendall(self.answer)
                    return
                body = b"" if request.startswith(b"HEAD ") else b"ok"
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n" + body)


def request_length(data):
    """How long the first request is: None if not all of it has come, -1 if its body is none."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, end = data[:end].lower(), end + 4
    if b"\r\ntransfer-encoding:" in head:
        return chunked_length(data, end)
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    end += int(length[1]) if length else 0
    return end if len(data) >= end else None


def chunked_length(data, at):
    """Where a chunked body that begins at `at` ends; None if it is not whole, -1 if it is not one."""
    while True:
        line = re.match(rb"([0-9a-f]+)\r\n", data[at:])
        if not line:
            return None if len(data) - at < 20 and b"\r\n" not in data[at:] else -1
        size, at = int(line[1], 16), at + line.end()
        if size == 0:
            break
        if data[at + size : at + size + 2] not in (b"\r\n", b"\r", b""):
            return -1
        at += size + 2
        if len(data) < at:
            return None
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        if end == at:
            return at + 2
        at = end + 2


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
HOP = {b"keep-alive", b"proxy-connection", b"http2-settings", b"proxy-authorization"}


def fields(lines):
    """Names and values of field lines, or nothing if one of them is not."""
    found = []
    for line in lines:
        match = re.fullmatch(rb"(" + TOKEN + rb"): ?([^\x00-\x08\x0a-\x1f\x7f]*)", line)
        if not match:
            return None
        found.append((match[1].lower(), match[2]))
    return found


def framing_fault(found):
    """What is ambiguous in how these fields frame a body."""
    lengths = [v for n, v in found if n == b"content-length"]
    codings = [v for n, v in found if n == b"transfer-encoding"]
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        return "more than one length or coding"
    if codings not in ([], [b"chunked"]) or any(not re.fullmatch(rb"\d+", v) for v in lengths):
        return "an odd length or coding"
    return None


def request_fault(request):
    """What is ambiguous about a request that a backend was sent; None if nothing is."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if not re.fullmatch(TOKEN + rb" (/[!-~]*|\*) HTTP/1\.1", lines[0]):
        return f"request line {lines[0][:80]!r}"
    found = fields(lines[1:])
    if found is None:
        return "a line that is no field"
    hosts = [v for n, v in found if n == b"host"]
    if len(hosts) != 1 or not re.fullmatch(rb"[!$&'()*+;=\-._~:\[\]0-9A-Za-z]*", hosts[0]):
        return f"host {hosts!r}"
    hops = [n for n, v in found if n in HOP or b"_" in n]
    upgrades = [v for n, v in found if n in (b"upgrade", b"connection", b"te")]
    if hops or upgrades not in ([], [b"Upgrade", b"websocket"], [b"TE", b"trailers"]):
        return f"fields of the connection {hops + upgrades!r}"
    return framing_fault(found)


def read_answers(received, to_head):
    """The statuses of all answers, whether the last is whole, and what is ambiguous about them."""
    statuses, at = [], 0
    while at < len(received):
        end = received.find(b"\r\n\r\n", at)
        if end < 0:
            return statuses, False, None
        lines, at = received[at:end].split(b"\r\n"), end + 4
        line = re.fullmatch(rb"HTTP/1\.1 ([1-9]\d\d) [^\x00-\x08\x0a-\x1f\x7f]*", lines[0])
        found = fields(lines[1:])
        if not line or found is None:
            return statuses, False, f"a head with {lines[0][:80]!r}"
        fault = framing_fault(found)
        if fault:
            return statuses, False, fault
        statuses.append(line[1].decode())
        named = dict(found)
        if to_head or statuses[-1] in ("204", "304") or statuses[-1][0] == "1":
            continue
        if b"transfer-encoding" in named:
            whole = chunked_length(received, at)
            if whole is None or whole < 0:
                return statuses, False, None if whole is None else "a broken chunk"
            at = whole
        elif b"content-length" in named:
            at += int(named[b"content-length"])
            if at > len(received):
                return statuses, False, None
        else:
            at = len(received)
    return statuses, True, None


class Homing:
    """The program under test, with a listener that routes everything to one backend."""

    def __init__(self, binary, backend):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name) / "homing.toml"
        path.write_text(
            f'workers = 1\n[access_log]\nformat = "off"\n[shutdown]\nnotice = "1ms"\ndrain = "100ms"\n'
            f'[[listener]]\nlisten = "127.0.0.1:{self.address[1]}"\n[listener.timeouts]\nhead = "{PATIENCE}s"\n'
            f'body = "{PATIENCE}s"\n[[pool]]\nname = "app"\nmax_fails = 0\nbackends = ["127.0.0.1:{backend.port}"]\n'
        )
        self.process = subprocess.Popen([binary, "run", "-c", path], stdout=subprocess.DEVNULL)

    def __enter__(self):
        until = time.monotonic() + 10
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(self.address, 1).close()
                return self
            time.sleep(0.02)
        raise SystemExit("homing did not come up")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()

    def exchange(self, messages):
        """What comes back on one connection for `messages`, sent in turn, and how it ended."""
        received, end = b"", "open"
        with socket.create_connection(self.address, WAIT) as connection:
            try:
                for message in messages:
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(message)  # Refused meanwhile: the answer is there to be read.
                    connection.settimeout(WAIT)
                    with contextlib.suppress(TimeoutError):
                        while piece := connection.recv(65536):
                            received += piece
                            connection.settimeout(QUIET)
                        end = "closed"
            except OSError:
                end = "reset"
        return received, end


Outcome = collections.namedtuple("Outcome", "statuses reason end whole seen fault")


def send(homing, backend, messages, answer=None):
    """One case: what came of it, on both sides."""
    backend.answer, backend.seen, backend.fault = answer, [], None
    received, end = homing.exchange(messages)
    statuses, whole, fault = read_answers(received, messages[0].startswith(b"HEAD "))
    reason = re.search(rb"\(([a-z_0-9]+)\)\n", received)
    seen = list(backend.seen)
    faults = [fault, backend.fault] + [request_fault(request) for request in seen]
    fault = next((f for f in faults if f), None)
    return Outcome(statuses, reason[1].decode() if reason else "", end, whole and end != "reset", seen, fault)


def expand(text, authority):
    """The bytes of a step: @HOST@, @REP:hex*n@ (a byte n times) and @MANYH:n@ (n header fields) are written out."""
    text = text.replace("@HOST@", authority)
    text = re.sub(r"@REP:([0-9a-fA-F]{2})\*(\d+)@", lambda m: chr(int(m[1], 16)) * int(m[2]), text)
    text = re.sub(r"@MANYH:(\d+)@", lambda m: "".join(f"X-{i}: v\r\n" for i in range(int(m[1]))), text)
    return text.encode("latin-1", "replace")


def completed(raw):
    """A message of a parser's test, which may end anywhere: with the end of its head, and of its last chunk."""
    data = raw.encode("latin-1", "replace")
    head, separator, body = data.partition(b"\r\n\r\n")
    if separator:
        is_chunked = re.search(rb"\r\ntransfer-encoding:\s*chunked\s*$", head, re.I | re.M)
        for end, missing in ((b"\n0", b"\r\n\r\n"), (b"\n0\r\n", b"\r\n")):
            if is_chunked and (b"\n" + body).endswith(end):
                return data + missing
        return data
    return data if b"\n\n" in data else data + (b"\r\n" if data.endswith(b"\r\n") else b"\r\n\r\n")


def with_host(data):
    """A request with the `Host` that parsers do not ask for: so that it is not all that is wrong."""
    blank, data = re.match(rb"(?:\r?\n)*", data)[0], data.lstrip(b"\r\n")
    head, separator, rest = data.partition(b"\n")
    if b"HTTP/1.1" not in head or re.search(rb"\nhost\s*:", data.partition(b"\r\n\r\n")[0], re.I):
        return blank + data
    return blank + head + separator + b"Host: a" + (b"\r\n" if head.endswith(b"\r") else b"\n") + rest


# Not idempotent: what breaks off is not asked for again, and what came of it is passed on.
ASK = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"

Verdict = collections.namedtuple("Verdict", "wanted outcome is_as_wanted is_passed")


def judge_steps(case, homing, backend):
    authority = f"{homing.address[0]}:{homing.address[1]}"
    outcome = send(homing, backend, [expand(step, authority) for step in case["steps"]])
    wanted, last = case["pass"] + case["warn"], (outcome.statuses or [None])[-1]
    if not case["pass"] and last and last[0] == "2":
        wanted = []
    if last is None:
        is_good = case["close"] in ("pass", "warn") if outcome.end != "open" else "timeout" in wanted
    else:  # Without a status the author looks at something else.
        is_good = not wanted or any(last == w or (w.endswith("xx") and last[0] == w[0]) for w in wanted)
    is_refusal = bool(case["pass"]) and not any(w[0] in "123" for w in wanted)
    return Verdict("/".join(wanted) or "-", outcome, is_good, is_refusal and bool(outcome.seen))


def judge_status(case, homing, backend):
    outcome = send(homing, backend, [case["raw"].encode("latin-1")])
    last, expected = (outcome.statuses or ["none"])[-1], case["expect"]
    is_good = last == expected or expected == "1" and last[0] in "2345" and last not in ("400", "501", "505")
    return Verdict(expected, outcome, is_good, expected in ("400", "501") and bool(outcome.seen))


def judge_field(case, homing, backend):
    answer = b"HTTP/1.1 200 OK\r\n" + case["raw"].encode("latin-1") + b"\r\nContent-Length: 0\r\n\r\n"
    outcome = send(homing, backend, [ASK], answer)
    wanted = "502" if case["expect"] == "500" else case["expect"]
    return Verdict(wanted, outcome, outcome.statuses == [wanted], wanted == "502" and outcome.statuses != ["502"])


def before_error(case):
    """How many messages are right before the error: one, if that is what follows the last one of a connection."""
    return int(case["error"].startswith("Data after"))


def judge_request(case, homing, backend):
    outcome = send(homing, backend, [with_host(completed(case["raw"]))])
    if case["error"]:
        is_passed = len(outcome.seen) > before_error(case)
        return Verdict(f"error: {case['error']}", outcome, not is_passed, is_passed)
    is_good = bool(outcome.statuses) and (outcome.statuses[0][0] in "12" or outcome.statuses == ["408"])
    return Verdict("accepted", outcome, is_good, False)


def judge_answer(case, homing, backend):
    raw = completed(case["raw"])
    outcome = send(homing, backend, [ASK], raw)
    is_refused = outcome.statuses[-1:] == ["502"] and outcome.reason == "backend_answer"
    if case["error"]:
        is_good = is_refused or not outcome.whole or before_error(case) == len(outcome.statuses)
        return Verdict(f"error: {case['error']}", outcome, is_good, not is_good)
    return Verdict("accepted", outcome, not is_refused, False)


def judge(case, homing, backend):
    if "steps" in case:
        return judge_steps(case, homing, backend)
    if case["kind"] == "response-header":
        return judge_field(case, homing, backend)
    if "expect" in case:
        return judge_status(case, homing, backend)
    return (judge_request if case["kind"] == "request" else judge_answer)(case, homing, backend)


def explanation(verdict, line):
    table = PASSES if verdict.is_passed else DIFFERS
    return next((why for pattern, why in table if re.search(pattern, line)), None)


def run(folder, homing, backend, verbose):
    """Goes through all cases; returns how many are not as they must be."""
    bad = 0
    for path in sorted(folder.glob("*.json")):
        same, explained = 0, collections.defaultdict(list)
        for case in json.loads(path.read_text())["cases"]:
            verdict = judge(case, homing, backend)
            outcome = verdict.outcome
            line = f"{path.stem}: {case['id']}: {' '.join(outcome.statuses) or 'none'} {outcome.end} {outcome.reason}"
            if verbose:
                print(f"{line} wanted {verdict.wanted}, {len(outcome.seen)} passed")
            why = explanation(verdict, line)
            if outcome.fault:
                bad += 1
                print(f"AMBIGUOUS {line}: {outcome.fault}: {outcome.seen!r}")
            elif verdict.is_as_wanted and not verdict.is_passed:
                same += 1
            elif why:
                explained[why].append(f"{line}, wanted {verdict.wanted}")
            else:
                bad += 1
                word = "PASSED" if verdict.is_passed else "UNEXPLAINED"
                print(f"{word} {line}, wanted {verdict.wanted}: {case.get('desc', case.get('raw'))!r}")
        differ = sum(map(len, explained.values()))
        print(f"{path.stem}: {same} as the author expects, {differ} differ for a reason")
        for why, lines in explained.items():
            print(f"  {why}")
            for line in lines:
                print(f"    {line}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--homing", required=True, help="the program")
    parser.add_argument("--verbose", action="store_true", help="every case, not only those that differ")
    args = parser.parse_args()
    backend = Backend()
    with Homing(args.homing, backend) as homing:
        bad = run(args.folder, homing, backend, args.verbose)
    print(f"{bad} are not as they must be" if bad else "every difference is explained, and nothing ambiguous passed")
    raise SystemExit(1 if bad else 0)


main()
