"""Settings: one source, the same in options, environment and README."""

import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

from service.settings import Settings
from tests.conftest import ROOT

FIELDS = Settings.model_fields


def test_the_environment_is_read_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_PORT", "9000")
    monkeypatch.setenv("SERVICE_DEVICE", "cuda:1")
    assert (Settings().port, Settings().device) == (9000, "cuda:1")
    assert Settings(port=1).port == 1  # an option wins
    monkeypatch.setenv("SERVICE_DEVICE", "cuda:one")
    with pytest.raises(ValidationError, match="device"):
        Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "port", 1)  # noqa: B010  mypy knows it too


def test_it_listens_to_this_machine_alone_unless_told() -> None:
    assert Settings().host == "127.0.0.1"


def test_the_readme_s_table_is_the_code() -> None:
    rows = re.findall(
        r"^\| `--([a-z-]+)` \| `(\w+)` \| `([^`]*)` \| (.+) \|$",
        (ROOT / "README.md").read_text(encoding="utf-8"),
        re.M,
    )
    expected = [
        (name.replace("_", "-"), f"SERVICE_{name.upper()}", str(field.default), field.description)
        for name, field in FIELDS.items()
    ]
    assert rows == expected


def test_every_setting_is_an_option_with_its_own_help() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "service", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "200", "PATH": "", "NO_COLOR": "1"},
    )
    for name, field in FIELDS.items():
        assert f"--{name.replace('_', '-')} " in result.stdout
        assert f"SERVICE_{name.upper()}" in result.stdout
        assert str(field.description) in result.stdout
