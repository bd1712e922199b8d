"""The web service: loads published artifacts and answers predictions over HTTP.

`docs/architecture.md` leads one request through it, and lists its folders, which import downwards. `app`
wires everything; `http/routes` declares the HTTP surface; `endpoints/dispatch` is where a model is asked.
`fast_path/` is a short cut through all this, which only makes it quicker: skip it at first.
"""

__version__ = "0.1.0"

DISTRIBUTION = "abacus-serving"  # what the package index knows it by, and pyproject.toml


def installing(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
