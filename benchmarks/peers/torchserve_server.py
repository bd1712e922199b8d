"""TorchServe, archived upstream in 2025. Started as `python torchserve_server.py PORT`. Needs Java 17."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from digits import BEST

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent


def pack(store: Path) -> None:
    """The checkpoint is loaded by path: the archive holds only the handler."""
    command = [str(PROGRAMS / "torch-model-archiver"), "--model-name", "digit", "--version", "1"]
    files = ["--handler", str(HERE / "torchserve_handler.py"), "--extra-files", str(HERE / "digits.py")]
    subprocess.run([*command, *files, "--export-path", str(store)], check=True)


def configure(folder: Path, port: int) -> Path:
    batching = {"batchSize": 16 if BEST else 1, "maxBatchDelay": 1 if BEST else 100}
    models = {"digit": {"1.0": {"defaultVersion": True, "marName": "digit.mar", **batching}}}
    models["digit"]["1.0"] |= {"minWorkers": 1, "maxWorkers": 1, "responseTimeout": 60}
    lines = {
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{port + 1}",
        "metrics_address": f"http://127.0.0.1:{port + 2}",
        "grpc_inference_port": port + 3,
        "grpc_management_port": port + 4,
        "model_store": folder,
        "disable_token_authorization": "true",
        "job_queue_size": 2000,
        "model_snapshot": json.dumps({"name": "s", "modelCount": 1, "models": models}),
    }
    path = folder / "config.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    return path


if __name__ == "__main__":
    if not shutil.which("java"):
        sys.exit("TorchServe needs Java 17, and there is no java here")
    folder = Path(tempfile.mkdtemp())
    pack(folder)
    config = configure(folder, int(sys.argv[1]))
    os.environ["LOG_LOCATION"] = os.environ["METRICS_LOCATION"] = str(folder / "logs")
    os.environ["PATH"] = f"{PROGRAMS}:{os.environ['PATH']}"
    os.chdir(folder)
    command = [str(PROGRAMS / "torchserve"), "--foreground", "--ncs", "--disable-token-auth"]
    os.execv(command[0], [*command, "--model-store", str(folder), "--ts-config", str(config)])
