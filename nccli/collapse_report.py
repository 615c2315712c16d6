"""The report of `nccli analyze`: one declaration per number, read by every renderer."""

from __future__ import annotations

from dataclasses import dataclass

from nccli.result import Shown, quantity

_ZHU = "Zhu et al. 2021 (arXiv 2105.02375)"
_PAPYAN = "Papyan, Han & Donoho 2020 (arXiv 2008.08186)"
_PAPER = "arXiv 2402.03979"
_GALANTI = "Galanti, György & Hutter 2022 (arXiv 2112.15121)"

SYMBOLS = (
    "N samples, K classes, d features. h_i: features of sample i, y_i: its class; W, with rows "
    "w_k, and b: the classifier. mu_c: mean of class c, mu_G: plain average of the class means, "
    "M: matrix of the rows mu_c - mu_G, v_c: mean squared distance to mu_c. Sigma_W: covariance "
    "within classes, Sigma_B = M^T M / K: between them, ^+: pseudo-inverse of the true rank. "
    "E = (I - 11^T/K) / sqrt(K-1): the simplex ETF. All norms are Frobenius. Class means need "
    "samples: K counts the classes that have some where one is missing."
)

_OWN_MEANS = "class means of the split's own samples"
_TRAIN_MEANS = "class means of the train split"
_CLASSIFIER = "the same number: it sees the classifier only"
# what stands in `elsewhere`: statements between "; ", shown one below the other
_CENTRE = "mu_G as the average of the samples gives another value under imbalance"
_MISSING = "a peer gives a class without samples a zero mean, here it is left out"
_SPLIT_IN_TWO = "Papyan, Han & Donoho measure norms and angles apart: equinorm, equiangular"
_IN_ONE = "Zhu et al. measure norms and angles in one number"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollapseReport(Shown):
    """Neural-collapse metrics of one (checkpoint, split); None is undefined, `notes` say why."""

    path: str | None = quantity("file", "the checkpoint file, as it was named")
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
        "accuracy",
        "share of samples with argmax(W h + b) = y; of equal logits the first class counts",
        source="common usage",
        better="higher",
        brief=True,
    )
    loss: float | None = quantity(
        "loss",
        "mean cross-entropy against the targets smoothed with the run's own delta, no penalties",
        source=_PAPER,
        on_test="smoothed in the same way",
        unit="nats",
        better="lower",
    )
    nc1: float | None = quantity(
        "NC1",
        "tr(Sigma_W Sigma_B^+) / K: within-class against between-class variability",
        source=_ZHU,
        elsewhere=(
            f"Papyan's notebook and the code of {_PAPER} leave out 1/K: multiply by K; "
            f"{_CENTRE} (7 % at 100:1); {_MISSING} (0.0039 became 0.0318 there)"
        ),
        on_test=f"{_OWN_MEANS}; nc1_train_means takes those of the train split",
        ideal=0.0,
        better="lower",
        brief=True,
    )
    nc1_train_means: float | None = quantity(
        "NC1 (train means)",
        "NC1 with residuals around the class means of the train split, and its Sigma_B",
        source="nccli",
        elsewhere="1/K is that of nc1: multiply by K where a code leaves it out",
        on_test=f"{_TRAIN_MEANS}, residuals of this one; on the train split it equals nc1",
        ideal=0.0,
        better="lower",
    )
    nc2_features: float | None = quantity(
        "NC2 means",
        "norm(G/norm(G) - E), G = M M^T of centred class means, E the simplex ETF",
        source=_ZHU,
        elsewhere=f"{_SPLIT_IN_TWO}; {_CENTRE}; {_MISSING}",
        on_test=_OWN_MEANS,
        ideal=0.0,
        better="lower",
        brief=True,
    )
    nc2_classifier: float | None = quantity(
        "NC2 classifier",
        "norm(G/norm(G) - E), G = W W^T",
        source=_ZHU,
        elsewhere=_SPLIT_IN_TWO,
        on_test=_CLASSIFIER,
        ideal=0.0,
        better="lower",
    )
    nc2_duality: float | None = quantity(
        "NC2 duality",
        "norm(W M^T / norm(W M^T) - E)",
        source=_ZHU,
        elsewhere=f"called NC3 by Zhu et al.; the code of {_PAPER} logs it as NC2",
        on_test=_OWN_MEANS,
        ideal=0.0,
        better="lower",
    )
    nc2_equinorm_features: float | None = quantity(
        "equinorm means",
        "std / mean of the norms of the centred class means (population std)",
        source=_PAPYAN,
        elsewhere=f"{_IN_ONE}: nc2_features; {_CENTRE}",
        on_test=_OWN_MEANS,
        ideal=0.0,
        better="lower",
    )
    nc2_equinorm_classifier: float | None = quantity(
        "equinorm classifier",
        "std / mean of the norms of the rows of W (population std)",
        source=_PAPYAN,
        elsewhere=f"{_IN_ONE}: nc2_classifier",
        on_test=_CLASSIFIER,
        ideal=0.0,
        better="lower",
    )
    nc2_equiangular_features: float | None = quantity(
        "equiangular means",
        "mean over pairs of classes of abs(cos + 1/(K-1)), centred class means",
        source=_PAPYAN,
        elsewhere=f"{_IN_ONE}: nc2_features; {_CENTRE}",
        on_test=_OWN_MEANS,
        ideal=0.0,
        better="lower",
    )
    nc2_equiangular_classifier: float | None = quantity(
        "equiangular classifier",
        "mean over pairs of classes of abs(cos + 1/(K-1)), rows of W",
        source=_PAPYAN,
        elsewhere=f"{_IN_ONE}: nc2_classifier",
        on_test=_CLASSIFIER,
        ideal=0.0,
        better="lower",
    )
    nc3: float | None = quantity(
        "NC3",
        "norm(W/norm(W) - M/norm(M))^2: self-duality",
        source=f"{_PAPYAN}; {_PAPER}",
        elsewhere="both square the norm, as here, others do not; NC3 of Zhu et al. is nc2_duality",
        on_test=_OWN_MEANS,
        ideal=0.0,
        better="lower",
        brief=True,
    )
    nc4: float | None = quantity(
        "NC4",
        "share of samples whose nearest class centre (of the train split) is not argmax(W h + b)",
        source=_PAPYAN,
        elsewhere="one peer leaves out the bias b, and says 1.0 where the truth is 0.09",
        on_test=_TRAIN_MEANS,
        ideal=0.0,
        better="lower",
        brief=True,
    )
    cdnv: float | None = quantity(
        "CDNV",
        "mean over ordered pairs of (v_c + v_c') / (2 norm(mu_c - mu_c')^2)",
        source=_GALANTI,
        on_test=_OWN_MEANS,
        ideal=0.0,
        better="lower",
    )
    weight_norm: float | None = quantity(
        "norm of W",
        "mean norm of w_k, the rows of W",
        source=f"{_PAPER}, figure 1",
        on_test=_CLASSIFIER,
        brief=True,
    )
    feature_norm: float | None = quantity(
        "norm of h", "mean norm of h_i", source=f"{_PAPER}, figure 1", brief=True
    )
    nontarget_logit_spread: float | None = quantity(
        "non-target spread",
        "mean of (std of the K-1 non-target logits) / (largest minus smallest logit)",
        source=f"{_PAPER}, Mechanism 2",
        ideal=0.0,
        better="lower",
    )
    rank: int | None = quantity(
        "rank",
        "rank of Sigma_B used by its pseudo-inverse (<= K - 1)",
        source="nccli",
        elsewhere="numpy's default pinv takes rounding for rank: NC1 comes out as 1e8 and more",
        on_test=_OWN_MEANS,
    )
    rank_cut: float | None = quantity(
        "rank cut",
        "singular values of M at or below this count as zero",
        source="nccli",
        on_test=_OWN_MEANS,
    )
    rank_gap: float | None = quantity(
        "rank gap",
        "smallest singular value of M that was kept, over the cut",
        source="nccli",
        on_test=_OWN_MEANS,
    )
    num_present: int | None = quantity(
        "classes present",
        "how many classes have samples in this split: the K of what needs class means",
        source="nccli",
    )
    num_present_train: int | None = quantity(
        "classes in train", "how many classes have samples in the train split", source="nccli"
    )
    nc1_floor: float | None = quantity(
        "NC1 rounding floor",
        "NC1 that rounding of perfectly collapsed features to their stored type would leave",
        source="nccli",
        on_test=_OWN_MEANS,
    )
    between_noise: float | None = quantity(
        "noise of means",
        "share of tr(Sigma_B) that class means of so few samples have by chance; at 1 there is "
        "no sign of classes, and NC1, NC2, NC3 are sampling noise",
        source="nccli",
        on_test=_OWN_MEANS,
        better="lower",
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined or special", default=())
