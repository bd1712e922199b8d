"""How many processors this process may use: the container's quota counts, not the host's cores."""

import os
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """The processors of the affinity mask, or fewer when a control group's quota allows fewer; at least 1.

    Reads control groups of version 2 (`cpu.max`) and 1 (`cpu.cfs_quota_us`): the process's own and all
    above it, as the tightest quota is the one that throttles. `root` is where /proc and /sys are.
    """
    quotas = [quota for folder in _control_groups(root) if (quota := _quota(folder)) is not None]
    # Only Linux tells the affinity mask; elsewhere a machine's processors are all usable.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([allowed, *quotas])))


def threads_of(wanted: int | None, workers: int) -> int:
    """Threads that compute a batch in each of so many workers: by default their processors, less one."""
    return wanted or max(1, usable_cpus() // workers - 1)


def _control_groups(root: Path) -> list[Path]:
    """The folders of the control groups that limit this process's processors, innermost first."""
    folders = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        own = mount / name.lstrip("/")
        folders += [own, *(parent for parent in own.parents if parent.is_relative_to(mount))]
    return folders


def _quota(folder: Path) -> float | None:
    """Processors' worth of time that one control group may use, or None when it is not limited."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        words = [word for name in names for line in _lines(folder / name) for word in line.split()]
        if len(words) == 2 and words[0] not in ("max", "-1"):
            return int(words[0]) / int(words[1])
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # no such control group, or none that may be read
        return []
