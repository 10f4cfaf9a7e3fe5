"""A new file at an address, sent in parts, which nobody sees until it is whole."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from initlib._errors import RequestError
from initlib._remote._address import Address
from initlib._remote._failures import error_code

# Of a part in bytes: S3 takes none of less than 5 MiB, and no more than so many of them.
PART = 8 << 20
MOST_PARTS = 10_000
# Parts on their way at the same time, where the store takes them in any order.
PARALLEL = 4
# Seconds between looks at whether an interrupt came.
MOMENT = 0.1


def part_size(size: int) -> int:
    """Return how many bytes a part has of a file of so many; only the last one has fewer."""
    mebibytes = -(-size // (MOST_PARTS << 20))
    return max(PART, mebibytes << 20)


class Upload:
    """Sends a file in parts, and in the end lets it take its name, or takes it back.

    Attributes:
        address: its name.
    """

    parallel = 1

    def __init__(self, address: Address, size: int, check: Callable[[], None]) -> None:
        """Begin; nothing is sent yet.

        Args:
            address: its name.
            size: how many bytes there will be, at most.
            check: is called now and then, and may raise to end the wait.
        """
        self.address, self._check = address, check
        self._part = bytearray(part_size(size))
        self._filled = self._sent = 0
        self._running: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(self.parallel)

    def write(self, data: memoryview) -> None:
        """Take the next bytes.

        Raises:
            StorageError: a part couldn't be sent.
        """
        while data:
            room = len(self._part) - self._filled
            count = min(room, len(data))
            self._part[self._filled : self._filled + count] = data[:count]
            self._filled, data = self._filled + count, data[count:]
            if self._filled == len(self._part):
                self._send_part()

    def finish(self) -> None:
        """Send what is left, and wait until all has arrived.

        Raises:
            StorageError: a part couldn't be sent.
        """
        if self._filled or not self._sent:
            self._send_part()
        self._wait(0)
        self._pool.shutdown()
        self._part = bytearray()
        self.address.call("write", self._finish)

    def commit(self) -> None:
        """Let it take its name, which another file may have.

        Raises:
            StorageError: it can't.
        """
        self.address.call("write", self._commit)

    def discard(self, *, at_once: bool = False) -> None:
        """Take it back.

        Args:
            at_once: don't wait for what is on its way, since the process ends.

        Raises:
            StorageError: the store doesn't let go of what it has.
        """
        # A part that arrives after all is taken back would stay.
        self._pool.shutdown(wait=not at_once, cancel_futures=True)
        self.address.call("remove the unfinished upload", self._discard)

    def _send_part(self) -> None:
        if not self._sent:
            self.address.call("write", self._begin)
        self._wait(self.parallel - 1)
        data = bytes(memoryview(self._part)[: self._filled])
        self._filled, self._sent = 0, self._sent + 1
        self._running.append(self._pool.submit(self._sending, self._sent, data))

    def _sending(self, number: int, data: bytes) -> None:
        self.address.call("write", lambda: self._send(number, data))

    def _wait(self, most: int) -> None:
        """Wait until no more than so many parts are on their way."""
        while len(self._running) > most:
            while not wait([self._running[0]], MOMENT).done:
                self._check()
            self._running.popleft().result()
        self._check()

    def _begin(self) -> None:
        """Tell the store that something comes."""
        raise NotImplementedError

    def _send(self, number: int, data: bytes) -> None:
        """Send a part; they are numbered from 1."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Send what the file system still holds."""

    def _commit(self) -> None:
        """Let the file take its name."""
        raise NotImplementedError

    def _discard(self) -> None:
        """Take back what was sent; again does nothing."""
        raise NotImplementedError


class S3Upload(Upload):
    """A multipart upload of S3's; parts go side by side."""

    parallel = PARALLEL

    def _begin(self) -> None:
        answer = self._call("create_multipart_upload")
        self._upload: str = answer["UploadId"]
        # Where fsspec's configuration asks for checksums, the end has to name each part's again.
        self._named = ("ETag", f"Checksum{answer.get('ChecksumAlgorithm')}")
        self._parts: dict[int, dict[str, str]] = {}

    def _send(self, number: int, data: bytes) -> None:
        more = {"UploadId": self._upload, "PartNumber": number, "Body": data}
        answer = self._call("upload_part", **more)
        self._parts[number] = {name: answer[name] for name in self._named if name in answer}

    def _commit(self) -> None:
        parts = [{"PartNumber": i, **self._parts[i]} for i in sorted(self._parts)]
        try:
            self._call(
                "complete_multipart_upload",
                UploadId=self._upload,
                MultipartUpload={"Parts": parts},
            )
        except FileNotFoundError as error:
            # The answer to the first try may have been lost.
            if error_code(error) != "NoSuchUpload" or not self._is_there(len(parts)):
                raise

    def _is_there(self, parts: int) -> bool:
        """Tell whether the file has its name already."""
        tag = str(self._call("head_object").get("ETag", "")).strip('"')
        return tag.endswith(f"-{parts}")

    def _discard(self) -> None:
        if hasattr(self, "_upload"):
            try:
                self._call("abort_multipart_upload", UploadId=self._upload)
            except FileNotFoundError:
                return

    def _call(self, method: str, **more: Any) -> Any:
        system = self.address.system
        bucket, key, _ = system.split_path(self.address.key)
        return system.call_s3(method, Bucket=bucket, Key=key, **more)


class FileUpload(Upload):
    """A file of fsspec's that can be committed or discarded, as those of Google's storage can."""

    def _begin(self) -> None:
        self._file = self._opened(self.address, autocommit=False)

    def _opened(self, address: Address, **more: Any) -> Any:
        """Open a file for writing, which sends what it is given at once."""
        return address.system.open(address.key, "wb", block_size=len(self._part), **more)

    def _send(self, number: int, data: bytes) -> None:
        self._file.write(data)

    def _finish(self) -> None:
        self._file.close()

    def _commit(self) -> None:
        self._file.commit()

    def _discard(self) -> None:
        if hasattr(self, "_file"):
            # Otherwise it would be sent when it is collected.
            self._file.closed = True
            self._file.discard()
            del self._file


class GoogleUpload(FileUpload):
    """A resumable upload of Google's."""

    def _opened(self, address: Address, **more: Any) -> Any:
        file = super()._opened(address, **more)
        if "zonal" in type(file).__module__:
            # Otherwise it would be made when it is collected.
            file.closed = True
            problem = "in zonal buckets of Google's files are seen before they are whole"
            raise RequestError(f"{address}: {problem}; choose another bucket, and copy it")
        return file


class MovedUpload(FileUpload):
    """A file with a hidden name beside its own, for file systems that know nothing better."""

    def __init__(self, address: Address, size: int, check: Callable[[], None]) -> None:
        super().__init__(address, size, check)
        # Nothing keeps two runs apart.
        self._hidden = address.with_name(f".initgen-{address.name}-{secrets.token_hex(4)}.tmp")

    def _begin(self) -> None:
        self._file = self._opened(self._hidden)

    def _commit(self) -> None:
        system, old, new = self.address.system, self._hidden.key, self.address.key
        from fsspec import AbstractFileSystem

        # The usual way to move takes brackets in names for patterns.
        if type(system).mv is not AbstractFileSystem.mv:
            system.mv(old, new)
        else:
            system.cp_file(old, new)
            system.rm_file(old)

    def _discard(self) -> None:
        if hasattr(self, "_file"):
            with suppress(AttributeError, ValueError):
                self._file.closed = True
            self._hidden.remove()


_KINDS = {"s3": S3Upload, "s3a": S3Upload, "gs": GoogleUpload, "gcs": GoogleUpload}


def upload(address: Address, size: int, check: Callable[[], None]) -> Upload:
    """Begin to send a file; nothing goes to the store yet.

    Args:
        address: its name.
        size: how many bytes there will be, at most.
        check: is called now and then, and may raise to end a wait.
    """
    return _KINDS.get(address.protocol, MovedUpload)(address, size, check)
