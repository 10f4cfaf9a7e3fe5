"""A store of objects on loopback that speaks S3, and fails or is slow where a test wants it."""

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

# What a user has in the environment.
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "not-to-be-shown",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Of botocore's own, for each of s3fs's.
    "AWS_MAX_ATTEMPTS": "2",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
# Everything at once: what streams, small ones, what is all the same, what is made whole.
LAYERS = [
    {"name": "a", "shape": [700, 500], "initializer": "he_normal"},
    *({"name": f"h/{i}", "shape": [30 + i], "initializer": "random_normal"} for i in range(9)),
    {"name": "zeros", "shape": [600, 1000], "initializer": "zeros"},
    {"name": "after", "shape": [5], "dtype": "float64", "initializer": "ones"},
    {"name": "q", "shape": [40, 40], "initializer": "orthogonal"},
    {"name": "r", "shape": [30, 30], "initializer": "orthogonal"},
    {"name": "half", "shape": [900, 999], "dtype": "bfloat16", "initializer": "he_uniform"},
]
SHARDS = {"max_shard_size": "2MB"}
ERRORS = {
    400: ("400 Bad Request", "AuthorizationHeaderMalformed", "It is in another region."),
    403: ("403 Forbidden", "AccessDenied", "Access Denied"),
    500: ("500 Internal Server Error", "InternalError", "We encountered an internal error."),
    503: ("503 Service Unavailable", "SlowDown", "Please reduce your request rate."),
}


@dataclass
class Fault:
    """What happens to some requests instead of being answered.

    Attributes:
        what: a status, "closed" (no answer), "lost" (done, but no answer), or "slow".
        method: of the requests.
        part: of their paths and queries.
        times: how many of them; the others are answered.
        after: how many are answered before.
    """

    what: int | str
    method: str = ""
    part: str = ""
    times: float = float("inf")
    after: int = 0
    met: int = 0

    def meets(self, method, target):
        if self.method not in ("", method) or self.part not in target:
            return False
        self.met += 1
        return self.after < self.met <= self.after + self.times


@dataclass
class Store:
    """A server, and what is to go wrong there."""

    endpoint: str = ""
    faults: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    answered: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    moto: DomainDispatcherApplication = None

    def __call__(self, environ, start_response):
        method = environ["REQUEST_METHOD"]
        target = unquote(environ["PATH_INFO"]) + "?" + environ.get("QUERY_STRING", "")
        with self.lock:
            self.requests.append((method, target, environ.get("HTTP_RANGE")))
            met = [fault.what for fault in self.faults if fault.meets(method, target)]
        if "slow" in met:
            time.sleep(0.3)
        if "lost" in met:
            b"".join(self.moto(environ, lambda *_: lambda _: None))
        if "lost" in met or "closed" in met:
            raise ConnectionAbortedError
        status = next((what for what in met if isinstance(what, int)), None)
        if status is None:
            return self.moto(environ, start_response)
        line, code, message = ERRORS[status]
        text = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
        start_response(line, [("Content-Type", "application/xml"), ("Connection", "close")])
        return [b"" if method == "HEAD" else text.encode()]

    @property
    def environment(self):
        """What a user has in the environment to use this store."""
        return {**SETTINGS, "AWS_ENDPOINT_URL": self.endpoint}

    def count(self, method, part=""):
        return sum(m == method and part in target for m, target, _ in self.requests)


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass

    def connection_dropped(self, error, environ=None):
        self.close_connection = True


@contextmanager
def serving():
    """Give a store that answers until this ends."""
    store = Store(moto=DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=Quiet)
    store.endpoint = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
