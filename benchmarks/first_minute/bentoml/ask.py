from pathlib import Path

import bentoml

with bentoml.SyncHTTPClient("http://127.0.0.1:3000") as client:
    print(client.predict(file=Path("7.png"))["digit"])
