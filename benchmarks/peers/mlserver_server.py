"""MLServer. Started as `python mlserver_server.py PORT`.

It takes no multipart: the PNG comes as base64 in a BYTES tensor of the Open Inference Protocol. gRPC is at
the next port.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from digits import BEST

if __name__ == "__main__":
    port = int(sys.argv[1])
    folder = Path(tempfile.mkdtemp())
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    model = {"name": "digit", "implementation": "mlserver_runtime.Digit"}
    if BEST:
        settings |= {"parallel_workers": 0, "debug": False, "metrics_endpoint": None}
        model |= {"max_batch_size": 32, "max_batch_time": 0.001}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    program = str(Path(sys.executable).parent / "mlserver")
    os.execv(program, [program, "start", str(folder)])
