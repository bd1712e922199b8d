"""Clients that generators make of `/openapi.json` compile and answer; what is not installed is skipped."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.client.conftest import SEVEN
from tests.conftest import ROOT
from tests.environments import python_with

PYTHON = """
import sys
sys.path.insert(0, ".")
from made import Client
from made.api.predict import predict_digit, predict_pass
from made.models import PredictPassJsonBodyType0
from made.types import File
client = Client(base_url=sys.argv[1])
passed = predict_pass.sync(client=client, body=PredictPassJsonBodyType0(hours=4.0), x_request_id="mine")
with open(sys.argv[2], "rb") as picture:
    digit = predict_digit.sync(client=client, body=File(payload=picture.read()))
print(passed.passed, digit.digit)
"""

TYPESCRIPT = """
import { readFileSync } from "node:fs";
import { Configuration, PredictApi } from "./js/index.js";
const [, , basePath, picture] = process.argv;
const api = new PredictApi(new Configuration({ basePath }));
const passed = await api.predictPass({ predictPassRequest: { hours: 4 }, xRequestID: "mine" });
const digit = await api.predictDigit({ file: [new Blob([readFileSync(picture)])] });
console.log(passed.passed, digit.digit);
"""
ASSISTANT = """
import asyncio, base64, sys
from fastmcp import Client
from served import mcp
async def ask():
    picture = base64.b64encode(open(sys.argv[1], "rb").read()).decode()
    async with Client(mcp) as client:
        passed = await client.call_tool("predict_pass", {"body": {"hours": 4}})
        digit = await client.call_tool("predict_digit", {"picturedocument": {"image": picture}})
    print(passed.structured_content["result"]["passed"], digit.structured_content["result"]["digit"])
asyncio.run(ask())
"""
COMPILER = {
    "target": "es2022",
    "module": "commonjs",
    "lib": ["es2022", "dom"],
    "outDir": "js",
    "strict": True,
}


@pytest.fixture
def document(address: str, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_bytes(httpx.get(f"{address}/openapi.json").content)
    return file


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(*programs: str) -> Sequence[str]:
    """Where they are. Skips the test where one is not installed."""
    found = [shutil.which(program) for program in programs]
    for program, path in zip(programs, found, strict=True):
        if path is None:
            pytest.skip(f"{program} is not installed")
    return [path for path in found if path]


@pytest.mark.clients
def test_openapi_python_client(address: str, document: Path, tmp_path: Path) -> None:
    (generator,) = installed("openapi-python-client")
    options = ("--path", document, "--output-path", tmp_path / "made", "--meta", "none")
    told = run(tmp_path, generator, "generate", *options)
    assert "will not be generated" not in told
    python = Path(generator).parent / "python"  # which has what the client needs
    run(tmp_path, python, "-W", "ignore", "-m", "compileall", "-q", "made")
    assert run(tmp_path, python, "-W", "ignore", "-c", PYTHON, address, SEVEN) == "True 7\n"


@pytest.mark.clients
def test_openapi_generator(address: str, document: Path, tmp_path: Path) -> None:
    generator, compiler, node = installed("openapi-generator-cli", "tsc", "node")
    run(tmp_path, generator, "generate", "-g", "typescript-fetch", "-i", document, "-o", tmp_path)
    settings = {"compilerOptions": COMPILER, "include": ["*.ts", "apis", "models"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    run(tmp_path, compiler, "-p", tmp_path)
    (tmp_path / "ask.mjs").write_text(TYPESCRIPT)
    assert run(tmp_path, node, "ask.mjs", address, SEVEN) == "true 7\n"


@pytest.mark.clients
def test_fastmcp(address: str, tmp_path: Path) -> None:
    """As docs/client.md makes tools of the models."""
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(import httpx2.+?)```", page, re.S)
    (tmp_path / "served.py").write_text(block.replace("http://127.0.0.1:8000", address))
    python = python_with(tmp_path / "environment", "fastmcp==4.2.3")
    assert run(tmp_path, python, "-W", "ignore", "-c", ASSISTANT, SEVEN) == "True 7\n"
