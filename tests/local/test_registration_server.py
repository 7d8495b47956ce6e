"""An authorization server behind the front of the local run. It answers GET and PUT of a client."""

import http.client
import http.server
import pathlib
import re
import subprocess
import threading

import pytest

LOCAL = pathlib.Path(__file__).parents[2] / "target/debug/examples/local"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with what it received."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        lines = "".join(f"{name.lower()}: {value}\n" for name, value in self.headers.items())
        content = f"{self.command} {self.path}\n{lines}\n{body.decode()}".encode()
        # A status that neither the front nor the function uses.
        self.send_response(299)
        self.send_header("x-server", "authorization")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_PUT = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def send():
    """Sends a request to the front. The paths are /v1/reg here and /auth/clients at the server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/auth/clients"
    command = [LOCAL, "--port", "0", "--database-port", "0", "--empty", "--registration-server", url]
    environment = {"REGISTRATION_PATH": "/reg", "BASE_PATH": "/v1"}
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        ready = (re.match(r"listening on http://(\S+)", line) for line in run.stdout)
        host = next(found[1] for found in ready if found)

        def request(method, path, headers=(), body=None):
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read().decode()

        request.server = f"127.0.0.1:{server.server_port}"
        yield request
    finally:
        run.terminate()
        run.wait()
        server.shutdown()


@pytest.mark.parametrize("prefix", ["/reg", "/v1/reg"])
def test_one_url_has_three_methods(send, prefix):
    for method in ["GET", "PUT"]:
        answer, text = send(method, f"{prefix}/a-client", [("authorization", "Bearer token")], b'{"a": 1}')
        assert (answer.status, answer.headers["x-server"]) == (299, "authorization")
        line, *lines = text.split("\n")
        assert line == f"{method} /auth/clients/a-client"
        assert "authorization: Bearer token" in lines and '{"a": 1}' in lines
        assert f"host: {send.server}" in lines
    answer, text = send("DELETE", f"{prefix}/a-client", [("authorization", "Bearer token")])
    assert (answer.status, answer.headers["x-server"]) == (401, None)
    assert "invalid_token" in text


@pytest.mark.parametrize("rest", ["a%2Fb", "https:%2F%2Fclient.example%2Fid", "a/b", "a?x=1&y=%2F", "%C3%A4", "..a", "a.."])
def test_the_rest_of_the_path_and_the_query_arrive_as_they_are(send, rest):
    answer, text = send("GET", f"/reg/{rest}")
    assert answer.status == 299
    assert text.split("\n")[0] == f"GET /auth/clients/{rest}"


@pytest.mark.parametrize(
    "path",
    ["/reg", "/reg/", "/register/a", "/regx/a", "/v1/v1/reg/a", "/", "/reg/..", "/reg/../admin", "/reg/%2e%2e/admin"]
    + ["/reg/a/..%2fadmin", "/reg/a%2F..", "/reg/./a", "/reg/..%5cadmin", "/reg/%ff"],
)
def test_no_other_path_reaches_the_server(send, path):
    answer, _ = send("GET", path)
    assert (answer.status in (404, 405), answer.headers["x-server"]) == (True, None)


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
def test_no_other_method_reaches_the_server(send, method):
    answer, _ = send(method, "/reg/a")
    assert (answer.status, answer.headers["x-server"]) == (405, None)


def test_fields_of_the_connection_stay_behind(send):
    fields = [("connection", "x-named, close"), ("x-named", "1"), ("te", "trailers"), ("upgrade", "h2c"), ("x-other", "2")]
    _, text = send("GET", "/reg/a", fields)
    names = {line.split(":")[0] for line in text.split("\n")[1:] if ":" in line}
    assert "x-other" in names and names.isdisjoint({"x-named", "te", "upgrade", "keep-alive"})


@pytest.mark.parametrize("url", ["https://auth.example.com", "auth.example.com", "http://", "http://a/b?c", ""])
def test_a_url_that_is_malformed_or_https_is_refused(url):
    run = subprocess.run([LOCAL, "--registration-server", url], capture_output=True, text=True)
    assert run.returncode == 2 and "--registration-server" in run.stderr
