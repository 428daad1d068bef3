"""Right cells in forms of their own, and models beside them that are none of the lab's."""

from pathlib import Path

import pytest

from parity.doctor.diagnose import Diagnosis, diagnose

TORCH = """
import torch
from torch import nn


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.H = hidden_size
        self.fc = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, h, c):
        {split}
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
"""
CHUNK = "i, f, g, o = self.fc(torch.cat([x, h], 1)).chunk(4, 1)"

LAYER = """

class LSTMLayer(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell = Cell(input_size, hidden_size)

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], self.cell.H)
        out = []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], h, c)
            out.append(h)
        return torch.stack(out, 1)
"""
TWO_LAYER_HEAD = """

class Classifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.cell = Cell(input_size, hidden_size)
        self.head = nn.Sequential(nn.Linear(hidden_size, 7), nn.ReLU(), nn.Linear(7, num_classes))

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], self.cell.H)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], h, c)
        return self.head(h)
"""
EMBEDDING = """

class Tagger(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_size, num_classes):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, embed_dim)
        self.cell = Cell(embed_dim, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, tokens):
        h = c = torch.zeros(tokens.shape[0], self.cell.H)
        for x in self.embed(tokens).unbind(1):
            h, c = self.cell(x, h, c)
        return self.fc(h)
"""
SCRIPT = """

class Helper(torch.jit.ScriptModule):
    @torch.jit.script_method
    def forward(self, x):
        return x + 1
"""
JAX = """
import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size):
    return {
        "W": 0.1 * jax.random.normal(key, (input_size + hidden_size, 4 * hidden_size)),
        "b": jnp.zeros(4 * hidden_size),
    }
"""
KEYED = """

def step(params, state, x):
    z = jnp.concatenate([x, state["h"]], -1) @ params["W"] + params["b"]
    i, f, g, o = jnp.split(z, 4, -1)
    c = jax.nn.sigmoid(f) * state["c"] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return {"h": jax.nn.sigmoid(o) * jnp.tanh(c), "c": c}, None
"""
NAMED = """

def step(params, rnn_state, x):
    h, c = rnn_state
    i, f, g, o = jnp.split(jnp.concatenate([x, h], -1) @ params["W"] + params["b"], 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
"""


def examined(text: str, folder: Path) -> Diagnosis:
    (folder / "cell.py").write_text(text)
    return diagnose(folder / "cell.py")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(JAX + KEYED, id="states by keys"),
        pytest.param(JAX + NAMED, id="a state of another name"),
        pytest.param(
            TORCH.format(split="i, f, g, o = self.fc(torch.cat([x, h], 1)).view(-1, 4, self.H).unbind(1)"),
            id="unbind of the gates",
        ),
        pytest.param(
            TORCH.format(split="i, f, g, o = (z for z in self.fc(torch.cat([x, h], 1)).chunk(4, 1))"),
            id="a loop over the gates",
        ),
        pytest.param(TORCH.format(split=CHUNK) + SCRIPT, id="a ScriptModule beside it"),
    ],
)
def test_a_right_cell_is_found(text: str, tmp_path: Path) -> None:
    found = examined(text, tmp_path)
    assert (found.verdict, found.reason, found.warnings) == ("correct", None, ())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param(LAYER, "LSTMLayer", id="a layer"),
        pytest.param(TWO_LAYER_HEAD, "head.0.weight", id="a head of two layers"),
        pytest.param(EMBEDDING, "vocab_size", id="an embedding"),
    ],
)
def test_another_model_is_not_called_wrong(model: str, said: str, tmp_path: Path) -> None:
    found = examined(TORCH.format(split=CHUNK) + model, tmp_path)
    assert found.verdict == "correct"
    assert [w for w in found.warnings if w.startswith("not examined: ") and said in w]


def test_parameters_may_be_called_as_the_inputs_are(tmp_path: Path) -> None:
    text = (JAX + KEYED).replace('"W"', '"x"').replace('"b"', '"first"')
    assert examined(text, tmp_path).verdict == "correct"
    stopped = text.replace('@ params["x"]', '@ jax.lax.stop_gradient(params["x"])')
    assert {f.kind for f in examined(stopped, tmp_path).faults} == {"detached"}


def test_states_under_exchanged_keys_are_seen(tmp_path: Path) -> None:
    text = JAX + KEYED.replace('"h": jax.nn', '"c": jax.nn').replace('"c": c}', '"h": c}')
    found = examined(text, tmp_path)
    assert [f.kind for f in found.faults] == ["carry-swapped"]


def test_a_training_step_of_another_form_is_said_to_be_left(tmp_path: Path) -> None:
    text = TORCH.format(split=CHUNK) + "\n\ndef train_step(batch):\n    return batch\n"
    found = examined(text, tmp_path)
    assert found.verdict == "correct"
    assert found.warnings[0].startswith("not examined: train_step")
