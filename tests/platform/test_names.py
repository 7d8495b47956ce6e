"""How the function resolves the host name of the database. It runs in its own network namespace, with its own name server."""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import pytest
from conftest import FUNCTION, bootstrap
from test_budget import BUILD, DELETED, DynamoDb, RuntimeApi, of_lambda, serve

# The request that sets the flags of a network interface, and the flag that switches it on.
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
MOUNTS = "/proc/self/ns/mnt"
NAMESPACES = ["unshare", "--map-root-user", "--mount", "--net"]

# Response codes (RFC 1035, section 4.1.1).
NO_SUCH_NAME, REFUSED = 3, 5
# In place of an address: the name server refuses to say whether the name has an IPv6 address.
REFUSES_IPV6 = "-"
# For each case: the host of the database, the addresses that the name server knows, and the file resolv.conf. The name server at
# 127.0.0.3 never answers.
CASES = {
    "a host of a search domain": (
        "database",
        {"database.internal.test": ["127.0.0.1"]},
        "search internal.test\nnameserver 127.0.0.1\n",
    ),
    "a host whose first address refuses connections": (
        "database",
        {"database": ["127.0.0.2", "127.0.0.1"]},
        "nameserver 127.0.0.1\n",
    ),
    "a name server that does not answer, and one that does": (
        "database",
        {"database": ["127.0.0.1"]},
        "nameserver 127.0.0.3\nnameserver 127.0.0.1\n",
    ),
    "an unknown host": ("database", {}, "nameserver 127.0.0.1\n"),
    "no name server that answers": ("database", {}, "nameserver 127.0.0.3\n"),
    # With these two, musl differs from glibc (docs/adr/0014-a-static-binary.md).
    "a host with a dot, of a search domain": (
        "database.internal",
        {"database.internal.test": ["127.0.0.1"]},
        "search test\nnameserver 127.0.0.1\n",
    ),
    "a name server that refuses questions for IPv6 addresses": (
        "database",
        {"database": ["127.0.0.1", REFUSES_IPV6]},
        "nameserver 127.0.0.1\n",
    ),
}
FOUND = list(CASES)[:3]


@pytest.fixture(scope="module")
def answers():
    """For each case: the status of the answer to a delete."""
    if BUILD != "static":
        pytest.skip("this build uses the machine's C library, which resolves names in another way")
    if not os.path.isfile("/etc/resolv.conf"):
        pytest.skip("this machine has no resolv.conf that could be replaced")
    if subprocess.run([*NAMESPACES, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this machine permits no namespaces")
    command = [*NAMESPACES, sys.executable, __file__, bootstrap(FUNCTION), os.readlink(MOUNTS)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


@pytest.mark.parametrize("case", CASES)
def test_the_database_is_found_or_unavailable(answers, case):
    assert answers[case] == (204 if case in FOUND else 503)


def name_server(names):
    """Serves the addresses of these names (RFC 1035, section 4.1). Other names do not exist. No name has an IPv6 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        while True:
            query, sender = server.recvfrom(512)
            labels, end = [], 12
            while length := query[end]:
                labels.append(query[end + 1 : end + 1 + length].decode())
                end += 1 + length
            known = names.get(".".join(labels))
            is_ipv4 = query[end + 1 : end + 3] == b"\0\1"
            addresses = [address for address in known or [] if is_ipv4 and address != REFUSES_IPV6]
            code = NO_SUCH_NAME if not known else REFUSED if REFUSES_IPV6 in known and not is_ipv4 else 0
            counts = struct.pack(">5H", 0x8180 | code, 1, len(addresses), 0, 0)
            answer = query[:2] + counts + query[12 : end + 5]
            for address in addresses:
                answer += b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 0, 4) + socket.inet_aton(address)
            server.sendto(answer, sender)


def inside(function, outside):
    """Runs all cases in the namespaces, and prints the values of the fixture `answers` as JSON."""
    assert os.readlink(MOUNTS) != outside, "this would replace the machine's own resolv.conf"
    with socket.socket() as loopback:
        fcntl.ioctl(loopback, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP, b""))
    database = serve(DynamoDb)
    names, answers = {}, {}
    threading.Thread(target=name_server, args=[names], daemon=True).start()
    with tempfile.NamedTemporaryFile("w") as resolv_conf, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.3", 53))
        subprocess.run(["mount", "--bind", resolv_conf.name, "/etc/resolv.conf"], check=True)
        for case, (host, known, text) in CASES.items():
            names.clear()
            names.update(known)
            resolv_conf.truncate(0)
            resolv_conf.seek(0)
            resolv_conf.write(text)
            resolv_conf.flush()
            answers[case] = answer(function, f"http://{host}:{database.server_port}")
    print(json.dumps(answers))


def answer(function, url):
    """Starts the function and sends it a delete. Returns the status of the answer."""
    runtime = serve(RuntimeApi, events=[DELETED], answers=[], done=threading.Event())
    variables = of_lambda(runtime, 0) | {"AWS_ENDPOINT_URL_DYNAMODB": url}
    with subprocess.Popen([function], env=variables, stdout=subprocess.DEVNULL) as run:
        try:
            assert runtime.done.wait(60)
        finally:
            run.kill()
    return runtime.answers[0]


if __name__ == "__main__":
    inside(*sys.argv[1:])
