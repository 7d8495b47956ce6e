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
import time

import pytest
from conftest import FUNCTION, aws, bootstrap
from test_budget import BUILD, DELETED, DynamoDb, RuntimeApi, serve

# The request that sets the flags of a network interface, and the flag that switches it on.
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
MOUNTS = "/proc/self/ns/mnt"
NAMESPACES = ["unshare", "--map-root-user", "--mount", "--net"]

# For each case: the addresses that the name server knows, and the file resolv.conf. The name server at 127.0.0.3 never answers.
CASES = {
    "a host of a search domain": ({"database.internal.test": ["127.0.0.1"]}, "search internal.test\nnameserver 127.0.0.1\n"),
    "a host whose first address refuses connections": (
        {"database": ["127.0.0.2", "127.0.0.1"]},
        "nameserver 127.0.0.1\n",
    ),
    "a name server that does not answer, and one that does": (
        {"database": ["127.0.0.1"]},
        "nameserver 127.0.0.3\nnameserver 127.0.0.1\n",
    ),
    "an unknown host": ({}, "nameserver 127.0.0.1\n"),
    "no name server that answers": ({}, "nameserver 127.0.0.3\n"),
}


@pytest.fixture(scope="module")
def answers():
    """For each case: the status of the answer to a delete, and the seconds from the start of the function to the answer."""
    if BUILD != "static":
        pytest.skip("this build uses the machine's C library, which resolves names in another way")
    if subprocess.run([*NAMESPACES, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this machine permits no namespaces")
    command = [*NAMESPACES, sys.executable, __file__, bootstrap(FUNCTION), os.readlink(MOUNTS)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


@pytest.mark.parametrize("case", list(CASES)[:3])
def test_the_database_is_found(answers, case):
    assert answers[case][0] == 204


def test_the_answer_for_an_unknown_host_does_not_wait(answers):
    status, seconds = answers["an unknown host"]
    assert (status, seconds < 4) == (503, True)


def test_without_a_name_server_that_answers_the_database_is_unavailable(answers):
    assert answers["no name server that answers"][0] == 503


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
            addresses = known if known and query[end + 1 : end + 3] == b"\0\1" else []
            counts = struct.pack(">5H", 0x8180 if known else 0x8183, 1, len(addresses), 0, 0)
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
        for case, (known, text) in CASES.items():
            names.clear()
            names.update(known)
            resolv_conf.truncate(0)
            resolv_conf.seek(0)
            resolv_conf.write(text)
            resolv_conf.flush()
            answers[case] = answer(function, f"http://database:{database.server_port}")
    print(json.dumps(answers))


def answer(function, url):
    """Starts the function and sends it a delete. Returns the status of the answer, and the seconds until then."""
    runtime = serve(RuntimeApi, events=[DELETED], answers=[], done=threading.Event())
    variables = aws(0) | {
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": FUNCTION,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "OPENING_TIMEOUT_MS": "0",
    }
    begun = time.monotonic()
    with subprocess.Popen([function], env=variables, stdout=subprocess.DEVNULL) as run:
        assert runtime.done.wait(60)
        seconds = time.monotonic() - begun
        run.kill()
    return runtime.answers[0], seconds


if __name__ == "__main__":
    inside(*sys.argv[1:])
