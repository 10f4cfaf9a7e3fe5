"""Strange checkpoints, and what reading one of them ends in."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from initlib._checkpoint import open_checkpoint
from initlib._errors import StorageError

ONES = np.ones(100, np.float32)


def refused(path, error=StorageError, named=None):
    with pytest.raises(error) as caught:
        open_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{named or path}: ")
    assert "\n" not in message
    assert len(message) < 500 + len(str(path))
    return message


def weights(compression=None):
    """The bytes of an HDF5 file."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.create_dataset("w", data=ONES, compression=compression)
    return file.getvalue()


def archive(path, method=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name.replace("_", "."), data)
