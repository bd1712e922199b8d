"""Services that read one store, behind a load balancer as deploy/ and docs/ give it."""

import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.conftest import ROOT, Served, free_ports, metric_sum, served, wait_for

HAPROXY = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")
HAPROXY_SERVERS = re.compile(r"(^    server \w+ 127.0.0.1:\d+\n)+", re.M)
NGINX_SERVERS = re.compile(r"(^    server 127.0.0.1:\d+(.*;\n))+", re.M)


class Balancer(NamedTuple):
    """`client` asks services through it; `watched` is what HAProxy says of itself."""

    client: httpx.Client
    watched: httpx.Client | None


Balancing = Callable[[Sequence[int], Path], AbstractContextManager[Balancer]]


@contextmanager
def haproxy(ports: Sequence[int], folder: Path, text: str = HAPROXY) -> Iterator[Balancer]:
    """deploy/haproxy/haproxy.cfg, with these ports for those in it."""
    front, watching = free_ports(2)
    servers = "".join(f"    server {_name_of(port)} 127.0.0.1:{port}\n" for port in ports)
    text = HAPROXY_SERVERS.sub(servers, text).replace("127.0.0.1:8080", f"127.0.0.1:{front}")
    text = text.replace("127.0.0.1:8405", f"127.0.0.1:{watching}")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    with (
        _running(["haproxy", "-db", "-f", str(file)], folder / "haproxy.log", front),
        httpx.Client(base_url=f"http://127.0.0.1:{front}", timeout=60) as client,
        httpx.Client(base_url=f"http://127.0.0.1:{watching}", timeout=60) as watched,
    ):
        yield Balancer(client, watched)


@contextmanager
def nginx(ports: Sequence[int], folder: Path) -> Iterator[Balancer]:
    """The server of docs/deploying.md before the upstream of docs/scale.md, with these ports."""
    (front,) = free_ports(1)
    server = _nginx_block("deploying.md", "server").replace("listen 80;", f"listen 127.0.0.1:{front};")
    upstream = _nginx_block("scale.md", "upstream")
    found = NGINX_SERVERS.search(upstream)
    assert found
    servers = "".join(f"    server 127.0.0.1:{port}{found[2]}" for port in ports)
    with (
        running_nginx(upstream.replace(found[0], servers) + server, front, folder),
        httpx.Client(base_url=f"http://127.0.0.1:{front}/abacus", timeout=60) as client,
    ):
        yield Balancer(client, None)


def running_nginx(http: str, port: int, folder: Path) -> AbstractContextManager[None]:
    """One that has these blocks, writes below `folder` alone, and takes connections at `port`."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    head = f"daemon off; master_process off; pid {folder / 'pid'}; error_log stderr; events {{}}\n"
    file = folder / "nginx.conf"
    file.write_text(f"{head} http {{ access_log off;\n{paths}{http}}}")
    command = ["nginx", "-p", str(folder), "-c", str(file), "-e", "stderr"]
    return _running(command, folder / "nginx.log", port)


def _name_of(port: int) -> str:
    """What HAProxy calls the service there."""
    return f"at{port}"


def watched(balancer: Balancer, metric: str, port: int, **labels: str) -> float:
    """What HAProxy says of the service there."""
    assert balancer.watched
    named = {"proxy": "services", "server": _name_of(port), **labels}
    written = ",".join(f'{label}="{value}"' for label, value in named.items())
    return metric_sum(balancer.watched.get("/metrics").text, f"haproxy_server_{metric}{{{written}")


def is_installed(balancing: Balancing) -> bool:
    return shutil.which(balancing.__name__) is not None


def _nginx_block(page: str, directive: str) -> str:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```nginx\n(.+?)^```", text, re.M | re.S))
    (found,) = re.findall(rf"^{directive} .*?^}}\n", blocks, re.M | re.S)
    return str(found)


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            wait_for(lambda: process.poll() is not None or _is_open(port))
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.kill()
            process.wait(timeout=30)


def _is_open(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def start(stack: ExitStack, ports: Sequence[int], *options: str) -> list[Served]:
    """One service on each port, started together; they are ready."""

    def one(port: int) -> Served:
        return stack.enter_context(served("--port", str(port), *options))

    with ThreadPoolExecutor(len(ports)) as pool:
        return list(pool.map(one, ports))
