"""Takes the rows of a table to an output, answered by nobody, and prints the most memory that it had."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from abacus_cli.bulk import Bulk
from abacus_cli.inputs import inputs_of
from abacus_cli.outputs import output_to
from abacus_client import Manifest


def main(manifest: str, table: str, out: Path, held: bool) -> None:
    inputs = inputs_of(Manifest.model_validate_json(manifest), [table])
    if held:
        inputs = inputs._replace(asked=list(inputs.asked))
    try:
        Bulk("pass", inputs, output_to(out, inputs.key), _answers).run(out)
    finally:
        status = Path("/proc/self/status").read_text()
        print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def _answers(given: Iterator[Any]) -> Iterator[Mapping[str, Any] | str]:
    for row in given:
        wrong = row["hours"] < 0
        yield "negative" if wrong else {"probability": 0.5, "passed": True, "model": "pass", "version": 1}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "held" in sys.argv)
