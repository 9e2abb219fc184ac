"""No network in tests: every connection and name look-up that leaves the machine fails, and is written down.

Python imports a `sitecustomize` at its start, so this file works in each process that tests/conftest.py puts its folder
on PYTHONPATH for; the process of pytest itself imports it from there. It hears of sockets through an audit hook
(PEP 578), which cannot be taken off again and sees every library's sockets as long as they are Python's. Sockets that
compiled code opens by itself (Gloo's, a Rust library's) are not seen.

Allowed: AF_UNIX, loopback, and the machine's own name (torchrun looks it up). What was tried stands in the file
PRETUNE_NETWORK_LOG, a line each, because a library may swallow the error.
"""

import ipaddress
import os
import socket
import sys

LOG = "PRETUNE_NETWORK_LOG"


class NetworkBlocked(ConnectionError):
    """A test, or a library it calls, tried to leave the machine. To the library it looks like a machine offline."""


def _own_addresses(name):
    try:
        with open("/etc/hosts", encoding="utf-8") as file:
            rows = [line.split("#")[0].split() for line in file]
    except OSError:
        return set()
    return {row[0] for row in rows if name in row[1:]}


OWN_NAME = socket.gethostname()
OWN = {OWN_NAME, "localhost", "localhost.localdomain", "", "0.0.0.0", "::", *_own_addresses(OWN_NAME)}


def is_local(host):
    if isinstance(host, bytes):
        host = host.decode("utf-8", "replace")
    if host is None or host in OWN:
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback
    except ValueError:
        return False


def _hear(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple) or is_local(address[0]):  # AF_UNIX has a path, a connected socket None
            return
        _refuse(f"{event} {address!r}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr") and not is_local(arguments[0]):
        _refuse(f"{event} {arguments[0]!r}")


def _refuse(what):
    if path := os.environ.get(LOG):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{what} by {' '.join(sys.argv)[:200]}\n")
    raise NetworkBlocked(f"{what}: tests use no network")


sys.addaudithook(_hear)
