"""Runs a command against moto, an emulator of AWS: `run.py cargo test ...`. Its status is that of the
command. It fails if the command sends no request to moto.

It answers one request at a time, because moto does not check a condition and write in one step.
"""

import logging
import os
import subprocess
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

moto = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()
answered = 0


def one_at_a_time(environ, start_response):
    global answered
    with turn:
        answered += 1
        return moto(environ, start_response)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{server.port}"

status = subprocess.call(sys.argv[1:])
print(f"moto answered {answered} requests")
sys.exit(status or answered == 0)
