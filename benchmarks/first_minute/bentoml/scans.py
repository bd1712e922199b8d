import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bentoml

client = bentoml.SyncHTTPClient("http://127.0.0.1:3000", timeout=60)


def ask(path: Path) -> tuple[str, int]:
    return path.name, client.predict(file=path)["digit"]


with open("answers.csv", "w", newline="") as file, ThreadPoolExecutor(8) as pool:
    csv.writer(file).writerows(pool.map(ask, sorted(Path("scans").glob("*.png"))))
