"""How an object is written only as long as it is the one that was seen.

fsspec has a word for "only if there is none" (`mode="create"`) and none for this. Each server has a
condition for it, and each backend a way to name it.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Write(NamedTuple):
    """A call of a filesystem of fsspec."""

    method: str
    arguments: tuple[object, ...]
    options: Mapping[str, Any]


def _s3(filesystem: Any, path: str, content: bytes, tag: str) -> Write:  # noqa: ARG001
    return Write("pipe_file", (path, content), {"IfMatch": tag})


def _azure(filesystem: Any, path: str, content: bytes, tag: str) -> Write:  # noqa: ARG001
    # Imported here: it is of an extra, and was imported with the filesystem.
    from azure.core import MatchConditions

    condition = {"etag": tag, "match_condition": MatchConditions.IfNotModified}
    return Write("pipe_file", (path, content), {"overwrite": True, **condition})


def _google(filesystem: Any, path: str, content: bytes, tag: str) -> Write:
    """The request is made here, as gcsfs has no option for this condition."""
    bucket, _, name = path.partition("/")
    url = filesystem.base.replace("/storage/v1/", "/upload/storage/v1/") + "b/{}/o"
    # In two parts, as gcsfs itself writes: there are servers that heed conditions in no other upload.
    boundary = secrets.token_hex(16)
    parts = (json.dumps({"name": name}).encode(), "application/json"), (content, "application/octet-stream")
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode() + part + b"\r\n" for part, kind in parts
    )
    options = {
        "data": body + f"--{boundary}--".encode(),
        "headers": {"Content-Type": f"multipart/related; boundary={boundary}"},
        "uploadType": "multipart",
        "ifGenerationMatch": tag,
    }
    return Write("call", ("POST", url, bucket), options)


# By the scheme of the URL. The tag is an ETag; of Google's objects it is their generation.
OVER_WHAT_WAS_SEEN: Mapping[str, Callable[[Any, str, bytes, str], Write]] = {
    "s3": _s3,
    "az": _azure,
    "gs": _google,
}
