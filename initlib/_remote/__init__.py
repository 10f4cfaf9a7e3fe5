"""Files that are no local ones: objects in buckets, and whatever else fsspec has addresses for."""

from initlib._remote._address import Address, Place, named, path_of
from initlib._remote._reading import Remote
from initlib._remote._uploading import Upload, upload

__all__ = ["Address", "Place", "Remote", "Upload", "named", "path_of", "upload"]
