"""`python -m training pass` and `… digit` fit a model and publish it; `… keys` makes keys to sign with.

Importing torch takes seconds. Nothing of it is imported here, so that Ctrl-C is answered from the start on,
and a process that only verifies an archive, which runs this file again, starts sooner.
"""

import signal

from service.starting import ended_at_once, interrupted_at_once, open_output

if __name__ == "__main__":
    interrupted_at_once(signal.SIGTERM, signal.SIGHUP)

import sys

from service import installing
from training.fitting.interruption import SIGNALS, Interrupted, interruptible


def main(words: list[str] | None = None, program: str | None = None) -> None:
    """`words`: those of the command line. `program`: how it was called, where it was not so."""
    interrupted_at_once(*SIGNALS)
    open_output()
    try:
        from training.commands import cli

        with interruptible():
            cli(words, prog_name=program)
    except Interrupted as interrupted:
        print("Error: interrupted", file=sys.stderr)
        sys.exit(interrupted.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("training", "service"):
            raise
        print(f"Error: {error.name} is missing; training needs {installing('train')}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    ended_at_once(main)
