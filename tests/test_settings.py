"""Settings: one source, the same in options, environment and page."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from service import __version__
from service.__main__ import cli
from service.settings import Settings, SettingsUnusable, read_settings, unknown_variables, variable
from tests.conftest import ROOT, served

PLAIN = {"COLUMNS": "80", "NO_COLOR": "1"}  # as where there is no terminal
FIELDS = Settings.model_fields
PATHS = [name for name, kind in get_type_hints(Settings).items() if Path in (kind, *get_args(kind))]


def test_the_environment_is_read_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "9000")
    monkeypatch.setenv("SERVICE_DEVICE", "cuda:1")
    assert (Settings().port, Settings().device) == (9000, "cuda:1")
    assert Settings(port=1).port == 1  # an option wins
    monkeypatch.setenv("SERVICE_DEVICE", "cuda:one")
    with pytest.raises(ValidationError, match="device"):
        Settings()


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`python -m service`, which is not to get as far as serving."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**PLAIN, "PATH": "", **environment},
    )


@pytest.mark.parametrize(
    ("options", "environment", "said"),
    [
        (("--device", "gpu"), {}, "--device gpu: must be auto, cpu, cuda or cuda:N"),
        (("--port", "99999"), {}, "--port 99999: input should be less than or equal to 65535"),
        (("--open-paths", "metrics"), {}, "must be paths that begin with a slash"),
        (
            ("--cors-origins", "https://example.org/page"),
            {},
            "without a path, not 'https://example.org/page'",
        ),
        (("--root-path", "abacus"), {}, "--root-path abacus: must be"),
        (("--models", "digit,Pass"), {}, "must be names of models, such as digit,pass, not 'Pass'"),
        (("--api-keys-file", ""), {}, "--api-keys-file '': must be a path; leave the setting out for none"),
        (("--api-keys-file", "/nonexistent"), {}, "--api-keys-file /nonexistent cannot be read: No such"),
        ((), {"SERVICE_TRUSTED_KEYS": "/"}, "--trusted-keys / cannot be read: it is a folder"),
        (("--keep", "0"), {}, "--keep 0: input should be greater than or equal to 1"),
        (("--canary-share", "nan"), {}, "--canary-share nan: input should be"),
        (("--artifacts", "/nonexistent"), {}, "/nonexistent is no folder that can be read"),
        (("--artifacts", "ftp://host/models"), {}, "must be a folder, or begin with file://, s3://"),
        (("--artifacts", "s3://key:secret@host/models"), {}, "must hold no credentials"),
        (("--artifacts", "s3://"), {}, "must be a bucket and a path in it, such as s3://bucket/models"),
        (("--artifacts", "file://host/models"), {}, "must name a folder of this machine"),
        (("--artifacts", "file:///nonexistent"), {}, "/nonexistent is no folder that can be read"),
        (("models", "list", "--artifacts", "s3://a b"), {}, "--artifacts s3://a b: must be a bucket"),
        ((), {"SERVICE_PORT": "abc"}, "SERVICE_PORT='abc': input should be a valid integer"),
        ((), {"SERVICE_ARTIFACTS": "/nonexistent"}, "/nonexistent is no folder"),
        ((), {"SERVICE_DEVICE": "gpu", "SERVICE_WORKERS": "0"}, "SERVICE_WORKERS='0'"),
        (("models", "list"), {"SERVICE_DEVICE": "gpu"}, "SERVICE_DEVICE='gpu': must be auto"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    options: tuple[str, ...], environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.__main__.run", lambda _: pytest.fail("it would serve"))
    result = CliRunner(env={**PLAIN, **environment}).invoke(cli, options)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert said in result.stderr
    assert "^" not in result.stderr  # no regular expression
    assert "Traceback" not in result.stderr


def test_an_unknown_variable_is_warned_of_with_the_nearest_name(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the device that was chosen is logged and shown."""
    monkeypatch.setenv("SERVICE_PROT", "9000")
    monkeypatch.setenv("SERVICE_OF_ALL_THINGS", "1")
    monkeypatch.setenv("service_host", "127.0.0.1")  # pydantic-settings takes either case
    far, near = unknown_variables()
    assert far == "The environment variable SERVICE_OF_ALL_THINGS is no setting and is ignored."
    assert near.endswith("SERVICE_PROT is no setting and is ignored; the nearest is SERVICE_PORT.")
    with served("--artifacts", str(published), "--device", "cpu", SERVICE_PROT="9000") as service:
        assert near in service.log.read_text()
        assert "device cpu" in service.log.read_text()
        models = service.client.get("/models").json()["models"]
    assert {model["device"] for model in models} == {"cpu"}


def test_the_version_is_shown() -> None:
    assert run("--version").stdout == f"abacus {__version__}\n"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "port", 1)  # noqa: B010  mypy knows it too


def test_it_listens_to_this_machine_alone_unless_told() -> None:
    assert Settings().host == "127.0.0.1"


def test_the_table_of_the_page_is_the_code() -> None:
    rows = re.findall(
        r"^\| `--([a-z-]+)` \| `(\w+)` \| `([^`]*)` \| (.+) \|$",
        (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"),
        re.M,
    )
    expected = [
        (name.replace("_", "-"), f"SERVICE_{name.upper()}", str(field.default), field.description)
        for name, field in FIELDS.items()
    ]
    assert rows == expected


def test_every_setting_is_an_option_with_its_own_help() -> None:
    result = run("--help")
    assert result.returncode == 0
    told = "".join(result.stdout.split())  # wherever a line ends
    for name, field in FIELDS.items():
        assert f"--{name.replace('_', '-')} " in result.stdout
        described = f"{field.description} [SERVICE_{name.upper()}; default: {field.default}]"
        assert "".join(described.split()) in told


@pytest.mark.parametrize("value", ["9" * 25, "1e300", "inf"])
@pytest.mark.parametrize(
    "field",
    [name for name, field in Settings.model_fields.items() if isinstance(field.default, int | float)],
)
def test_no_number_is_too_large_for_what_it_goes_into(field: str, value: str) -> None:
    """Otherwise it would be accepted, and fail in the middle of a request or a stop."""
    with pytest.raises(SettingsUnusable, match=field.replace("_", "-")):
        read_settings(**{field: value})


def test_more_threads_than_a_machine_can_have_are_refused() -> None:
    with pytest.raises(SettingsUnusable, match="threads"):
        read_settings(threads=100_000_000)


@pytest.mark.parametrize("field", ["host", *PATHS])
def test_a_variable_that_is_empty_is_no_address_and_no_path(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """The empty host would be every interface, and the empty path the current folder."""
    monkeypatch.setenv(variable(field), "")
    with pytest.raises(SettingsUnusable, match=variable(field)):
        read_settings()
