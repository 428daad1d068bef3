"""Every default once: the training configuration and the named presets.

Imports no framework, so that reading a preset costs nothing. The lab presets hold the settings
of the two class labs (Lab 7: a manual LSTM cell; Lab 6: RNN and LSTM models A, B, C).
"""

import difflib
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from jax_lstm.errors import UserError

DatasetName = Literal["auto", "mnist", "fashion_mnist", "kmnist", "digits"]
CellName = Literal["lstm", "rnn-tanh", "rnn-relu"]
InitName = Literal["torch", "torch-linear", "flax"]
DtypeName = Literal["float32", "float64", "bfloat16"]
OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop"]
ScheduleName = Literal["constant", "warmup-cosine"]


class ConfigError(UserError, ValueError):
    """A setting that cannot be, or that contradicts another; the message says what to do."""


@dataclass(frozen=True)
class Config:
    """All that decides a training run. The same config, at the same device count, gives the same run.

    Raises:
        ConfigError: a value out of its range, or an option that the others would leave unused.
    """

    # Data
    dataset: DatasetName = "auto"
    """Data set. auto: MNIST when it can be had within seconds, else digits (bundled), said loudly."""
    data_dir: str | None = None
    """Folder with the four original IDX files, gzipped or not; nothing is downloaded then."""
    validation_fraction: float = 1 / 12
    """Share of the training images held out for validation, 0 to 0.9 (1/12 of MNIST: 5,000)."""
    max_shift: int = 0
    """Augmentation: each training image is moved by up to this many pixels each way, 0 to 14."""
    max_rotation: float = 0.0
    """Augmentation: each training image is turned by up to this many degrees each way, 0 to 45."""
    max_scale: float = 0.0
    """Augmentation: each training image is scaled by a factor within 1 ± this, 0 to 0.5."""

    # Model
    cell: CellName = "lstm"
    """The recurrent cell: the LSTM, or the simple RNN with tanh or ReLU."""
    hidden_size: int = 128
    """H: units of each layer."""
    layers: int = 1
    """Number of stacked recurrent layers."""
    biases: Literal[1, 2] = 1
    """Bias vectors per gate: the equations' one, or PyTorch's two (same outputs, other training)."""
    init: InitName = "torch"
    """torch: U(±1/√H) as nn.LSTM; torch-linear: U(±1/√(I+H)) as nn.Linear over [x, h];
    flax: LeCun normal for U, orthogonal for W, zero biases."""
    forget_bias: float = 0.0
    """Added to the forget gate's bias at the start (LSTM only)."""
    dtype: DtypeName = "float32"
    """Precision of the computation; bfloat16 keeps the parameters in float32."""

    # Optimisation
    optimizer: OptimizerName = "adam"
    """The Optax optimiser."""
    learning_rate: float = 0.001
    """Learning rate; with warmup-cosine, its peak."""
    momentum: float = 0.0
    """Momentum of sgd and rmsprop, 0 to below 1."""
    weight_decay: float = 0.0
    """Decoupled weight decay (adamw only)."""
    schedule: ScheduleName = "constant"
    """Learning rate over the run: constant, or linear warm-up and then a cosine down to 0."""
    warmup_fraction: float = 0.0
    """Share of the run's steps that warm up (warmup-cosine only)."""
    clip_norm: float = 0.0
    """Gradients are scaled down to this global norm when above it; 0: no clipping."""
    ema_decay: float = 0.0
    """Decay per step of the moving average of the weights, which is evaluated in their place; 0: off."""

    # Length
    batch_size: int = 128
    """Images per optimiser step; the last batch of an epoch holds the rest."""
    epochs: int | None = None
    """Passes over the training images. None: as many as make up --steps."""
    steps: int = 3440
    """Length of the run in optimiser steps, rounded up to whole epochs, where --epochs is None."""
    patience: int = 0
    """Stop after this many epochs without a lower validation loss, and keep the best weights; 0: off."""

    # What is shown
    lines: Literal["lab7", "lab6"] = "lab7"
    """Which lab's printed lines: per 100 steps and epoch (Lab 7), or per 500 iterations (Lab 6)."""
    monitor_test: bool = False
    """Also show test figures while training, as the labs do. They steer nothing."""

    # Where
    seed: int = 0
    """Seeds the weights, the split, the order of the images and the augmentation; 0 to 2^32 - 1."""
    devices: int = 0
    """Devices that share each batch (on a CPU every core is one); 0: all that the batch is enough for."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(Config).items():
            _check_type(name, getattr(self, name), hint)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                limit = "below 1" if high == _BELOW_1 else high
                raise ConfigError(f"{_flag(name)} must be from {low} to {limit}, got {value}")
        for name, off, allowed, needs in _DEPENDENT:
            if getattr(self, name) != off and not allowed(self):
                raise ConfigError(f"{_flag(name)} {getattr(self, name)} has no effect here: it needs {needs}")

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON-able values, one per field."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Config":
        """The config that `to_dict` wrote.

        Raises:
            ConfigError: an unknown or missing field, or an impossible value.
        """
        names = [f.name for f in fields(Config)]
        for name in values:
            if name not in names:
                raise ConfigError(f"unknown setting {name!r}{_nearest(name, names)}")
        if missing := [name for name in names if name not in values]:
            raise ConfigError(f"settings missing: {', '.join(missing)}")
        return Config(**values)


_BELOW_1 = math.nextafter(1, 0)
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("validation_fraction", 0, 0.9),
    ("max_shift", 0, 14),
    ("max_rotation", 0, 45),
    ("max_scale", 0, 0.5),
    ("hidden_size", 1, 8192),
    ("layers", 1, 64),
    ("forget_bias", -100, 100),
    ("learning_rate", 0, 1000),
    ("momentum", 0, _BELOW_1),
    ("weight_decay", 0, 1000),
    ("warmup_fraction", 0, 0.9),
    ("clip_norm", 0, 1e9),
    ("ema_decay", 0, _BELOW_1),
    ("batch_size", 1, 60_000),
    ("epochs", 1, 100_000),
    ("steps", 1, 100_000_000),
    ("patience", 0, 100_000),
    ("seed", 0, 2**32 - 1),
    ("devices", 0, 4096),
)

# An option that the others leave unused is refused, not ignored: (name, off value, when it counts, in words).
_DEPENDENT: tuple[tuple[str, Any, Any, str], ...] = (
    ("forget_bias", 0.0, lambda c: c.cell == "lstm", "--cell lstm"),
    ("momentum", 0.0, lambda c: c.optimizer in ("sgd", "rmsprop"), "--optimizer sgd or rmsprop"),
    ("weight_decay", 0.0, lambda c: c.optimizer == "adamw", "--optimizer adamw"),
    ("warmup_fraction", 0.0, lambda c: c.schedule == "warmup-cosine", "--schedule warmup-cosine"),
    ("patience", 0, lambda c: c.validation_fraction > 0, "--validation-fraction above 0"),
    ("patience", 0, lambda c: c.lines == "lab7", "--lines lab7, which evaluate after every epoch"),
)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _nearest(name: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""


def _check_type(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        if value not in choices or isinstance(value, bool):
            listed = ", ".join(map(str, choices))
            hint_text = _nearest(str(value), [str(c) for c in choices])
            raise ConfigError(f"{_flag(name)} must be one of {listed}, got {value!r}{hint_text}")
        return
    allowed = get_args(hint) or (hint,)
    if float in allowed:
        allowed = (*allowed, int)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise ConfigError(f"{_flag(name)} must be {' or '.join(t.__name__ for t in allowed)}, got {value!r}")


_LAB7 = Config(
    hidden_size=32,
    init="torch-linear",
    optimizer="adam",
    learning_rate=6e-5,
    batch_size=128,
    validation_fraction=0.0,
    monitor_test=True,
)
_LAB6 = Config(
    hidden_size=100,
    biases=2,
    optimizer="sgd",
    learning_rate=0.1,
    batch_size=100,
    epochs=5,
    validation_fraction=0.0,
    monitor_test=True,
    lines="lab6",
)

# Chosen on the validation images alone.
_QUICK = Config(
    max_shift=1,
    max_rotation=8.0,
    max_scale=0.08,
    learning_rate=0.008,
    schedule="warmup-cosine",
    warmup_fraction=0.2,
    clip_norm=1.0,
    ema_decay=0.99,
)

PRESETS: dict[str, Config] = {
    "quick": _QUICK,
    "best": replace(
        _QUICK,
        layers=2,
        init="flax",
        forget_bias=1.0,
        max_shift=2,
        max_rotation=15.0,
        max_scale=0.15,
        optimizer="adamw",
        learning_rate=0.004,
        weight_decay=0.05,
        warmup_fraction=0.1,
        ema_decay=0.999,
        steps=12_900,
    ),
    "lab7-template": replace(_LAB7, epochs=2),
    "lab7-baseline": replace(_LAB7, epochs=50),
    "lab7-tuned": replace(
        _LAB7, hidden_size=128, layers=2, epochs=50, patience=5, validation_fraction=1 / 12
    ),
    "lab6-lstm-a": _LAB6,
    "lab6-lstm-b": replace(_LAB6, layers=2),
    "lab6-lstm-c": replace(_LAB6, layers=3),
    "lab6-rnn-a": replace(_LAB6, cell="rnn-relu"),
    "lab6-rnn-b": replace(_LAB6, cell="rnn-relu", layers=2),
    "lab6-rnn-c": replace(_LAB6, cell="rnn-tanh", layers=2),
}
DEFAULT_PRESET = "quick"


def preset(name: str) -> Config:
    """The named preset.

    Raises:
        ConfigError: no such preset; the message lists them and names the nearest.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"unknown preset {name!r}{_nearest(name, list(PRESETS))} (presets: {', '.join(PRESETS)})"
        )
    return PRESETS[name]
