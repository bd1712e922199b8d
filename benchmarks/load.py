"""wrk as the load generator: one thread, N connections, one body posted over and over."""

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

from pydantic import BaseModel

SCRIPT = Path(__file__).with_name("post.lua")
# A connection is a file; the usual soft limit of 1,024 is too low for a thousand of them.
OPEN_FILES = 4096


class LoadFailed(Exception):
    """wrk is missing, or said nothing that can be read."""


class Load(BaseModel):
    """What one run of wrk saw; latencies in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    status: int
    connect: int
    read: int
    write: int
    timeout: int

    @property
    def per_second(self) -> float:
        """Good answers per second: a server that refuses quickly is not quick."""
        return (self.requests - self.status) / self.seconds

    @property
    def errors(self) -> int:
        """Answers other than 2xx and 3xx, and requests without an answer."""
        return self.status + self.connect + self.read + self.write + self.timeout


def ensure_wrk() -> None:
    """Install Debian's package where wrk is missing and that is possible. Raises LoadFailed."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-qq", "-y", "wrk"], check=False)
    if not shutil.which("wrk"):
        raise LoadFailed(
            "wrk is not installed: https://github.com/wg/wrk, or Debian's package of that name"
        )


def run_wrk(url: str, body: Path, fields: dict[str, str], connections: int, seconds: int) -> Load:
    """Post `body`, of which `fields` speak, to `url` over `connections` for so long. Raises LoadFailed."""
    named = [part for field in fields.items() for part in field]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT)]
    result = subprocess.run(
        [*command, url, "--", str(body), *named],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        preexec_fn=_allow_many_files,
    )
    return parse(result.stdout + result.stderr)


def parse(output: str) -> Load:
    """The line of JSON among what wrk printed. Raises LoadFailed."""
    for line in output.splitlines():
        if line.startswith("{"):
            return Load.model_validate(json.loads(line))
    raise LoadFailed(f"wrk printed no figures: {output.strip()[:300]}")


def _allow_many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
