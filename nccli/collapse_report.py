"""The report of `nccli analyze`: one declaration per number, read by every renderer."""

from __future__ import annotations

from dataclasses import dataclass

from nccli.result import quantity

_ZHU = "Zhu et al. 2021 (arXiv 2105.02375)"
_PAPYAN = "Papyan, Han & Donoho 2020 (arXiv 2008.08186)"
_PAPER = "arXiv 2402.03979"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseReport:
    """Neural-collapse metrics of one (checkpoint, split); None is undefined, `notes` say why."""

    path: str | None = quantity("file", "the checkpoint file")
    epoch: int | None = quantity("epoch", "epoch the checkpoint was saved at", brief=True)
    split: str = quantity(
        "split", "train, test or another split of the file", default="train", brief=True
    )
    loss_name: str | None = quantity("trained with", "cross-entropy or label-smoothing")
    label_smoothing: float | None = quantity("delta", "label smoothing of the training loss")
    seed: int | None = quantity("seed", "random seed of the run")
    n: int = quantity("N", "number of samples of the split", default=0)
    num_classes: int = quantity("K", "number of classes of the network", default=0)
    dim: int = quantity("d", "number of penultimate features", default=0)
    accuracy: float | None = quantity(
        "accuracy", "share of samples with argmax(W h + b) = y", better="higher", brief=True
    )
    loss: float | None = quantity(
        "loss",
        "mean cross-entropy against the targets smoothed with the run's own delta, no penalties",
        source=_PAPER,
        unit="nats",
        better="lower",
    )
    nc1: float | None = quantity(
        "NC1",
        "tr(Sigma_W Sigma_B^+) / K: within-class against between-class variability",
        source=f"{_ZHU}; {_PAPYAN} and the paper's code leave out 1/K",
        ideal=0.0,
        better="lower",
        brief=True,
    )
    nc1_train_means: float | None = quantity(
        "NC1 (train means)",
        "NC1 with residuals around the class means of the train split, and its Sigma_B",
        source="nccli",
        ideal=0.0,
        better="lower",
    )
    nc2_features: float | None = quantity(
        "NC2 means",
        "norm(G/norm(G) - E), G = M M^T of centred class means, E the simplex ETF",
        source=_ZHU,
        ideal=0.0,
        better="lower",
        brief=True,
    )
    nc2_classifier: float | None = quantity(
        "NC2 classifier",
        "norm(G/norm(G) - E), G = W W^T",
        source=_ZHU,
        ideal=0.0,
        better="lower",
    )
    nc2_duality: float | None = quantity(
        "NC2 duality",
        "norm(W M^T / norm(W M^T) - E)",
        source=f"logged as NC2 by the code of {_PAPER}; called NC3 by {_ZHU}",
        ideal=0.0,
        better="lower",
    )
    nc2_equinorm_features: float | None = quantity(
        "equinorm means",
        "std / mean of the norms of the centred class means (population std)",
        source=_PAPYAN,
        ideal=0.0,
        better="lower",
    )
    nc2_equinorm_classifier: float | None = quantity(
        "equinorm classifier",
        "std / mean of the norms of the rows of W (population std)",
        source=_PAPYAN,
        ideal=0.0,
        better="lower",
    )
    nc2_equiangular_features: float | None = quantity(
        "equiangular means",
        "mean over pairs of classes of abs(cos + 1/(K-1)), centred class means",
        source=_PAPYAN,
        ideal=0.0,
        better="lower",
    )
    nc2_equiangular_classifier: float | None = quantity(
        "equiangular classifier",
        "mean over pairs of classes of abs(cos + 1/(K-1)), rows of W",
        source=_PAPYAN,
        ideal=0.0,
        better="lower",
    )
    nc3: float | None = quantity(
        "NC3",
        "norm(W/norm(W) - M/norm(M))^2: self-duality",
        source=f"{_PAPYAN} and {_PAPER} square it; others do not",
        ideal=0.0,
        better="lower",
        brief=True,
    )
    nc4: float | None = quantity(
        "NC4",
        "share of samples whose nearest class centre (of the train split) is not argmax(W h + b)",
        source=_PAPYAN,
        ideal=0.0,
        better="lower",
        brief=True,
    )
    cdnv: float | None = quantity(
        "CDNV",
        "mean over ordered pairs of (v_c + v_c') / (2 norm(mu_c - mu_c')^2)",
        source="Galanti, György & Hutter 2022 (arXiv 2112.15121)",
        ideal=0.0,
        better="lower",
    )
    weight_norm: float | None = quantity("norm of W", "mean norm of w_k", source=_PAPER, brief=True)
    feature_norm: float | None = quantity(
        "norm of h", "mean norm of h_i", source=_PAPER, brief=True
    )
    nontarget_logit_spread: float | None = quantity(
        "non-target spread",
        "mean of (std of the K-1 non-target logits) / (largest minus smallest logit)",
        source=f"{_PAPER}, Mechanism 2",
        ideal=0.0,
        better="lower",
    )
    rank: int | None = quantity("rank", "rank of Sigma_B used by its pseudo-inverse (<= K - 1)")
    rank_cut: float | None = quantity(
        "rank cut", "singular values of M at or below this count as zero"
    )
    rank_gap: float | None = quantity(
        "rank gap", "smallest singular value of M that was kept, over the cut"
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined or special", default=())
