#!/usr/bin/env python3
"""Sends recorded odd messages through a running homing and prints where the outcome differs from the author's.

    tests/conformance.py FOLDER HOST:PORT [--verbose]

FOLDER holds JSON files of a "cases" list, each case with "steps" (requests sent in turn on one connection, with the
statuses that pass), or with "raw" and "expect" (a status, or 1 for any answer that is not an error). Cases of other
kinds are counted as left out. The homing at HOST:PORT should route everything to a backend that answers 200.
"""

import json
import pathlib
import re
import socket
import sys

WAIT = 2.0


def exchange(address, messages):
    """The answers to `messages`, sent in turn on one connection: (statuses, whether it was closed, bytes)."""
    received, closed = b"", False
    with socket.create_connection(address, WAIT) as connection:
        connection.settimeout(WAIT)
        try:
            for message in messages:
                try:
                    connection.sendall(message)
                except OSError:
                    pass  # Refused while it was being sent: the answer is there to be read.
                connection.settimeout(0.4 if received else WAIT)
                try:
                    piece = connection.recv(65536)
                    closed |= not piece
                    received += piece
                except socket.timeout:
                    pass
            connection.settimeout(0.2)
            while piece := connection.recv(65536):
                received += piece
            closed = True
        except socket.timeout:
            pass
        except OSError:
            closed = True
    return re.findall(rb"^HTTP/1\.[01] (\d{3})", received, re.M), closed, received


def passes(case, statuses, closed):
    """Whether the outcome is one that the author accepts."""
    last = statuses[-1].decode() if statuses else None
    if "steps" in case:
        wanted = case["pass"] + case["warn"]
        if last is None:
            return (closed and case["close"] in ("pass", "warn")) or (not closed and "timeout" in wanted)
        if not wanted:  # The author looks at something else than the status.
            return True
        return any(last == w or (w.endswith("xx") and last[0] == w[0]) for w in wanted)
    if case["expect"] == "1":
        return last is not None and last[0] in "2345" and last not in ("400", "501", "505")
    return last == case["expect"]


def expand(text, authority):
    """The bytes of a step: @HOST@, @REP:hex*n@ (a byte n times) and @MANYH:n@ (n header fields) are written out."""
    text = text.replace("@HOST@", authority)
    text = re.sub(r"@REP:([0-9a-fA-F]{2})\*(\d+)@", lambda m: chr(int(m[1], 16)) * int(m[2]), text)
    text = re.sub(r"@MANYH:(\d+)@", lambda m: "".join(f"X-{i}: v\r\n" for i in range(int(m[1]))), text)
    return text.encode("latin-1", "replace")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    host, port = sys.argv[2].rsplit(":", 1)
    verbose = "--verbose" in sys.argv
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        same = other = left_out = 0
        for case in json.loads(path.read_text())["cases"]:
            if "steps" not in case and "expect" not in case:
                left_out += 1
                continue
            if case.get("kind", "request") != "request":
                left_out += 1
                continue
            steps = case.get("steps") or [case["raw"]]
            messages = [expand(s, f"{host}:{port}") for s in steps]
            statuses, closed, received = exchange((host, int(port)), messages)
            if passes(case, statuses, closed):
                same += 1
                continue
            other += 1
            wanted = case.get("pass") or [case.get("expect")]
            reason = re.search(rb"\(([a-z_0-9]+)\)\n", received)
            print(f"{path.stem}: {case['id']}: wanted {wanted}, got {[s.decode() for s in statuses]}"
                  f" {'closed' if closed else 'open'} {reason[1].decode() if reason else ''} {case.get('desc', '')[:90]}")
            if verbose:
                print(f"    sent {messages!r}\n    got  {received[:200]!r}")
        print(f"{path.stem}: {same} as the author expects, {other} differ, {left_out} left out")


main()
