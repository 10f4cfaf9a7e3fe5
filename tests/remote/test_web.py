"""Checkpoints on web servers, which can be read."""

import http.server
import threading

import aiohttp
import fsspec
import pytest

import initlib

LAYERS = [{"name": f"t/{i}", "shape": [300, 400], "initializer": "he_normal"} for i in range(4)]


class Files(http.server.BaseHTTPRequestHandler):
    """Gives parts of files, unless their names say otherwise."""

    def do_HEAD(self):
        if "slow" in self.path:
            self.server.hurry.wait(10)
        self.answer(b"")

    def do_GET(self):
        if "slow" in self.path:
            self.server.hurry.wait(10)
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        self.answer(path.read_bytes() if path.is_file() else b"")

    def answer(self, data):
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        status = 200 if path.is_file() else 403 if "secret" in path.name else 404
        size, asked = path.stat().st_size if status == 200 else 0, self.headers.get("Range")
        if status == 200 and asked and "whole" not in path.name:
            start, end = map(int, asked.removeprefix("bytes=").split("-"))
            data, status = data[start : end + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(size if self.command == "HEAD" else len(data)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.end_headers()
        self.server.sent += len(data)
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.folder, server.sent, server.hurry = tmp_path, 0, threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.hurry.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_reading(web, tmp_path):
    initlib.generate({"layers": LAYERS}, tmp_path / "m.h5")
    initlib.generate({"layers": LAYERS}, tmp_path / "d", max_shard_size="1MB")
    for name in ("m.h5", "d/model.safetensors.index.json"):
        assert initlib.verify(f"{web.address}/{name}").same
        found = initlib.diff(tmp_path / name, f"{web.address}/{name}?token=abc")
        assert (found.same, found.b) == (True, f"{web.address}/{name}?...")
    web.sent = 0
    assert initlib.manifest(f"{web.address}/m.h5").text
    assert web.sent < 1 << 20


def test_what_can_t_be_read(web, tmp_path):
    big = [{"name": "t", "shape": [1000, 1000], "initializer": "zeros"}]
    initlib.generate({"layers": big}, tmp_path / "whole.safetensors")
    with pytest.raises(initlib.StorageError, match=r"whole\.safetensors: cannot read: .*range"):
        initlib.verify(f"{web.address}/whole.safetensors")
    for query in ("", "?token=abc"):
        with pytest.raises(initlib.StorageError, match="the server answers 403") as caught:
            initlib.describe(f"{web.address}/secret.h5{query}")
        assert "abc" not in str(caught.value)
        with pytest.raises(initlib.RequestError, match="there is no such file"):
            initlib.describe(f"{web.address}/none.h5{query}")


def test_a_server_that_doesn_t_answer(web, monkeypatch):
    """It is not for want of the file."""
    patience = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=0.2)}}
    monkeypatch.setitem(fsspec.config.conf, "http", patience)
    for call in (initlib.describe, initlib.verify):
        with pytest.raises(initlib.StorageError, match=r"slow\.h5: cannot read: no answer in time"):
            call(f"{web.address}/slow.h5")
