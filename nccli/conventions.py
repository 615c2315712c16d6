"""Tables in the words and scales of another source: `--convention paper|papyan|zhu`.

Only what people read changes: headings, the scale of some values, and which numbers stand in the
table with one line a checkpoint. The fields keep their names and values in every machine format.
A field that a source does not have stays under nccli's own label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nccli.errors import UsageError
from nccli.result import Quantity, quantities, record


def unscaled(report: Any) -> float:  # noqa: ARG001
    """The factor of a field that the source scales as nccli does."""
    return 1.0


def classes_present(report: Any) -> float:
    """K of nc1: how many classes have samples in the split whose means it takes."""
    # A report that does not tell has samples of all the classes of its network.
    return float(getattr(report, "num_present", None) or report.num_classes)


def classes_present_in_train(report: Any) -> float:
    """K of nc1_train_means: how many classes have samples in the train split."""
    return float(getattr(report, "num_present_train", None) or report.num_classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """How a source writes one field: its heading, and its value as a multiple of ours."""

    heading: str
    factor: Callable[[Any], float] = unscaled  # of the report
    note: str = ""  # what is different from nccli, for the line under the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """The headings and scales of one source, by field of CollapseReport."""

    name: str
    source: str
    terms: Mapping[str, Term]
    brief: tuple[str, ...]  # its NC2 and NC3 in the table with one line a checkpoint

    @property
    def line(self) -> str:
        """What the convention changes, in one line."""
        notes = ", ".join(term.note for term in self.terms.values() if term.note)
        return f"convention {self.name}: {notes} ({self.source})"


_WITHOUT_K = {
    "nc1": Term(heading="NC1", factor=classes_present, note="NC1 = K nc1"),
    "nc1_train_means": Term(heading="NC1 (train means)", factor=classes_present_in_train),
    "nc1_floor": Term(heading="NC1 rounding floor", factor=classes_present),
    "nc1_shuffled": Term(heading="NC1, shuffled labels", factor=classes_present),
}
_BRIEF_NC2_NC3 = ("nc2_features", "nc3")  # nccli's own in that table; a convention has its own

# Where each source parts from nccli is told in `elsewhere` of the fields (nccli.collapse_report).
CONVENTIONS = {
    "paper": Convention(
        name="paper",
        source="code of arXiv 2402.03979",
        terms={
            **_WITHOUT_K,
            "nc2_duality": Term(heading="NC2", note="NC2 = nc2_duality"),
            "nc3": Term(heading="NC3"),  # squared, as here
        },
        brief=("nc2_duality", "nc3"),
    ),
    "papyan": Convention(
        name="papyan",
        source="Papyan, Han & Donoho 2020",
        terms={
            **_WITHOUT_K,  # so in their notebook
            "nc2_equinorm_features": Term(heading="NC2 norms (means)", note="NC2 = norms, angles"),
            "nc2_equinorm_classifier": Term(heading="NC2 norms (classifier)"),
            "nc2_equiangular_features": Term(heading="NC2 angles (means)"),
            "nc2_equiangular_classifier": Term(heading="NC2 angles (classifier)"),
            "nc3": Term(heading="NC3"),  # squared, as here
            "nc4": Term(heading="NC4"),
        },
        brief=("nc2_equinorm_features", "nc2_equiangular_features", "nc3"),
    ),
    "zhu": Convention(
        name="zhu",
        source="Zhu et al. 2021",
        terms={
            "nc1": Term(heading="NC1"),  # with 1/K, as here
            "nc2_classifier": Term(heading="NC2", note="NC2 = nc2_classifier"),
            "nc2_duality": Term(heading="NC3", note="NC3 = nc2_duality"),
            "nc3": Term(heading="self-duality"),
        },
        brief=("nc2_classifier", "nc2_duality"),
    ),
}


def named(word: str | None) -> Convention | None:
    """Return the convention of a `--convention` word; None is nccli's own.

    Raises UsageError on a word that names none.
    """
    if word is None:
        return None
    if word not in CONVENTIONS:
        raise UsageError(
            f"unknown convention '{word}'", remedy=f"try one of: {', '.join(CONVENTIONS)}"
        )
    return CONVENTIONS[word]


def meanings(result: Any, convention: Convention | None) -> dict[str, Quantity]:
    """Return the `Quantity` of each field, with the headings and brief fields of the convention."""
    own = quantities(result)
    if convention is None:
        return own
    return {
        name: dataclasses.replace(
            meaning,
            label=convention.terms[name].heading if name in convention.terms else meaning.label,
            brief=name in convention.brief or (meaning.brief and name not in _BRIEF_NC2_NC3),
        )
        for name, meaning in own.items()
    }


def reading(result: Any, convention: Convention | None) -> dict[str, Any]:
    """Return a result as plain values by field, in the scales of the convention."""
    values = record(result)
    if convention is None:
        return values
    for name, term in convention.terms.items():
        if values.get(name) is not None:
            values[name] *= term.factor(result)
        for end, value in ((values.get("intervals") or {}).get(name) or {}).items():
            values["intervals"][name][end] = value * term.factor(result)
    return values
