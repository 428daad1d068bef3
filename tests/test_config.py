"""The settings: presets as the labs give them, and refusals that name what to do."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from jax_lstm.config import PRESETS, Config, ConfigError, preset

# hidden, layers, batch, learning rate, epochs, optimiser, cell, biases: the labs' tables
LABS = {
    "lab7-template": (32, 1, 128, 6e-5, 2, "adam", "lstm", 1),
    "lab7-baseline": (32, 1, 128, 6e-5, 50, "adam", "lstm", 1),
    "lab7-tuned": (128, 2, 128, 6e-5, 50, "adam", "lstm", 1),
    "lab6-lstm-a": (100, 1, 100, 0.1, 5, "sgd", "lstm", 2),
    "lab6-lstm-b": (100, 2, 100, 0.1, 5, "sgd", "lstm", 2),
    "lab6-lstm-c": (100, 3, 100, 0.1, 5, "sgd", "lstm", 2),
    "lab6-rnn-a": (100, 1, 100, 0.1, 5, "sgd", "rnn-relu", 2),
    "lab6-rnn-b": (100, 2, 100, 0.1, 5, "sgd", "rnn-relu", 2),
    "lab6-rnn-c": (100, 2, 100, 0.1, 5, "sgd", "rnn-tanh", 2),
}


@pytest.mark.parametrize("name", LABS)
def test_lab_presets_hold_the_labs_settings(name: str) -> None:
    c = PRESETS[name]
    found = (c.hidden_size, c.layers, c.batch_size, c.learning_rate, c.epochs, c.optimizer, c.cell, c.biases)
    assert found == LABS[name]
    assert (c.momentum, c.clip_norm, c.ema_decay, c.max_shift, c.schedule) == (0, 0, 0, 0, "constant")
    tuned = name == "lab7-tuned"
    assert round(60_000 * c.validation_fraction) == (5_000 if tuned else 0)
    assert c.patience == (5 if tuned else 0)


def test_every_lab_preset_is_listed() -> None:
    assert PRESETS.keys() == LABS.keys() | {"quick", "best"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_its_dictionary(name: str) -> None:
    assert Config.from_dict(preset(name).to_dict()) == preset(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 0}, "--hidden-size must be from 1 to 8192, got 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be from 0"),
        ({"learning_rate": float("inf")}, "--learning-rate must be from 0"),
        ({"momentum": 1.0, "optimizer": "sgd"}, "--momentum must be from 0"),
        ({"validation_fraction": 1.0}, "--validation-fraction must be from 0"),
        ({"epochs": 0}, "--epochs must be from 1"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"layers": 1.5}, "--layers must be int, got 1.5"),
        ({"layers": True}, "--layers must be int, got True"),
        ({"monitor_test": 1}, "--monitor-test must be bool"),
        ({"cell": "ltsm"}, "--cell must be one of lstm, .*; did you mean 'lstm'"),
        ({"biases": 3}, "--biases must be one of 1, 2, got 3"),
        ({"forget_bias": 1.0, "cell": "rnn-relu"}, "--forget-bias 1.0 has no effect here: .* --cell lstm"),
        ({"momentum": 0.9, "optimizer": "adam"}, "--momentum 0.9 has no effect here: .* sgd or rmsprop"),
        ({"weight_decay": 0.1, "optimizer": "adam"}, "--weight-decay 0.1 has no effect here: .* adamw"),
        ({"warmup_fraction": 0.1, "schedule": "constant"}, "--warmup-fraction 0.1 has no effect here"),
        ({"patience": 3, "validation_fraction": 0.0}, "--patience 3 has no effect here: .* above 0"),
        ({"patience": 3, "lines": "lab6"}, "--patience 3 has no effect here: .* lab7"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    plain = Config(weight_decay=0.0, schedule="constant", warmup_fraction=0.0)
    with pytest.raises(ConfigError, match=message):
        replace(plain, **change)  # type: ignore[arg-type]


def test_unknown_and_missing_settings_are_named() -> None:
    values = Config().to_dict()
    with pytest.raises(ConfigError, match="unknown setting 'hiden_size'; did you mean 'hidden_size'"):
        Config.from_dict({**values, "hiden_size": 3})
    del values["layers"], values["seed"]
    with pytest.raises(ConfigError, match="settings missing: layers, seed"):
        Config.from_dict(values)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=re.escape("unknown preset 'lab7-tunned'; did you mean 'lab7-tuned'?")
    ):
        preset("lab7-tunned")


@pytest.mark.parametrize("module", ["jax_lstm", "jax_lstm.config", "jax_lstm.data"])
def test_these_modules_import_no_framework(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {FRAMEWORKS} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_training_works_where_torch_is_not_installed() -> None:
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "import jax_lstm.trainer, jax_lstm.train, jax_lstm.evaluate"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_training_imports_no_torch_of_its_own() -> None:
    code = (
        "import sys, jax_lstm.trainer, jax_lstm.train, tensorboard.summary.writer.event_file_writer;"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


FRAMEWORKS = ("jax", "flax", "optax", "torch", "tensorflow", "tensorflow_datasets", "sklearn", "matplotlib")
