"""What `nccli hessian --network` says of one network."""

from __future__ import annotations

from dataclasses import dataclass

from nccli.result import quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEigenvalue:
    """An eigenvalue, the interval that holds one for certain, and where its vector lives."""

    value: float
    low: float
    high: float
    last_layer_share: float | None  # |v in the last layer|^2 / |v|^2; None where nothing is curved


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDensityBin:
    """Share of the eigenvalues of one sign a decade of their size."""

    sign: int  # 1, or -1 for negative eigenvalues
    log10_low: float
    log10_high: float
    density: float  # share of all eigenvalues / width of the bin in decades
    error: float | None  # standard error over the probes; None of one probe, 0 where exact


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkReport:
    """Curvature of the mean loss in all parameters with a gradient, no penalty in it."""

    network: str | None = quantity("network", "module:function that made it")
    curvature: str = quantity(
        "curvature", "ggn: generalised Gauss-Newton matrix; hessian", default="ggn"
    )
    dtype: str = quantity("type", "float32 or float64, of the parameters", default="float32")
    n: int = quantity("N", "number of samples", default=0, brief=True)
    num_parameters: int = quantity("P", "parameters with a gradient", default=0, brief=True)
    last_layer: str = quantity("last layer", "its name in the model; empty: the model", default="")
    num_last_layer: int = quantity("P of the last layer", "those of the last layer", default=0)
    loss: float | None = quantity("loss", "mean over the samples", better="lower", brief=True)
    mean_doubt: float | None = quantity("mean 1 - p", "mean of 1 - probability of the prediction")
    lambda_max: float | None = quantity("lambda max", "largest eigenvalue", brief=True)
    lambda_max_error: float | None = quantity(
        "its error", "residual: an eigenvalue lies within so much of lambda_max"
    )
    lambda_max_last_layer: float | None = quantity(
        "lambda max, last layer", "largest eigenvalue of the last layer's diagonal block"
    )
    lambda_max_last_layer_error: float | None = quantity("its error", "residual")
    trace: float | None = quantity("trace", "sum of all eigenvalues", brief=True)
    trace_error: float | None = quantity(
        "its error", "standard error over the probes; 0 where exact"
    )
    trace_last_layer: float | None = quantity("trace, last layer", "of its diagonal block")
    trace_last_layer_error: float | None = quantity(
        "its error", "standard error over the probes; 0 where exact"
    )
    lambda_min: float | None = quantity(
        "lambda min", "smallest node of the density: the smallest eigenvalue is no larger"
    )
    last_layer_share_top: float | None = quantity(
        "top curvature in the last layer",
        "sum_i lambda_i |v_i in the last layer|^2 / sum_i lambda_i over the top eigenpairs",
        source="nccli; a rotation among equal eigenvalues does not change it",
        brief=True,
    )
    last_layer_lambda_share: float | None = quantity(
        "lambda max, share", "lambda_max_last_layer / lambda_max"
    )
    last_layer_trace_share: float | None = quantity(
        "trace, share", "trace_last_layer / trace", brief=True
    )
    near_zero_share: float | None = quantity(
        "near zero", "share of the density's nodes whose size is below `resolution`"
    )
    near_zero_share_error: float | None = quantity("its error", "standard error over the probes")
    resolution: float | None = quantity(
        "resolution", "size up to which an eigenvalue cannot be told from zero"
    )
    probes: int = quantity("probes", "random vectors of the trace and the density", default=0)
    steps: int = quantity("steps", "Lanczos steps a probe", default=0)
    seed: int = quantity("seed", "seed of the probes", default=0)
    products: int = quantity(
        "products", "products with a vector, of the last layer's block too", default=0
    )
    status: str = quantity(
        "status", "converged, or not converged: then an interval is wider", default="converged"
    )
    spectrum: tuple[NetworkEigenvalue, ...] = quantity(
        "spectrum", "the largest eigenvalues", default=(), records=True
    )
    density: tuple[NetworkDensityBin, ...] = quantity(
        "density",
        "shares of the eigenvalues a decade of their size; with near_zero_share they add up to 1; "
        "the lowest bin stands for all below that the steps do not tell apart from it",
        source="stochastic Lanczos quadrature: Ubaru, Chen, Saad 2017",
        default=(),
        records=True,
    )
    notes: tuple[str, ...] = quantity("notes", "why a value is undefined or special", default=())

    @property
    def place(self) -> str:
        """What its notes are said of."""
        return self.network or "the network"
