"""The web service: loads published artifacts and answers predictions over HTTP.

Read it in this order: `app` wires everything; `http/routes` declares the HTTP surface; `endpoints/dispatch`
is the hot path. A request passes `serving/body`, `uploads/multipart`, `pictures` (bytes → tensor),
`serving/batching` (queue → batch), `engine` (batch → answer). `artifacts/manifest` is the format that
training writes and this package reads, `artifacts/store` where it lies; `rollout/following` keeps each
model at its live version. `fast_path/` is a short cut through all this for small requests, which
only makes it quicker: skip it at first. Folders import downwards: `tests/test_architecture.py` has their
order.
"""

__version__ = "0.1.0"

DISTRIBUTION = "abacus-serving"  # what the package index knows it by, and pyproject.toml


def installing(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
