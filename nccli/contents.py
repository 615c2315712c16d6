"""What stands in an HDF5 file, and what each data set is read for: names, shapes, attributes.

Foreign files are listed too. No data are read, and no link is followed (`nccli.hdf5.listed`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nccli.collapse_report import CollapseReport
from nccli.errors import InputError
from nccli.hdf5 import Found, Kind, Pairs, list_file
from nccli.result import quantities, quantity, same_as
from nccli.validate import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One name in a file and what it stands for."""

    path: str  # "/train/features"
    kind: Kind
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    layout: str | None = None  # "contiguous", "chunked 512x64, gzip", "compact", "never written"
    size: int | None = None  # bytes stored
    feeds: tuple[str, ...] = ()  # which results are made of it: see FEEDS
    note: str | None = None
    depth: int = 0  # 0 is what stands in the root
    attributes: Pairs = ()

    @property
    def read_for(self) -> str:
        """What it feeds, in one line."""
        always = [one for one in self.feeds if not one.endswith(WHERE_NO_LOGITS)]
        others = [one.removesuffix(WHERE_NO_LOGITS) for one in self.feeds if one not in always]
        condition = WHERE_NO_LOGITS.strip(" ()") + ": " if others else ""
        return "; ".join(filter(None, [", ".join(always), condition + ", ".join(others)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A file as a list of names in tree order."""

    path: str
    size: int  # bytes of the file
    modified: str  # ISO 8601, UTC
    attributes: Pairs  # of the root
    items: tuple[Item, ...]
    more: int  # names that were seen and left out; what stands inside of those is not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What `nccli check --contents` says of one file: the finding, and the contents if any."""

    path: str = same_as(Finding, "path")
    ok: bool = same_as(Finding, "ok")
    problem: str | None = same_as(Finding, "problem")
    remedy: str | None = same_as(Finding, "remedy")
    size: int | None = quantity("size", "bytes of the file")
    modified: str | None = quantity("modified", "when the file was last written, UTC")
    attributes: Pairs = quantity("attributes", "of the root", default=(), records=True)
    items: tuple[Item, ...] = quantity("items", "in tree order", default=(), records=True)
    more: int = quantity("more", "names left out", default=0)


def contents(path: Path) -> Contents:
    """List a file; raises what `read_checkpoint` raises where it cannot be opened as HDF5."""
    listed = list_file(path)
    return Contents(
        path=str(path),
        size=listed.size,
        modified=_utc(listed.modified_ns / 1e9),
        attributes=listed.attributes,
        items=tuple(_items(listed.found, checkpoint=listed.checkpoint)),
        more=listed.more,
    )


def listing(finding: Finding) -> Listing:
    """Return a finding together with the contents of its file, where that can be opened."""
    told = {name: getattr(finding, name) for name in ("path", "ok", "problem", "remedy")}
    try:
        found = contents(Path(finding.path))
    except InputError:
        return Listing(**told)
    names = ("size", "modified", "attributes", "items", "more")
    return Listing(**told, **{name: getattr(found, name) for name in names})


def _utc(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # a file may claim any time
        return "unknown"


# --- what is read for what ------------------------------------------------------------------------

HESSIAN, CALIBRATION = "Hessian", "calibration"
WHERE_NO_LOGITS = " (where there are no logits)"

_MEANS = (
    "nc1", "nc1_train_means", "nc2_features", "nc2_duality", "nc2_equinorm_features",
    "nc2_equiangular_features", "nc3", "nc4", "cdnv",
)  # fmt: skip
_CLASSIFIER = (
    "nc2_classifier", "nc2_duality", "nc2_equinorm_classifier", "nc2_equiangular_classifier",
    "nc3", "weight_norm",
)  # fmt: skip
_SCORED = ("accuracy", "loss", "nontarget_logit_spread", CALIBRATION)

# Which results change with a data set: always, and only where its split has no logits of its own
# (they are features W^T + b then). Fields of CollapseReport, the Hessian, calibration.
# tests/test_contents.py holds this against analyze, hessian and calibrate, in both directions.
FEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "features": ((*_MEANS, "feature_norm", HESSIAN), _SCORED),
    "labels": ((*_MEANS, *_SCORED, HESSIAN), ()),
    "logits": (("nc4", *_SCORED, HESSIAN), ()),
    "weight": ((*_CLASSIFIER, HESSIAN), ("nc4", *_SCORED)),
    "bias": ((), ("nc4", *_SCORED, HESSIAN)),
}
_NOTES = {
    "features": "one row a sample",
    "labels": "integers in 0..K-1",
    "logits": "one row a sample, one column a class",
    "weight": "one row a class",
    "bias": "one number a class; zero if absent",
}
_OF_CLASSIFIER = ("weight", "bias")
_OF_SPLIT = ("features", "labels", "logits")


def feeds(role: str) -> tuple[str, ...]:
    """Return what a data set of the format is read for, in the words of the tables."""
    always, where_no_logits = FEEDS[role]
    conditional = tuple(_label(name) + WHERE_NO_LOGITS for name in where_no_logits)
    return tuple(_label(name) for name in always) + conditional


def _label(name: str) -> str:
    meaning = quantities(CollapseReport).get(name)
    return name if meaning is None else meaning.label


def _items(found: Iterable[Found], *, checkpoint: bool) -> Iterable[Item]:
    """What stands in a file, each with what it is read for."""
    parents: list[Found] = []  # from the root to the one at hand
    for one in found:
        del parents[one.depth :]
        item = Item(
            path=one.path,
            kind=one.kind,
            shape=one.shape,
            dtype=one.dtype,
            layout=one.layout,
            size=one.size,
            note=one.note,
            depth=one.depth,
            attributes=one.attributes,
        )
        if checkpoint:
            item = _meaning(parents[-1] if parents else None, one, item)
        if one.same_as is not None:
            item = replace(item, note=f"the same object as {one.same_as}")
        yield item
        parents.append(one)


def _meaning(parent: Found | None, found: Found, item: Item) -> Item:
    """Tell what an item of a checkpoint is read for, or why it is not read."""
    if item.kind not in ("group", "data set") or item.note is not None:
        return item
    classifier = (found if parent is None else parent).name == "classifier"
    roles = _OF_CLASSIFIER if classifier else _OF_SPLIT
    if item.kind == "group" and item.depth == 0 and (classifier or _present(found, roles)):
        return item
    if parent is None or item.kind == "group" or item.depth != 1 or found.name not in roles:
        return replace(item, note="unknown to nccli")
    if not classifier and len(_present(parent, ("features", "labels"))) < 2:
        return replace(item, note="not read: a split needs features and labels")
    return replace(item, feeds=feeds(found.name), note=_NOTES[found.name])


def _present(group: Found, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in group.present]
