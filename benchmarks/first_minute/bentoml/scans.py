import csv
from pathlib import Path

import bentoml

# One after the other: calls of one client from several threads close each other's files.
scans = sorted(Path("scans").glob("*.png"))
with (
    open("answers.csv", "w", newline="") as file,
    bentoml.SyncHTTPClient("http://127.0.0.1:3000") as client,
):
    csv.writer(file).writerows((path.name, client.predict(file=path)["digit"]) for path in scans)
