#!/usr/bin/env python3
"""Checks a deployed stack over HTTP: whether its gateway passes requests and answers on as docs/api.md says.

The checks are below, in the order in which they run. Each creates its own clients through deregisterctl, which finds
the table as it always does: CLIENTS_TABLE, and the Region and the credentials of the environment.

  ok    the answer is as docs/api.md says
  FAIL  it is not
  note  a fact that is not judged

Exit codes: 0, no check failed; 1, a check failed; 2, a wrong command line; 130, interrupted. Secrets and tokens are
not printed. The clients are deleted at the end, also after an interruption. What the tool cannot remove is listed.
"""

import argparse
import base64
import collections
import http.client
import ipaddress
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.parse

# Longer than the time-out of API Gateway, in seconds.
TIMEOUT = 35
# An address that no caller has (RFC 5737).
OTHER_ADDRESS = "192.0.2.1"
# How a path must be decoded.
ONCE = "decoded once"
REMAPPED = "x-amzn-remapped-www-authenticate"
# They end the checks, and not the removal.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Answer = collections.namedtuple("Answer", "request status headers body duration")
Checked = collections.namedtuple("Checked", "title check")
CHECKS = []


class Failed(Exception):
    """The answer is not as docs/api.md says."""


class Ended(Failed):
    """Without this answer no other check has a meaning."""


class Note(str):
    """A fact that is not judged."""


def check(title):
    """Adds a function to the checks. It returns nothing, a detail or a note, or raises Failed."""
    return lambda function: CHECKS.append(Checked(title, function))


def expect(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


def expect_status(answer, *expected):
    expect(answer.status in expected, f"{answer.status} instead of {' or '.join(map(str, expected))}")


# The checks.


@check("the first request")
def _(run):
    answer = run.delete("register", run.name, bearer("unknown"))
    if answer.status != 401 or member(answer, "error") != "invalid_token":
        raise Ended(
            f"{answer.status} instead of 401 with invalid_token: "
            "check the URL, its stage, and --registration-path if you set RegistrationPath"
        )
    return Note(f"{answer.duration:.0f} ms, with a cold start if the function was idle")


@check("further requests")
def _(run):
    durations = [run.delete("register", run.name, bearer("unknown")).duration for _ in range(5)]
    return Note(f"{statistics.median(durations):.0f} ms, the median of {len(durations)}")


@check("deregisterctl writes to the table")
def _(run):
    run.prepare()


@check("/register: 204, and the client is dead")
def _(run):
    client, token = run.registered("registration")
    answer = run.delete("register", client, token)
    if answer.status == 401:
        raise Ended("401: check that CLIENTS_TABLE and the Region name the table of the stack")
    expect_status(answer, 204)
    run.seen_address = run.deletion(client, "registration").get("source_ip")
    expect_status(run.delete("register", client, token), 401)


@check("/config: 204, and the client is dead")
def _(run):
    client = run.api_client("configuration")
    expect_status(run.delete("config", client, run.owner), 204)
    run.deletion(client, "configuration")
    expect_status(run.delete("config", client, run.owner), 404)


@check("/api: DELETED, and the client is dead")
def _(run):
    client, token = run.registered("authlete")
    body = {"clientId": client, "token": token.split()[1]}
    answers = [run.post(json.dumps(body), "application/json", run.access_token) for _ in range(2)]
    expect_status(answers[0], 200)
    run.deletion(client, "authlete")
    codes = [member(answer, "resultCode") for answer in answers]
    expect(codes == ["A216001", "A215302"], f"{codes[0]}, then {codes[1]}, instead of A216001, then A215302")


@check("/api: DELETED with a form as the body")
def _(run):
    client, token = run.registered("form")
    form = urllib.parse.urlencode({"clientId": client, "token": token.split()[1]})
    expect_status(run.post(form, "application/x-www-form-urlencoded", run.access_token), 200)
    run.deletion(client, "authlete")


@check("/register: a 401 has the challenge")
def _(run):
    expect_challenge(run.delete("register", run.name), "Bearer", "RFC 6750")


@check("/config: a 401 has the challenge")
def _(run):
    expect_challenge(run.delete("config", run.name), "Basic", "RFC 7617")


@check("/api: a 401 has the challenge")
def _(run):
    expect_challenge(run.post("{}", "application/json"), "Bearer", "RFC 6750")


@check("/register: a path is decoded once")
def _(run):
    readings = decoded_readings("register-pc")
    clients = {reading: run.registered(name) for reading, name in readings.items()}
    path = clients[ONCE][0]
    # Only the token of the client that the function reads from the path is accepted.
    expect_once([reading for reading in readings if run.delete("register", path, clients[reading][1]).status == 204])


@check("/config: a path is decoded once")
def _(run):
    readings = decoded_readings("config-pc")
    clients = {reading: run.api_client(name) for reading, name in readings.items()}
    run.delete("config", clients[ONCE], run.owner)
    expect_once([reading for reading, client in clients.items() if run.show(client)["deleted"]])


@check("/register: an id with an encoded slash")
def _(run):
    client, token = run.registered("slash/client")
    expect_status(run.delete("register", client, token), 204)


@check("/register: an id that is a URL")
def _(run):
    client, token = run.registered_as(f"https://{run.name}.example/client")
    expect_status(run.delete("register", client, token), 204)


@check("/register: If-Match reaches the function")
def _(run):
    client, token = run.registered("if-match")
    expect_refused(run, client, run.delete("register", client, token, ("If-Match", '"0"')), 412)


@check("/register: two Authorization lines are refused")
def _(run):
    client, token = run.registered("twice")
    return expect_refused(run, client, run.delete("register", client, token, token), 400, 401)


@check("/config: two Authorization lines are refused")
def _(run):
    client = run.api_client("twice-configuration")
    return expect_refused(run, client, run.delete("config", client, run.owner, run.owner), 400, 401)


@check("/api: two Authorization lines are refused")
def _(run):
    client, token = run.registered("twice-authlete")
    body = json.dumps({"clientId": client, "token": token.split()[1]})
    answer = run.post(body, "application/json", run.access_token, run.access_token)
    return expect_refused(run, client, answer, 400, 401)


@check("/register: a token in the query is refused")
def _(run):
    client, token = run.registered("query")
    return expect_refused(run, client, run.delete("register", client, query=token.split()[1]), 400, 401)


@check("/config: a token in the query is refused")
def _(run):
    client = run.api_client("query-configuration")
    return expect_refused(run, client, run.delete("config", client, run.owner, query="unknown"), 401)


@check("/api: a token in the query is refused")
def _(run):
    client, token = run.registered("query-authlete")
    body = json.dumps({"clientId": client, "token": token.split()[1]})
    return expect_refused(run, client, run.post(body, "application/json", run.access_token, query="unknown"), 401)


@check("the address of the caller")
def _(run):
    expect(run.seen_address, "the record of the deletion has no source_ip: the function does not know the address")
    if run.address is None:
        return Note(f"the function saw {run.seen_address}; give your own with --address to check it")
    expect(same_address(run.seen_address, run.address), f"the function saw {run.seen_address}, not {run.address}")


@check("/config: an owner may call from its allow list")
def _(run):
    client = run.api_client("allowed")
    address = run.address or run.seen_address
    owner = run.new_owner("owner-here", "--allow", address)
    answer = run.delete("config", client, owner)
    expect(answer.status == 204, f"{answer.status} instead of 204: the allow list is {address}")


@check("/config: an owner may not call from elsewhere")
def _(run):
    expect_refused(run, run.target, run.delete("config", run.target, run.owner_elsewhere), 403)


@check("/config: X-Forwarded-For is not trusted")
def _(run):
    forwarded = ("X-Forwarded-For", OTHER_ADDRESS)
    expect_refused(run, run.target, run.delete("config", run.target, run.owner_elsewhere, forwarded), 403)


@check("/register: 405 with Allow")
def _(run):
    # The API may pass GET and PUT on to the authorization server.
    expect_allow(run.send("PATCH", run.path_of("register", run.name)), "DELETE")


@check("/config: 405 with Allow")
def _(run):
    expect_allow(run.send("GET", run.path_of("config", run.name)), "DELETE")


@check("/api: 405 with Allow")
def _(run):
    expect_allow(run.send("GET", run.authlete_path), "POST")


@check("another path: 404")
def _(run):
    answer = run.send("GET", f"/{run.name}")
    expect_status(answer, 404)
    expect(member(answer, "error") == "not_found", "the body is not that of the function")


@check("every refusal is JSON")
def _(run):
    def is_json(answer):
        return answer.headers.get_content_type() == "application/json" and isinstance(member(answer), dict)

    return expect_each([answer for answer in run.answers if answer.status >= 400], is_json)


@check("every answer has Cache-Control: no-store")
def _(run):
    answers = [answer for answer in run.answers if answer.status == 204 or is_of_function(answer)]
    return expect_each(answers, lambda answer: "no-store" in answer.headers.get("Cache-Control", ""))


@check("a 204 has no header of a body")
def _(run):
    headers = {name for answer in run.answers if answer.status == 204 for name in answer.headers}
    added = sorted(name for name in headers if name.lower() in ("content-type", "content-length", "transfer-encoding"))
    return Note(f"the gateway adds {', '.join(added)}") if added else None


# What the checks share.


def bearer(token):
    return f"Bearer {token}"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def member(answer, name=None):
    """The JSON body, or a member of it. None if there is none."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return None
    if name is None:
        return body
    return body.get(name) if isinstance(body, dict) else None


def is_of_function(answer):
    """Whether the body is one of the function's. A gateway has other bodies."""
    return any(member(answer, name) is not None for name in ("errors", "error", "resultCode"))


def same_address(one, other):
    """Whether two texts are the same address. An IPv4-mapped IPv6 address is an IPv4 address."""
    try:
        one, other = ipaddress.ip_address(one), ipaddress.ip_address(other)
    except ValueError:
        return False
    return (getattr(one, "ipv4_mapped", None) or one) == (getattr(other, "ipv4_mapped", None) or other)


def expect_challenge(answer, scheme, document):
    expect_status(answer, 401)
    if REMAPPED in answer.headers and "WWW-Authenticate" not in answer.headers:
        raise Failed(f"the gateway renames WWW-Authenticate to {REMAPPED}; {document} requires WWW-Authenticate")
    challenge = answer.headers.get("WWW-Authenticate", "")
    expect(challenge.startswith(f"{scheme} realm="), f"no WWW-Authenticate for {scheme}; {document} requires it")


def decoded_readings(name):
    """The ids that a path with `%2541` can name, by how it is decoded."""
    return {"not decoded": f"{name}%2541", ONCE: f"{name}%41", "decoded twice": f"{name}A"}


def expect_once(readings):
    """`readings` are those whose client was deleted."""
    if not readings:
        raise Failed("a path with %2541 reached no client")
    expect(readings == [ONCE], f"the path was {readings[0]}: a client was deleted that the path does not name")


def expect_refused(run, client, answer, *statuses):
    """The request was refused, and the client lives. A note if the gateway refused it."""
    expect(not run.show(client)["deleted"], f"{answer.status}: the client was deleted")
    expect_status(answer, *statuses)
    return None if is_of_function(answer) else Note(f"{answer.status} from the gateway, and not from the function")


def expect_allow(answer, method):
    expect_status(answer, 405)
    expect(answer.headers.get("Allow") == method, f"no Allow: {method}")


def expect_each(answers, holds):
    others = [f"{answer.request}: {answer.status}" for answer in answers if not holds(answer)]
    more = f", and {len(others) - 3} more" if len(others) > 3 else ""
    expect(not others, f"not {', '.join(others[:3])}{more}")
    return f"{len(answers)} answers"


class Run:
    """The requests of a run, and what it creates. Every id contains the name of the run."""

    def __init__(self, options):
        self.url, self.tool = options.url, options.tool
        self.address, self.registration_path = options.address, options.registration_path
        self.name = f"smoke-{secrets.token_hex(5)}"
        self.authlete_path = f"/api/{self.name}/client/registration/delete"
        self.answers = []
        self.seen_address = None
        # What the table may have. An id is added before the tool is called.
        self.clients, self.service, self.token = [], None, None

    def prepare(self):
        """Creates what several checks use."""
        self.service = "perhaps the service"
        self.call("service", "create", self.name)
        self.service, self.token = "the service", "perhaps an access token"
        issued = self.call("token", "issue", "--service", self.name, "--expires-in", "1h")
        self.token = "an access token"
        self.access_token = bearer(issued["access_token"])
        self.owner = self.new_owner("owner")
        self.owner_elsewhere = self.new_owner("owner-elsewhere", "--allow", OTHER_ADDRESS)
        self.target = self.api_client("target")

    # Requests.

    def send(self, method, path, *lines, body=None, query=None):
        """A request with exactly these header lines; a text is a line `Authorization`."""
        target = self.url.path + path + (f"?access_token={query}" if query else "")
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.url.netloc, timeout=TIMEOUT)
        try:
            connection.connect()
            started = time.monotonic()
            connection.putrequest(method, target, skip_accept_encoding=True)
            for line in lines:
                connection.putheader(*(("Authorization", line) if isinstance(line, str) else line))
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
            duration = (time.monotonic() - started) * 1000
        finally:
            connection.close()
        answer = Answer(f"{method} {path}", response.status, response.headers, content, duration)
        self.answers.append(answer)
        return answer

    def path_of(self, endpoint, client):
        prefix = self.registration_path if endpoint == "register" else f"/config/{self.name}/clients"
        return f"{prefix}/{urllib.parse.quote(client, safe='')}"

    def delete(self, endpoint, client, *lines, query=None):
        return self.send("DELETE", self.path_of(endpoint, client), *lines, query=query)

    def post(self, body, media_type, *lines, query=None):
        lines = (("Content-Type", media_type), *lines)
        return self.send("POST", self.authlete_path, *lines, body=body.encode(), query=query)

    # Calls of the tool.

    def call(self, *arguments):
        """Calls the tool, and returns the object that it prints."""
        done = self.run_tool(*arguments)
        if done.returncode != 0:
            raise Ended(f"deregisterctl {' '.join(arguments[:2])}: {done.stderr.strip() or done.returncode}")
        return json.loads(done.stdout)

    def run_tool(self, *arguments):
        # A session of its own: Ctrl-C does not reach the tool. A signal to this program waits until the tool has ended.
        # Otherwise the tool could create a client after the removal.
        command = [self.tool, "--json", *arguments]
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def show(self, client):
        return self.call("deletion", "show", client)

    def deletion(self, client, channel):
        """The record of the deletion, which came through this channel."""
        record = self.show(client)
        expect(record["deleted"], "the answer says deleted, and the client lives")
        expect(record["via"] == channel, f"the record says via {record['via']}")
        return record

    def api_client(self, name, *options):
        return self.new_api_client(name, *options)["client_id"]

    def new_owner(self, name, *options):
        """The value of `Authorization` of a new owner."""
        created = self.new_api_client(name, "--feature", "owner", *options)
        return basic(created["client_id"], created["client_secret"])

    def new_api_client(self, name, *options):
        client = f"{self.name}-{name}"
        self.clients.append(client)
        return self.call("client", "create", "--app", self.name, "--id", client, *options)

    def registered(self, name):
        return self.registered_as(f"{self.name}-{name}")

    def registered_as(self, client):
        """The id of a new OAuth client, and the value of `Authorization` with its registration access token."""
        self.clients.append(client)
        created = self.call("client", "register", "--service", self.name, "--id", client)
        return client, bearer(created["registration_access_token"])

    def remove(self):
        """Deletes all clients. Returns lines about what remains in the table."""
        outcomes = {}
        if self.clients:
            done = self.run_tool("client", "delete", "--yes", "--by", "smoke", *self.clients)
            outcomes = {line["client_id"]: line for line in map(json.loads, done.stdout.splitlines())}
        lines, kept, tombstones = [], {}, 0
        for client in self.clients:
            outcome = outcomes.get(client, {"outcome": "unknown", "reason": "deregisterctl failed"})
            reason = outcome.get("reason", "unknown")
            if outcome["outcome"] in ("deleted", "already_deleted"):
                tombstones += 1
            elif reason == "it is an owner":
                kept[f"client#{client}"] = f"the client {client}, an owner, whose secret is not kept"
            elif reason != "there is no such client":
                lines.append(f"the client {client}: {reason}; run deregisterctl client delete again")
        if self.service:
            kept[f"service#{self.name}"] = f"{self.service} {self.name}"
        if self.token:
            lines.append(f"{self.token} for this service, which expires within an hour")
        if tombstones:
            lines.append(f"{tombstones} tombstones, until their retention ends")
        if kept:
            # deregisterctl does not delete owners and services.
            table = os.environ.get("CLIENTS_TABLE") or "clients"
            requests = {table: [{"DeleteRequest": {"Key": {"pk": {"S": key}}}} for key in kept]}
            command = ["aws", "dynamodb", "batch-write-item", "--request-items", json.dumps(requests)]
            if shutil.which("aws"):
                # Version 1 of the AWS CLI reads only this name of the Region.
                region = {"AWS_DEFAULT_REGION": os.environ.get("AWS_REGION", "")}
                environment = {name: value for name, value in region.items() if value} | os.environ
                done = subprocess.run(
                    [*command, "--output", "json"], capture_output=True, text=True, env=environment
                )
                if done.returncode == 0 and json.loads(done.stdout).get("UnprocessedItems") == {}:
                    return lines
                sys.stderr.write(done.stderr)
            lines = [*kept.values(), *lines]
            lines.append("\nderegisterctl cannot delete owners and services. The AWS CLI can:")
            lines.append(" ".join([*command[:-1], f"'{command[-1]}'"]))
        return lines


def result(checked, run):
    """The word, the detail, and whether the run ends here."""
    try:
        detail = checked.check(run)
    except Failed as failed:
        return "FAIL", str(failed), isinstance(failed, Ended)
    except (OSError, http.client.HTTPException) as error:
        return "FAIL", f"no answer: {error or type(error).__name__}", not run.answers
    return "note" if isinstance(detail, Note) else "ok", detail or "", False


def run_checks(run, counts):
    """Prints a line for each check, and counts the words."""
    width = max(len(checked.title) for checked in CHECKS)
    for position, checked in enumerate(CHECKS, 1):
        word, detail, ends = result(checked, run)
        counts[word] += 1
        print(f"{word:<4}  {checked.title:<{width}}  {detail}".rstrip(), flush=True)
        if ends:
            print(f"The other {len(CHECKS) - position} checks need this one.")
            break


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    run, counts, interrupted = Run(command_line()), collections.Counter(), False
    for number in SIGNALS:
        signal.signal(number, interrupt)
    try:
        run_checks(run, counts)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        remains = run.remove()
    print(f"\n{counts['ok']} ok, {counts['FAIL']} FAIL, {counts['note']} note{', interrupted' if interrupted else ''}")
    if remains:
        print("\nIn the table remain:", *remains, sep="\n")
    return 130 if interrupted else 1 if counts["FAIL"] else 0


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the URL of the stack (output ApiUrl), with its stage if it has one")
    parser.add_argument("--tool", default="deregisterctl", help="the program deregisterctl [default: on the PATH]")
    parser.add_argument("--address", help="your address, as the function must see it")
    parser.add_argument("--registration-path", default="/register", help="RegistrationPath [default: %(default)s]")
    options = parser.parse_args()
    try:
        url = urllib.parse.urlsplit(options.url)
        is_base = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        is_base = False
    if not is_base or "@" in url.netloc or url.query or url.fragment:
        parser.error("the URL must be http or https, with a host, and without credentials, a query and a fragment")
    options.url = url._replace(path=url.path.rstrip("/"))
    if options.address is not None:
        try:
            ipaddress.ip_address(options.address)
        except ValueError:
            parser.error("--address must be an IPv4 or IPv6 address")
    if shutil.which(options.tool) is None:
        parser.error(f"there is no program {options.tool}: install it as in docs/deploy.md, or name it with --tool")
    return options


if __name__ == "__main__":
    sys.exit(main())
