"""What can be found out of one file for the screen: types only, light to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from nccli.compare import Observation
from nccli.tui.entry import Saved

if TYPE_CHECKING:  # these bring numpy and HDF5 in, which the first frame does not wait for
    import numpy as np
    from numpy.typing import NDArray

    from nccli.contents import Contents
    from nccli.validate import Finding

    Matrix: TypeAlias = NDArray[np.float32]

Kind = Literal["observation", "angles", "contents", "finding"]


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to find out of one file of a run."""

    kind: Kind
    run: Path
    saved: Saved


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """Cosines between class means (K, K) and rows of the classifier (C, C), float32."""

    target: float | None
    classes: tuple[int, ...]
    means: Matrix | None
    classifier: Matrix | None
    notes: tuple[str, ...] = ()


# a string says why it could not be found out
Outcome: TypeAlias = "Observation | Angles | Contents | Finding | str"
