"""`abacus COMMAND …`: hands over to the command, of which alone it imports anything."""

import sys

from service.starting import (
    ended_at_once,
    interrupted_at_once,
    interrupted_in_order,
    open_output,
    stop_at_once,
    will_serve,
)

if __name__ == "__main__":
    interrupted_at_once()

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from service import __version__

Words = list[str]


class Command(NamedTuple):
    """`run` is given how it was called, such as `abacus serve`, and the words behind that."""

    summary: str
    run: Callable[[str, Words], None]


def serve(program: str, words: Words) -> None:
    if will_serve(words):
        stop_at_once()
    from service.__main__ import cli

    cli(words, prog_name=program)


def predict(program: str, words: Words) -> None:
    from abacus_cli.predict_command import cli

    cli(words, prog_name=program)


def models(program: str, words: Words) -> None:
    from service.commands import cli

    interrupted_in_order()
    cli(words, prog_name=program)


def keys(program: str, words: Words) -> None:
    run(program, words, KEYS)


def api_key(program: str, words: Words) -> None:
    from service.__main__ import key
    from service.terminal import command_line

    cli = command_line()
    cli.command()(key)
    interrupted_in_order()
    cli(words, prog_name=program)


def signing_keys(_: str, words: Words) -> None:
    train("abacus train", ["keys", *words])


def train(program: str, words: Words) -> None:
    from training.__main__ import main

    main(words, program)


COMMANDS = {
    "serve": Command("Serve the live versions of the published models over HTTP.", serve),
    "predict": Command("Ask a running service about many pictures or rows, into a file.", predict),
    "models": Command("See, verify, sign and choose what is published and what is live.", models),
    "train": Command("Fit a model, or take one that you have, and publish it.", train),
    "keys": Command("Make keys: for callers, and to sign models with.", keys),
}
KEYS = {
    "api": Command("Make an API key, and add its hash to a file of keys.", api_key),
    "signing": Command("Make a pair of keys to sign models with.", signing_keys),
}


def run(program: str, words: Words, commands: dict[str, Command]) -> None:
    """The command that the first word names, or what there is."""
    name, rest = (words[0], words[1:]) if words else ("", [])
    if command := commands.get(name):
        command.run(f"{program} {name}", rest)
    elif name in ("--help", "-h", "help"):
        print(overview(program, commands))
    elif not name:
        print(overview(program, commands), file=sys.stderr)
        sys.exit(2)
    else:
        from difflib import get_close_matches

        nearest = get_close_matches(name, commands, 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else f". There are: {', '.join(commands)}."
        print(f"Error: {program} has no command {name!r:.80}{hint}", file=sys.stderr)
        sys.exit(2)


def overview(program: str, commands: dict[str, Command]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join([f"Usage: {program} COMMAND …\n", *lines, f"\n{program} COMMAND --help says more."])


def main() -> None:
    interrupted_at_once()
    if not sys.stderr:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - to the end
    open_output()
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"abacus {__version__}")
    else:
        ended_at_once(partial(run, "abacus", words, COMMANDS))


if __name__ == "__main__":
    main()
