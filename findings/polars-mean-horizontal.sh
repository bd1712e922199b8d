#!/usr/bin/env bash
# Polars 2.1.0, mean_horizontal of columns of one type of integers: UInt8 for the channels of a pixel, Int32 for amounts.
#
# Guess: a mean lies between the least and the greatest of its numbers, and here it is a Float64 besides.
# Seen: the sum is taken in the columns' type and wraps before it is divided: the mean of 255, 255 and 255 is 84.3, and of two
# amounts of 2000000000 is -147483648. The mean down a column, of a list and over groups is right, and so is the mean across if
# the columns are cast before. The lazy and the streaming engine say the same. Nothing is raised or warned.
# Why it matters: small integers are what pictures, quantised features and narrow Parquet files hold. A fraction is a plausible
# mean, and rows whose sum fits are right, so a look at small numbers shows nothing: bright pixels alone turn dark.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv" || exit 2
"$folder/venv/bin/pip" install -qq --disable-pip-version-check polars==2.1.0 || exit 2
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import polars

channels = ["red", "green", "blue"]
pixels = polars.DataFrame([[10, 20, 30], [200, 100, 90], [255, 255, 255]], schema=dict.fromkeys(channels, polars.UInt8), orient="row")
lazy = pixels.lazy().select(polars.mean_horizontal(channels))
by_pixel = pixels.with_row_index().unpivot(index="index").group_by("index", maintain_order=True)
means = {
    "mean_horizontal": pixels.select(polars.mean_horizontal(channels)),
    "lazy": lazy.collect(),
    "streaming": lazy.collect(engine="streaming"),
    "of the frame": pixels.mean_horizontal().to_frame(),
    "cast before": pixels.select(polars.mean_horizontal(polars.all().cast(polars.Int64))),
    "of a list": pixels.select(polars.concat_list(channels).list.mean()),
    "down a column": pixels.transpose().mean().transpose(),
    "over groups": by_pixel.agg(polars.mean("value")).select("value"),
}
print("pixels:", pixels.rows())
seen = {}
for how, frame in means.items():
    seen[how] = [round(mean, 1) for mean in frame.to_series().to_list()]
    print(f"{how:15}", frame.dtypes[0], seen[how])
amounts = polars.DataFrame([[2_000_000_000]] * 2, schema=dict.fromkeys(["bought", "sold"], polars.Int32))
of_amounts = amounts.mean_horizontal().item()
print("amounts:", amounts.row(0), "mean_horizontal:", of_amounts)
wrong, right = [20.0, 44.7, 84.3], [20.0, 130.0, 255.0]
as_stated = (
    all(seen[how] == wrong for how in ("mean_horizontal", "lazy", "streaming", "of the frame"))
    and all(seen[how] == right for how in ("cast before", "of a list", "down a column", "over groups"))
    and of_amounts == -147483648.0
)
sys.exit(0 if as_stated else 1)
PYTHON
