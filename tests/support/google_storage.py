"""Google's storage on loopback, which refuses requests or fails where a test wants it."""

import http.server
import json
import logging
import threading
import time
from contextlib import contextmanager
from functools import partial
from urllib.parse import parse_qs, unquote, urlparse

from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage


class Handler(RequestHandler):
    def parse_request(self):
        if not super().parse_request():
            return False
        store = self.server.store
        store.requests.append((self.command, unquote(self.path), self.headers.get("Content-Range")))
        target = f"{unquote(self.path)} {self.headers.get('Content-Range')}"
        met = [fault.what for fault in store.faults if fault.meets(self.command, target)]
        if "slow" in met:
            time.sleep(0.3)
        elif met:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            error = {"code": met[0], "message": "as the test wants it"}
            self.answer(met[0], json.dumps({"error": error}).encode())
        return not met or "slow" in met

    def do_GET(self):
        with self.server.lock:
            super().do_GET()

    def do_POST(self):
        with self.server.lock:
            super().do_POST()

    def do_DELETE(self):
        """An upload can be taken back, which the emulator doesn't know."""
        upload = parse_qs(urlparse(self.path).query).get("upload_id")
        with self.server.lock:
            if upload is None:
                super().do_DELETE()
                return
            self.storage.delete_resumable_file_obj(upload[0])
            self.answer(499)

    def answer(self, status, data=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """It answers one request at a time, but waits for none that doesn't come."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.lock = threading.Lock()

    def handle_error(self, *_):
        """Clients may go before they have their answer."""


class Google:
    """A server, what is to go wrong there, and what was asked for."""

    def __init__(self, server, storage):
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        self._storage = storage
        self.begin()

    def begin(self):
        """Make an empty bucket, and let nothing fail."""
        self._storage.wipe()
        self.faults, self.requests, self.bucket = [], [], "bucket-1"
        create_bucket(self.bucket, self._storage)

    def contents(self):
        """What anybody sees in the bucket; no upload is left unfinished."""
        assert not self._storage.resumable
        names = self._storage.objects.get(self.bucket, {})
        return {name: self._storage.get_file(self.bucket, name) for name in names}

    def count(self, method, part=""):
        return sum(m == method and part in target for m, target, _ in self.requests)


@contextmanager
def serving_google():
    """Give a store that answers until this ends."""
    # What it logs is about requests that tests make wrong on purpose.
    for name in ("gcp_storage_emulator", "api"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    storage = Storage(use_memory_fs=True)
    server = Server(("127.0.0.1", 0), partial(Handler, storage))
    server.store = Google(server, storage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
