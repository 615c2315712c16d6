"""What `nccli hessian` says of one split of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from nccli.result import Shown, quantity

_UFM = "closed form of the unconstrained feature model at the same K, n, lambda_w, lambda_h, delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """An eigenvalue and the interval, value -+ residual, that holds an eigenvalue for certain."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TheoryEigenvalue:
    """An eigenvalue of the closed form with its multiplicity."""

    value: float
    multiplicity: int
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityBin:
    """A share of the eigenvalues; low is None: all below, not resolved, zero or negative."""

    low: float | None
    high: float
    share: float
    error: float | None  # share -+ error holds the exact share, 19 times in 20; None: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassKappa:
    """Condition of the H block over the samples of one class."""

    label: int
    n: int  # samples that were solved
    median: float | None
    p90: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HessianReport(Shown):
    """Last-layer conditioning of one (checkpoint, split); theory_ is the closed form beside it."""

    path: str | None = quantity("file", "the checkpoint file")
    epoch: int | None = quantity("epoch", "epoch the checkpoint was saved at", brief=True)
    split: str = quantity(
        "split", "split whose mean loss is differentiated", default="train", brief=True
    )
    loss_name: str | None = quantity("trained with", "cross-entropy or label-smoothing")
    label_smoothing: float | None = quantity("delta", "label smoothing of the training loss")
    seed: int | None = quantity("seed", "random seed of the run")
    n: int = quantity("N", "number of samples", default=0)
    num_classes: int = quantity("K", "number of classes", default=0)
    dim: int = quantity("d", "number of features", default=0)
    bias_included: bool = quantity(
        "with bias", "whether the bias is a variable of the W block", default=False
    )
    lambda_w: float | None = quantity("lambda_W", "weight decay of the run, or --lambda-w")
    lambda_h: float | None = quantity(
        "lambda_H",
        "--lambda-h, the run's feature decay, or lambda_W norm(W)^2 / norm(H)^2 (norm balance)",
    )
    lambda_h_source: str | None = quantity("lambda_H from", "given, recorded or norm balance")
    mean_doubt: float | None = quantity("mean 1 - p", "mean of 1 - probability of the prediction")
    lambda_max_w: float | None = quantity(
        "lambda max W", "largest eigenvalue of the W block", brief=True
    )
    lambda_max_w_error: float | None = quantity(
        "its error", "residual in double: an eigenvalue lies within so much of lambda_max_w"
    )
    lambda_max_h: float | None = quantity(
        "lambda max H", "largest eigenvalue of the H block", brief=True
    )
    lambda_max_h_error: float | None = quantity(
        "its error",
        "the largest lies between lambda_max_h and so much above; 0 where all are solved",
    )
    lambda_max_joint: float | None = quantity(
        "lambda max joint", "largest eigenvalue of the joint Hessian in (W, H)"
    )
    lambda_max_joint_error: float | None = quantity("its error", "residual in double")
    lambda_max_joint_regularised: float | None = quantity(
        "lambda max joint regularised", "the same with lambda_w and lambda_h on the diagonal"
    )
    trace_w: float | None = quantity("trace W", "trace of the W block, exact")
    trace_h: float | None = quantity("trace H", "trace of the H block, exact")
    trace_joint: float | None = quantity(
        "trace joint", "trace of the joint Hessian, exact: the sum of both"
    )
    null_modes_w: int | None = quantity(
        "null modes W",
        "eigenvalues of the W block that theory says are zero: a shift of all logits, d of them "
        "(d + 1 with the bias)",
    )
    kappa_means_w: float | None = quantity(
        "kappa means W",
        "condition number of the W block on (1-perp) x (span of centred class means), loss only",
        source="nccli; equals K p_t at the collapsed optimum, the paper's notion",
        better="lower",
        brief=True,
    )
    kappa_means_w_error: float | None = quantity(
        "its error",
        "from the residual of the smallest eigenvalue (rounding, where the matrix is small); up to "
        "1e-3 of kappa_means_w is called converged",
    )
    kappa_regularised_w: float | None = quantity(
        "kappa regularised W",
        "(lambda_max_w + lambda_W) / lambda_W: the W block has null modes (softmax gauge)",
        source="nccli",
        better="lower",
        brief=True,
    )
    kappa_regularised_h: float | None = quantity(
        "kappa regularised H",
        "(largest + lambda_H) / (smallest + lambda_H) eigenvalue of the H block",
        source="nccli",
        better="lower",
    )
    kappa_h_median: float | None = quantity(
        "kappa H median",
        "median over samples (of two, the lower) of the H block's condition number on its K - 1 "
        "directions, loss only",
        source="nccli; equals K p_t at the collapsed optimum",
        better="lower",
        brief=True,
    )
    kappa_h_p90: float | None = quantity(
        "kappa H p90", "90th percentile over samples of the same", source="nccli", better="lower"
    )
    lambda_min_w: float | None = quantity(
        "lambda min W",
        "smallest eigenvalue of the W block on (1-perp) x R^d, loss only (--smallest)",
    )
    lambda_min_w_error: float | None = quantity("its error", "residual in double")
    kappa_regularised_perp_w: float | None = quantity(
        "kappa regularised W, 1-perp",
        "(lambda_max_w + lambda_W) / (lambda_min_w + lambda_W): the null modes left out",
        source="nccli",
        better="lower",
    )
    nc1: float | None = quantity(
        "NC1", "within-class variability of the same split, for the decay over a run", ideal=0.0
    )
    rate_means_w: float | None = quantity(
        "rate means W", "1 - 1 / kappa_means_w: gradient descent's linear rate a step, predicted"
    )
    rate_regularised_w: float | None = quantity(
        "rate regularised W", "1 - 1 / kappa_regularised_w: the same with the penalty"
    )
    trace_w_class: float | None = quantity(
        "trace W, class", "share of trace_w between classes: sum_c pi_c |d_c|^2 (--hierarchy)",
        source="Papyan 2019, 2020",
    )  # fmt: skip
    trace_w_cross_class: float | None = quantity(
        "trace W, cross-class", "sum_c sum_k pi_ck |d_ck - d_c|^2", source="Papyan 2019, 2020"
    )
    trace_w_within: float | None = quantity(
        "trace W, within", "(1/N) sum_i sum_k p_ik |d_ik - d_yk|^2", source="Papyan 2019, 2020"
    )
    trace_w_own: float | None = quantity(
        "trace W, own class", "(1/N) sum_i p_iy |d_iy|^2", source="Papyan 2019, 2020"
    )
    theory_lambda_max_w: float | None = quantity("theory: lambda max W", _UFM)
    theory_lambda_max_h: float | None = quantity("theory: lambda max H", _UFM)
    theory_lambda_max_joint: float | None = quantity("theory: lambda max joint", _UFM)
    theory_lambda_max_joint_regularised: float | None = quantity(
        "theory: lambda max joint regularised", _UFM
    )
    theory_trace_w: float | None = quantity("theory: trace W", _UFM)
    theory_trace_h: float | None = quantity("theory: trace H", _UFM)
    theory_trace_joint: float | None = quantity("theory: trace joint", _UFM)
    theory_kappa_means_w: float | None = quantity("theory: kappa means W", "K p_t", brief=True)
    theory_kappa_regularised_w: float | None = quantity(
        "theory: kappa regularised W", "1 + a p_t p_n / (sqrt(n) lambda_z)"
    )
    theory_kappa_regularised_h: float | None = quantity(
        "theory: kappa regularised H", "1 + a p_t p_n / (sqrt(n) lambda_z)"
    )
    theory_kappa_h_median: float | None = quantity("theory: kappa H median", "K p_t")
    theory_kappa_h_p90: float | None = quantity("theory: kappa H p90", "K p_t")
    status: str = quantity(
        "status", "converged, or not converged: then an interval is wider", default="converged"
    )
    spectrum_w: tuple[Certified, ...] = quantity(
        "spectrum W", "the largest eigenvalues of the W block (--top)", default=(), records=True
    )
    spectrum_h: tuple[Certified, ...] = quantity(
        "spectrum H", "the largest eigenvalues of the H block, of all samples (--top)", default=(),
        records=True,
    )  # fmt: skip
    spectrum_joint: tuple[Certified, ...] = quantity(
        "spectrum joint", "the largest eigenvalues of the joint Hessian (--top)", default=(),
        records=True,
    )  # fmt: skip
    spectrum_joint_regularised: tuple[Certified, ...] = quantity(
        "spectrum joint regularised", "the same with lambda_w and lambda_h on the diagonal",
        default=(), records=True,
    )  # fmt: skip
    theory_spectrum_w: tuple[TheoryEigenvalue, ...] = quantity(
        "theory: spectrum W", "of the W block at the UFM optimum, loss only", default=(),
        records=True,
    )  # fmt: skip
    theory_spectrum_h: tuple[TheoryEigenvalue, ...] = quantity(
        "theory: spectrum H", "of the H block at the UFM optimum, loss only", default=(),
        records=True,
    )  # fmt: skip
    theory_spectrum_joint: tuple[TheoryEigenvalue, ...] = quantity(
        "theory: spectrum joint", "of the joint Hessian at the UFM optimum, loss only", default=(),
        records=True,
    )  # fmt: skip
    theory_spectrum_joint_regularised: tuple[TheoryEigenvalue, ...] = quantity(
        "theory: spectrum joint regularised", "of the joint Hessian at the UFM optimum",
        default=(), records=True,
    )  # fmt: skip
    density_w: tuple[DensityBin, ...] = quantity(
        "density W",
        "shares of the W block's eigenvalues on (1-perp) x R^d by lambda (--density); exact with "
        "--exact. An error spans what the Lanczos steps leave open and two standard errors of the "
        "probes; bins that they do not resolve are one, or are in the share below all bins",
        source="stochastic Lanczos quadrature: Ubaru, Chen, Saad 2017; bounds of Chebyshev, Markov "
        "and Stieltjes: Szegö 1939, section 3.41",
        default=(),
        records=True,
    )
    density_h: tuple[DensityBin, ...] = quantity(
        "density H", "shares of the H block's eigenvalues, exact (--density)", default=(),
        records=True,
    )  # fmt: skip
    density_joint: tuple[DensityBin, ...] = quantity(
        "density joint",
        "shares of its eigenvalues, as of the W block (--density)",
        default=(), records=True,
    )  # fmt: skip
    kappa_h_classes: tuple[ClassKappa, ...] = quantity(
        "kappa H by class", "median and 90th percentile of each class", default=(), records=True
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined or special", default=())
