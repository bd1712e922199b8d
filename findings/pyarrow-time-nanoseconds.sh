#!/usr/bin/env bash
# pyarrow 26.0.1, with pandas 3.1.1 and without: values of nanoseconds as Python's own.
#
# Guess: what `datetime.time` cannot hold is refused, with ValueError; whether pandas is installed beside it makes no difference.
# Seen: without pandas time64("ns") is refused. With pandas its nanoseconds are cut off in silence by `to_pylist`, so two times that
# differ become equal. (A timestamp or a duration then is one of pandas, which holds them.)
# Why it matters: times of day (of a trade, of a trace) as keys fall together on the machine that has pandas, and nowhere else: the same
# code raises in the slim image of production, or drops digits in the notebook. Installing a package changes the data.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pyarrow==26.0.1 || exit 2
cat > "$folder/times.py" <<'PYTHON'
import pyarrow as pa

for name, kind in {"timestamp": pa.timestamp("ns"), "duration": pa.duration("ns"), "time64": pa.time64("ns")}.items():
    try:
        first, second = pa.array([3_600_000_000_001, 3_600_000_000_999], kind).to_pylist()
        print(name, "equal" if first == second else "different")
    except ValueError:
        print(name, "ValueError")
PYTHON
without=$("$folder/venv/bin/python" "$folder/times.py" | xargs)
"$folder/venv/bin/pip" install -qq --disable-pip-version-check pandas==3.1.1 || exit 2
with=$("$folder/venv/bin/python" "$folder/times.py" | xargs)
echo "1 and 999 ns after 01:00, without pandas: $without"
echo "1 and 999 ns after 01:00, with pandas:    $with"
test "$without" = "timestamp ValueError duration ValueError time64 ValueError"
test "$with" = "timestamp different duration different time64 equal"
