#!/usr/bin/env bash
# fsspec 2026.9.0: mode="create", "raise an error if the file is there", of put_file and pipe_file.
#
# Guess: FileExistsError on every filesystem that takes the argument, and the old bytes stay.
# Seen: put_file overwrites without a word on the local filesystem, whose pipe_file raises; pipe_file does through
# simplecache, whose put_file raises. The argument goes into **kwargs and is lost. memory keeps it both times.
# Why it matters: it is how two jobs that write the same version are kept apart. A publisher that is tested on memory or S3
# loses a version as soon as the store is a folder, or the address begins with simplecache::.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check fsspec==2026.9.0 || exit 2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import pathlib
import sys

import fsspec

folder = pathlib.Path(sys.argv[1])
source = folder / "source"
source.write_bytes(b"new")


def create(filesystem, path, call):
    filesystem.pipe_file(path, b"old")
    try:
        if call == "put_file":
            filesystem.put_file(str(source), path, mode="create")
        else:
            filesystem.pipe_file(path, b"new", mode="create")
    except FileExistsError:
        return f"FileExistsError, {filesystem.cat_file(path).decode()} bytes"
    return f"nothing raised, {filesystem.cat_file(path).decode()} bytes"


memory = fsspec.filesystem("memory")
filesystems = {
    "memory": (memory, "/store/model"),
    "local": (fsspec.filesystem("local"), str(folder / "model")),
    "simplecache": (fsspec.filesystem("simplecache", fs=memory, cache_storage=str(folder / "cache")), "/store/cached"),
}
seen = {}
for name, (filesystem, path) in filesystems.items():
    for call in ("put_file", "pipe_file"):
        seen[name, call] = create(filesystem, path, call)
        print(f"{name:12} {call:10} {seen[name, call]}")
kept, lost = "FileExistsError, old bytes", "nothing raised, new bytes"
sys.exit(0 if list(seen.values()) == [kept, kept, lost, kept, kept, lost] else 1)
PYTHON
