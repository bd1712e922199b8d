"""The processors that a container may use, read from control groups as the kernel writes them."""

import os
from pathlib import Path

import pytest

from service.engine.cpus import usable_cpus

HOST = len(os.sched_getaffinity(0))


def system(root: Path, membership: str, **limits: str) -> Path:
    """A /proc and /sys with these files; `__` in a name stands for a slash, `_dot_` for a dot."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for name, text in limits.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_it_is_the_affinity_mask(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == HOST
    assert usable_cpus() >= 1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"cpu_dot_max": "100000 100000"}, 1),
        ({"cpu_dot_max": "max 100000"}, HOST),
        ({"cpu_dot_max": "50000 100000"}, 1),  # half a processor: still one thread
        ({"cpu_dot_max": "6400000 100000"}, HOST),  # more than there are
        (
            {"a__b__cpu_dot_max": "max 100000", "a__cpu_dot_max": "100000 100000"},
            1,
        ),  # the parent is tighter
    ],
    ids=["one", "unlimited", "half", "64", "parent"],
)
def test_version_2(tmp_path: Path, limits: dict[str, str], expected: int) -> None:
    assert usable_cpus(system(tmp_path, "0::/a/b\n", **limits)) == expected


@pytest.mark.parametrize(("quota", "expected"), [("100000", 1), ("-1", HOST)])
def test_version_1(tmp_path: Path, quota: str, expected: int) -> None:
    membership = "5:memory:/a\n4:cpu,cpuacct:/a\n"
    limits = {"cpu__a__cpu_dot_cfs_quota_us": quota, "cpu__a__cpu_dot_cfs_period_us": "100000"}
    assert usable_cpus(system(tmp_path, membership, **limits)) == expected
