"""Tables and figures of the study from its runs: `python docs/study/report.py RUNS OUT`.

RUNS holds a folder a sweep (smoothing, architectures, shapes, regularisers). Each row is a setting:
mean and standard deviation over its seeds, of the last checkpoint of every finished run.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from nccli.compare import Observation
from nccli.observe import observe
from nccli.runs import Run, read_run

Group = tuple[object, ...]
Rows = dict[Group, list[Observation]]

COLUMNS = {
    "test accuracy": "test.accuracy",
    "NC1": "train.nc1",
    "NC1 test": "test.nc1",
    "NC2": "train.nc2_features",
    "NC3": "train.nc3",
    "ECE": "calibration.ece",
    "ECE after T": "calibration.calibrated.ece",
    "T": "calibration.temperature",
    "confidence - accuracy": "calibration.overconfidence",
    "kappa of W, class means": "hessian.kappa_means_w",
    "kappa of H, median": "hessian.kappa_h_median",
    "kappa of W, regularised": "hessian.kappa_regularised_w",
    "norm of W": "train.weight_norm",
    "norm of h": "train.feature_norm",
}
PANELS = (
    "NC1", "NC2", "NC3", "test accuracy", "ECE", "T",
    "kappa of W, class means", "kappa of H, median", "kappa of W, regularised",
)  # fmt: skip


def gather(folder: Path, names: Sequence[str]) -> tuple[Rows, int]:
    """Return the last observation of each finished run, grouped by some settings, and how many."""
    found: Rows = defaultdict(list)
    runs = sorted(path for path in folder.iterdir() if (path / "run.json").exists())
    finished = [run for run in map(read_run, runs) if run.status == "finished"]
    for run in finished:
        found[tuple(setting(run, name) for name in names)].append(
            observe(run.checkpoints[-1], cached=True)
        )
    return dict(sorted(found.items(), key=lambda item: tuple(map(str, item[0])))), len(finished)


def setting(run: Run, name: str) -> object:
    """A setting of a run; `loss` as a short word."""
    if name == "loss":
        delta = run.settings["label_smoothing"]
        words = {"cross-entropy": "CE", "label-smoothing": f"LS {delta:g}", "mse": "MSE"}
        return words.get(run.settings["loss"], run.settings["loss"])
    return run.settings[name]


def spread(group: Sequence[Observation], key: str) -> tuple[float, float] | None:
    """Mean and standard deviation over the seeds, None where it is undefined in one."""
    values = [one.value(key) for one in group]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return None
    return statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else 0.0


def cell(group: Sequence[Observation], key: str) -> str:
    """`0.866 ± 0.009`: the deviation to one digit, the mean to three."""
    found = spread(group, key)
    if found is None:
        return "–"
    mean, deviation = found
    return f"{float(f'{mean:.3g}'):g} ± {float(f'{deviation:.1g}'):g}"


def table(names: Sequence[str], rows: Rows, columns: Mapping[str, str]) -> list[str]:
    """A Markdown table."""
    head = [*(name.replace("_", " ") for name in names), "seeds", *columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for group, seen in rows.items():
        cells = [*map(str, group), str(len(seen)), *(cell(seen, key) for key in columns.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def figure(rows: Rows) -> Figure:
    """Each number over delta, mean and standard deviation."""
    drawn = Figure(figsize=(9, 7.5), layout="constrained")
    for axes, title in zip(drawn.subplots(3, 3).ravel(), PANELS, strict=True):
        points = [(group[0], spread(seen, COLUMNS[title])) for group, seen in rows.items()]
        known = [(delta, *found) for delta, found in points if found is not None]
        delta, mean, deviation = zip(*known, strict=True)
        axes.errorbar(delta, mean, deviation, marker="o", markersize=3, linewidth=1)
        axes.set_title(title, fontsize=9)
        if max(mean) > 20 * min(mean) > 0:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
    drawn.supxlabel("label smoothing δ (0: cross-entropy)", fontsize=9)
    return drawn


def pick(*names: str) -> dict[str, str]:
    """Some of the columns."""
    return {name: COLUMNS[name] for name in names}


TABLES: dict[str, tuple[tuple[str, ...], Callable[[], dict[str, str]]]] = {
    "smoothing": (("label_smoothing",), lambda: COLUMNS),
    "architectures": (("model", "loss"), lambda: COLUMNS),
    "shapes": (("loss",), lambda: COLUMNS),
    "regularisers": (
        ("weight_decay", "dropout", "loss"),
        lambda: pick("test accuracy", "NC1", "NC2", "NC3", "ECE", "T", "kappa of W, regularised"),
    ),
}


def main(runs: Path, out: Path) -> None:
    """Write tables.md and the figure; print how many runs each table has."""
    lines = []
    for name, (by, columns) in TABLES.items():
        rows, count = gather(runs / name, by)
        print(f"{name}: {count} runs, {len(rows)} settings")
        lines += [f"### {name}: {count} runs", "", *table(by, rows, columns()), ""]
        if name == "smoothing":
            figure(rows).savefig(out / "smoothing.svg", metadata={"Date": None})
    first = next(path for path in sorted((runs / "smoothing").iterdir()))
    software = json.loads((first / "run.json").read_text())["provenance"]["software"]
    versions = ", ".join(f"{name} {version}" for name, version in software.items())
    (out / "tables.md").write_text("\n".join([*lines, f"Versions: {versions}.", ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
