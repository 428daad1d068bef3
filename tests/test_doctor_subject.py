"""The doctor's process for a student's file: forms of code that it finds, and accidents that it survives."""

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.doctor.child import CallFailed, Limits, Unexamined
from parity.doctor.subject import Run, Subject, Target

QUICK = Limits(seconds=20, call_seconds=2, memory_bytes=2**30)
SLOW = Limits(seconds=60, call_seconds=20)
RNG = np.random.default_rng(3)
I, H, B, N = 2, 3, 5, 3  # noqa: E741

Open = Callable[..., Subject]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens a file with this text; closes it at the end."""
    subjects = []

    def open_it(
        text: str, name: str | None = None, limits: Limits = QUICK, file: str = "my_cell.py"
    ) -> Subject:
        path = tmp_path / file
        path.write_text(textwrap.dedent(text))
        subjects.append(Subject(path, name, limits=limits))
        return subjects[-1]

    yield open_it
    for subject in subjects:
        subject.close()


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def lstm(gates: dict[str, Any], c: Any) -> tuple[Any, Any]:
    """h and c of pre-activations."""
    new = sigmoid(gates["f"]) * c + sigmoid(gates["i"]) * np.tanh(gates["c"])
    return sigmoid(gates["o"]) * np.tanh(new), new


def inputs(count: int = N) -> tuple[Any, Any, Any]:
    return tuple(RNG.normal(size=(count, B, width)) for width in (I, H, H))  # type: ignore[return-value]


def drawn(shapes: dict[str, tuple[int, ...]], count: int = N) -> dict[str, Any]:
    return {name: RNG.normal(size=(count, *shape)) for name, shape in shapes.items()}


def run(subject: Subject, count: int = N, **options: Any) -> tuple[Target, dict[str, Any], Any, Run]:
    target = subject.targets[0]
    parameters = drawn(subject.build(target, I, H), count)
    given = inputs(count)
    return target, parameters, given, subject.run(parameters, *given, **options)


NUMPY = """
    import numpy as np

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    def lstm_cell(params, x, h, c):
        {first}
        z = np.concatenate([x, h], axis=1)
        i = sigmoid(z @ params["W_i"] + params["b_i"])
        f = sigmoid(z @ params["W_f"] + params["b_f"])
        o = sigmoid(z @ params["W_o"] + params["b_o"])
        c = f * c + i * np.tanh(z @ params["W_c"] + params["b_c"])
        h = o * np.tanh(c)
        return h, c
"""

TORCH = """
    import torch
    import torch.nn as nn

    class ManualLSTMCell(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.hidden_size = hidden_size
            self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
            self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
            self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
            self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

        def forward(self, x, {arguments}):
            {unpack}
            z = torch.cat([x, h], dim=1)
            i, f, o = (torch.sigmoid(gate(z)) for gate in (self.W_i, self.W_f, self.W_o))
            c_t = f * c + i * torch.tanh(self.W_c(z))
            h_t = o * torch.tanh(c_t)
            return {result}

    class ManualLSTMClassifier(nn.Module):
        def __init__(self, input_size, hidden_size, num_classes):
            super().__init__()
            self.cell = ManualLSTMCell(input_size, hidden_size)
            self.fc = nn.Linear(hidden_size, num_classes)

        def forward(self, x):
            h = x.new_zeros(x.size(0), self.cell.hidden_size)
            c = x.new_zeros(x.size(0), self.cell.hidden_size)
            for t in range(x.size(1)):
                h, c = self.cell(x[:, t], h, c)
            return self.fc(h)

    def train_step(model, x, y, optimizer, criterion):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()
"""
PLAIN = {"arguments": "h, c", "unpack": "pass", "result": "h_t, c_t"}


def expected_of_linear(parameters: dict[str, Any], x: Any, h: Any, c: Any, name: str = "{}") -> Any:
    z = np.concatenate([x, h], axis=-1)
    gates = {
        g: z @ parameters[name.format(f"W_{g}.weight")].swapaxes(1, 2)
        + parameters[name.format(f"W_{g}.bias")][:, None]
        for g in "ifoc"
    }
    return lstm(gates, c)


# ---- forms


@pytest.mark.parametrize(
    ("arguments", "unpack", "result", "names", "carried"),
    [
        ("h, c", "pass", "h_t, c_t", ("h", "c"), False),
        ("state", "h, c = state", "(h_t, c_t)", ("h", "c"), True),
        ("state", "c, h = state", "c_t, h_t", ("c", "h"), True),
        ("hx", "h, c = hx", "h_t, (h_t, c_t)", ("h", "c"), True),
        ("c, h", "pass", "h_t, c_t, (i, f, o)", ("c", "h"), False),
    ],
)
def test_torch_cell(
    opened: Open, arguments: str, unpack: str, result: str, names: tuple[str, str], carried: bool
) -> None:
    subject = opened(TORCH.format(arguments=arguments, unpack=unpack, result=result), limits=SLOW)
    target, parameters, (x, first, second), got = run(subject)
    assert (target.name, target.kind, target.framework) == ("ManualLSTMCell", "cell", "torch")
    assert (target.state_names, target.carried, target.line) == (names, carried, 5)
    assert target.returns == (("c_t", "h_t") if result.startswith("c_t") else ("h_t", "c_t"))
    h, c = (first, second) if names == ("h", "c") else (second, first)
    wanted = expected_of_linear(parameters, x, h, c)
    wanted = wanted[::-1] if result.startswith("c_t") else wanted
    np.testing.assert_allclose(got.first, wanted[0], atol=1e-12)
    np.testing.assert_allclose(got.second, wanted[1], atol=1e-12)
    assert got.dtypes == ("float64", "float64")
    assert got.changed == ()


def test_torch_gradients_classifier_and_training(opened: Open) -> None:
    subject = opened(TORCH.format(**PLAIN), limits=SLOW)
    cell, classifier, training = subject.targets
    assert (classifier.kind, training.kind) == ("classifier", "training")

    one = {name: value[0] for name, value in drawn(subject.build(cell, I, H)).items()}
    x, h, c = (a[0] for a in inputs())
    a, b = RNG.normal(size=(2, B, H))
    found = subject.gradients(one, x, h, c, a, b)
    assert found is not None
    assert set(found.parameters) == set(one)
    assert set(found.inputs) == {"x", "first", "second"}

    def total(shift: float) -> float:
        moved = one | {"W_f.weight": one["W_f.weight"] + shift * np.eye(1, H * (I + H), 4).reshape(H, I + H)}
        got = subject.run({n: v[None] for n, v in moved.items()}, x[None], h[None], c[None])
        return float((a * got.first[0]).sum() + (b * got.second[0]).sum())

    slope = (total(1e-5) - total(-1e-5)) / 2e-5
    assert found.parameters["W_f.weight"] is not None
    np.testing.assert_allclose(found.parameters["W_f.weight"].ravel()[4], slope, atol=1e-8)

    shapes = subject.build(classifier, I, H, C=4)
    parameters = drawn(shapes, 1)
    xs = RNG.normal(size=(2, B, 6, I))
    h, c = np.zeros((2, B, H)), np.zeros((2, B, H))
    for t in range(6):
        h, c = expected_of_linear(parameters, xs[:, :, t], h, c, "cell.{}")
    wanted = h @ parameters["fc.weight"][0].T + parameters["fc.bias"][0]
    np.testing.assert_allclose(subject.classify(parameters, xs), wanted, atol=1e-12)
    held = {name: value[0] for name, value in parameters.items()}
    gradients = subject.classifier_gradients(held, xs[0], np.ones((B, 4)))
    assert gradients is not None
    assert gradients.parameters["fc.bias"] is not None
    np.testing.assert_allclose(gradients.parameters["fc.bias"], np.full(4, B))

    subject.build(training, I, H, C=4)
    steps = subject.train_step(held, xs[0], np.arange(B) % 4, 2, 0.1)
    assert len(steps) == 2
    assert steps[0].events == ("backward", "step")
    assert not steps[0].in_eval_mode
    assert steps[1].gradients is not None
    for name, value in steps[1].parameters.items():
        np.testing.assert_allclose(
            value, steps[0].parameters[name] - 0.1 * steps[1].gradients[name], atol=1e-12
        )


@pytest.mark.parametrize(
    ("beside", "taken"),
    [
        ("def eval_step(model, x, y):", "train_step"),
        ("def validation_step(model, x, y, criterion):", "train_step"),
        ("def fit_batch(model, x, y):", "train_step"),  # without an optimiser
        ("def train_batch(model, x, y, optimizer):", "train_batch"),
        ("def latest_step(model, x, y, lr):", "latest_step"),
    ],
)
def test_the_training_step_of_several(opened: Open, beside: str, taken: str) -> None:
    text = textwrap.dedent(TORCH.format(**PLAIN)).replace(
        "def train_step", f"{beside}\n    pass\n\ndef train_step"
    )
    assert [t.name for t in opened(text).targets if t.kind == "training"] == [taken]


def test_what_only_judges_is_no_training_step(opened: Open) -> None:
    text = TORCH.format(**PLAIN).replace(
        "def train_step(model, x, y, optimizer, criterion)", "def eval_step(model, x, y)"
    )
    assert [t.kind for t in opened(text).targets] == ["cell", "classifier"]


def test_torch_unregistered_detached_and_in_place(opened: Open) -> None:
    text = """
        import torch
        import torch.nn as nn

        class Cell(nn.Module):
            def __init__(self, n_in, n_hidden=7, bias=True):
                super().__init__()
                self.scale = torch.tensor(2.0)
                self.register_buffer("noise", torch.randn(n_hidden))
                self.gates = [nn.Linear(n_in + n_hidden, n_hidden) for _ in range(3)]
                self.W = torch.randn(n_hidden, n_in + n_hidden)
                self.b = nn.Parameter(torch.zeros(n_hidden))
                self.W_view = self.b[:1]

            def forward(self, inp, hidden, cell):
                z = torch.cat([inp, hidden.detach()], dim=1)
                i, f, o = (torch.sigmoid(g(z)) for g in self.gates)
                cell.mul_(f)
                cell = cell + i * torch.tanh(z @ self.W.T + self.b)
                return o * torch.tanh(cell), cell
    """
    subject = opened(text, limits=SLOW)
    target, parameters, _, got = run(subject, dtype="float32")
    gates = {f"gates.{n}.{kind}" for n in range(3) for kind in ("weight", "bias")}
    assert set(parameters) == {"b", "W", *gates}
    assert subject.unregistered == {"W", *gates}
    assert got.changed == ("second",)
    assert got.dtypes == ("float32", "float32")
    assert target.state_names == ("hidden", "cell")
    one = {name: value[0] for name, value in parameters.items()}
    x, h, c = (a[0] for a in inputs())
    found = subject.gradients(one, x, h, c, np.ones((B, H)), np.ones((B, H)))
    assert found is not None
    assert found.parameters["W"] is None
    assert found.inputs["first"] is None
    assert found.inputs["second"] is not None
    assert found.parameters["gates.0.weight"] is not None
    assert subject.initial()["W"].shape == (H, I + H)
    np.testing.assert_array_equal(subject.initial()["W"], subject.initial()["W"])


def test_torch_fresh_instances_forget(opened: Open) -> None:
    text = TORCH.format(
        arguments="h, c", unpack="self.n = getattr(self, 'n', 0) + 1", result="h_t * self.n, c_t"
    )
    subject = opened(text, limits=SLOW)
    subject.build(subject.targets[0], I, H)
    initial = {name: value[None] for name, value in subject.initial().items()}
    x, h, c = inputs(1)
    x = np.repeat(x, 3, axis=0)
    kept, fresh = (subject.run(initial, x, h, c, fresh=fresh).first for fresh in (False, True))
    np.testing.assert_allclose(kept[2], 3 * kept[0], atol=1e-12)
    np.testing.assert_array_equal(fresh[2], fresh[0])


def test_jax_scan_form_with_init(opened: Open) -> None:
    text = """
        from typing import NamedTuple
        import jax
        import jax.numpy as jnp

        class State(NamedTuple):
            h: jax.Array
            c: jax.Array

        def init_params(key, input_size, hidden_size):
            keys = jax.random.split(key, 4)
            shape = (input_size + hidden_size, hidden_size)
            return {
                g: {"W": jax.random.normal(k, shape), "b": jnp.zeros(hidden_size)}
                for g, k in zip("ifoc", keys)
            }

        @jax.jit
        def lstm_cell(params, carry, x):
            z = jnp.concatenate([x, carry.h], axis=-1)
            i, f, o, g = (z @ params[g]["W"] + params[g]["b"] for g in "ifoc")
            c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return State(h, c), h
    """
    subject = opened(text, limits=SLOW)
    target, parameters, (x, h, c), got = run(subject, count=9)
    assert (target.framework, target.carried, target.state_names) == ("jax", True, ("h", "c"))
    z = np.concatenate([x, h], axis=-1)
    gates = {g: z @ parameters[f"{g}.W"] + parameters[f"{g}.b"][:, None] for g in "ifoc"}
    wanted = lstm(gates, c)
    np.testing.assert_allclose(got.first, wanted[0], atol=1e-12)
    np.testing.assert_allclose(got.second, wanted[1], atol=1e-12)
    assert set(subject.initial()) == set(parameters)
    one = {name: value[0] for name, value in parameters.items()}
    found = subject.gradients(one, x[0], h[0], c[0], np.ones((B, H)), np.ones((B, H)))
    assert found is not None
    assert found.parameters["f.W"] is not None
    assert abs(found.parameters["f.W"]).max() > 0
    single = subject.run(parameters, x, h, c, dtype="float32")
    assert single.dtypes == ("float32", "float32")


def test_jax_parameters_keep_their_sizes(opened: Open) -> None:
    text = """
        import jax
        import jax.numpy as jnp

        def init_params(key, input_size, hidden_size):
            W = jax.random.normal(key, (input_size + hidden_size, 4 * hidden_size))
            return {"hidden_size": hidden_size, "W": W, "b": jnp.zeros(4 * hidden_size)}

        def lstm_cell(params, carry, x):
            (h, c), H = carry, params["hidden_size"]
            z = jnp.concatenate([x, h], axis=-1) @ params["W"] + params["b"]
            i, f, o, g = z[:, :H], z[:, H : 2 * H], z[:, 2 * H : 3 * H], z[:, 3 * H :]
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
    """
    _, parameters, (x, h, c), got = run(opened(text, limits=SLOW), count=2)
    z = np.concatenate([x, h], axis=-1) @ parameters["W"] + parameters["b"][:, None]
    wanted = lstm(dict(zip("ifoc", np.split(z, 4, axis=-1), strict=True)), c)
    np.testing.assert_allclose(got.first, wanted[0], atol=1e-12)


def test_jax_discovery_of_columns(opened: Open) -> None:
    text = """
        import jax
        import jax.numpy as jnp

        def cell(params, x, h, c):
            U_i, W_i, b_i, U_f, W_f, b_f, U_o, W_o, b_o, U_c, W_c, b_c = params
            i = jax.nn.sigmoid(U_i @ x + W_i @ h + b_i)
            f = jax.nn.sigmoid(U_f @ x + W_f @ h + b_f)
            o = jax.nn.sigmoid(U_o @ x + W_o @ h + b_o)
            c = f * c + i * jnp.tanh(U_c @ x + W_c @ h + b_c)
            return o * jnp.tanh(c), c
    """
    subject = opened(text, limits=SLOW)
    _, parameters, (x, h, c), got = run(subject)
    assert [value.shape[1:] for value in parameters.values()] == [(H, I), (H, H), (H, 1)] * 4
    assert subject.initial() == {}
    held = list(parameters.values())
    gates = {
        g: x @ held[3 * n].swapaxes(1, 2)
        + h @ held[3 * n + 1].swapaxes(1, 2)
        + held[3 * n + 2].swapaxes(1, 2)
        for n, g in enumerate("ifoc")
    }
    np.testing.assert_allclose(got.first, lstm(gates, c)[0], atol=1e-12)


def test_numpy_discovery_and_conduct(opened: Open) -> None:
    subject = opened(NUMPY.format(first='x *= 1.5; params["b_i"] += 1'))
    target, parameters, (x, h, c), got = run(subject)
    assert target.framework == "numpy"
    assert subject.build(target, 4, 2)["W_o"] == (6, 2)
    assert {name: value.shape[1:] for name, value in parameters.items()} == {
        f"{kind}_{g}": shape for g in "ifoc" for kind, shape in (("W", (I + H, H)), ("b", (H,)))
    }
    z = np.concatenate([1.5 * x, h], axis=-1)
    gates = {g: z @ parameters[f"W_{g}"] + parameters[f"b_{g}"][:, None] + (g == "i") for g in "ifoc"}
    np.testing.assert_allclose(got.first, lstm(gates, c)[0], atol=1e-12)
    assert got.changed == ("x", "b_i")
    subject.build(target, I, H)
    one = {name: value[0] for name, value in parameters.items()}
    assert subject.gradients(one, x[0], h[0], c[0], h[0], h[0]) is None


def test_numpy_columns_with_more_outputs(opened: Open) -> None:
    text = """
        import numpy as np

        def sigmoid(z):
            return 1 / (1 + np.exp(-z))

        def lstm_cell_forward(xt, a_prev, c_prev, parameters):
            Wf, bf = parameters["Wf"], parameters["bf"]
            Wi, bi = parameters["Wi"], parameters["bi"]
            Wc, bc = parameters["Wc"], parameters["bc"]
            Wo, bo = parameters["Wo"], parameters["bo"]
            Wy, by = parameters["Wy"], parameters["by"]
            n_x, m = xt.shape
            n_y, n_a = Wy.shape
            concat = np.zeros((n_a + n_x, m))
            concat[:n_a, :] = a_prev
            concat[n_a:, :] = xt
            ft, it = sigmoid(Wf @ concat + bf), sigmoid(Wi @ concat + bi)
            cct = np.tanh(Wc @ concat + bc)
            c_next = ft * c_prev + it * cct
            ot = sigmoid(Wo @ concat + bo)
            a_next = ot * np.tanh(c_next)
            return a_next, c_next, Wy @ a_next + by, (a_next, c_next, ft)
    """
    subject = opened(text)
    target, parameters, (x, h, c), got = run(subject)
    assert target.returns == ("a_next", "c_next")
    z = np.concatenate([h, x], axis=-1)
    gates = {g: z @ parameters[f"W{g}"].swapaxes(1, 2) + parameters[f"b{g}"].swapaxes(1, 2) for g in "ifoc"}
    np.testing.assert_allclose(got.first, lstm(gates, c)[0], atol=1e-12)


def test_numpy_one_argument_per_weight_and_vectors(opened: Open) -> None:
    text = """
        import numpy as np

        sigmoid = lambda z: 1 / (1 + np.exp(-z))

        def step(x, h, c, Wf, bf, Wi, bi, Wo, bo, Wc, bc):
            z = np.concatenate([x, h])
            f, i, o = sigmoid(Wf @ z + bf), sigmoid(Wi @ z + bi), sigmoid(Wo @ z + bo)
            c = f * c + i * np.tanh(Wc @ z + bc)
            return o * np.tanh(c), c

        def unroll(xs, h, c, Wf, bf, Wi, bi, Wo, bo, Wc, bc):
            for x in xs:
                h, c = step(x, h, c, Wf, bf, Wi, bi, Wo, bo, Wc, bc)
            return h, c
    """
    subject = opened(text)
    target, parameters, (x, h, c), got = run(subject)
    assert target.name == "step"
    z = np.concatenate([x, h], axis=-1)
    for g in "ifoc":
        parameters[f"b{g}"] = parameters[f"b{g}"].reshape(N, 1, H)
    gates = {g: z @ parameters[f"W{g}"].swapaxes(1, 2) + parameters[f"b{g}"] for g in "ifoc"}
    np.testing.assert_allclose(got.first, lstm(gates, c)[0], atol=1e-12)


def test_numpy_class(opened: Open) -> None:
    text = """
        import numpy as np

        class Cell:
            def __init__(self, input_size, hidden_size):
                self.W = {g: np.random.randn(hidden_size, input_size + hidden_size) for g in "ifoc"}
                self.b = [np.zeros(hidden_size) for g in "ifoc"]
                self.h = np.zeros(hidden_size)

            def step(self, x, h, c):
                z = np.concatenate([x, h], axis=-1)
                i, f, o, g = (z @ self.W[g].T + b for g, b in zip("ifoc", self.b))
                i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
                c = f * c + i * np.tanh(g)
                return o * np.tanh(c), c
    """
    subject = opened(text)
    _, parameters, (x, h, c), got = run(subject)
    assert set(parameters) == {f"W.{g}" for g in "ifoc"} | {f"b.{n}" for n in range(4)}
    z = np.concatenate([x, h], axis=-1)
    gates = {
        g: z @ parameters[f"W.{g}"].swapaxes(1, 2) + parameters[f"b.{n}"][:, None]
        for n, g in enumerate("ifoc")
    }
    np.testing.assert_allclose(got.first, lstm(gates, c)[0], atol=1e-12)


def test_a_neighbour_can_be_imported(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("def twice(a):\n    return a + a\n")
    subject = opened("from helpers import twice\n" + textwrap.dedent(NUMPY.format(first="x = twice(x) / 2")))
    assert run(subject)[3].first.shape == (N, B, H)


# ---- what is no cell


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("x = (1 +", None, "line 1: this is not Python"),
        ("!pip install torch", None, "commands of a notebook"),
        ("x = 1", None, "no LSTM cell was found: it defines no class and no function"),
        ("def f(a):\n    return a", None, "what it defines is f"),
        ("import nowhere_to_be_found", None, "line 1: the file imports 'nowhere_to_be_found'"),
        ("raise ValueError('no data')", None, "line 1: importing the file failed with ValueError: no data"),
        (textwrap.dedent(NUMPY).format(first="pass"), "lstm_cel", "did you mean lstm_cell?"),
        (textwrap.dedent(NUMPY).format(first="pass"), "sigmoid", "sigmoid has not the form of a cell"),
        (textwrap.dedent(NUMPY).format(first="raise KeyError('W')"), None, "could not be found out"),
        (
            textwrap.dedent(NUMPY + NUMPY.replace("lstm_cell", "other_cell")).format(first="pass"),
            None,
            "there are 2 cells, lstm_cell, other_cell: name the one to examine with --object",
        ),
    ],
)
def test_unexamined(opened: Open, text: str, name: str | None, words: str) -> None:
    with pytest.raises(Unexamined, match=r".") as caught:
        opened(text, name)
    assert words in str(caught.value)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(Unexamined, match="cannot be read"):
        Subject(tmp_path / "missing.py")
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(Unexamined, match="notebook"):
        Subject(tmp_path / "a.ipynb")
    (tmp_path / "b.py").write_bytes(b"x = '\xff'")
    with pytest.raises(Unexamined, match="UTF-8"):
        Subject(tmp_path / "b.py")


def test_a_named_cell_of_two(opened: Open) -> None:
    text = NUMPY.format(first="pass") + NUMPY.replace("lstm_cell", "other_cell").format(first="pass")
    assert [t.name for t in opened(text, "other_cell").targets] == ["other_cell"]


def test_calls_that_fail(opened: Open) -> None:
    text = TORCH.format(arguments="h, c", unpack="assert h.shape[1] == x.shape[1]", result="h_t")
    subject = opened(text, limits=SLOW)
    with pytest.raises(CallFailed, match="AssertionError") as caught:
        run(subject)
    assert caught.value.line == 15
    shapes = subject.build(subject.targets[0], H, H)
    with pytest.raises(
        CallFailed, match=r"it must return two arrays \[B, H\] = \[5, 3\].* an array \[5, 3\]"
    ):
        subject.run(drawn(shapes), RNG.normal(size=(1, B, H)), *inputs()[1:])


@pytest.mark.parametrize(
    ("given", "words"),
    [("hidden_size", "takes no input_size"), ("input_size, hidden_size, a, b, tree", "an argument `tree`")],
)
def test_a_wrong_constructor(opened: Open, given: str, words: str) -> None:
    text = TORCH.format(**PLAIN).replace("(self, input_size, hidden_size):", f"(self, {given}):")
    subject = opened(text, limits=SLOW)
    with pytest.raises(CallFailed, match=words):
        subject.build(subject.targets[0], I, H)


# ---- accidents


LOOP = "while True: pass"
ACCIDENTS = {
    LOOP: "still running after",
    "import sys; sys.exit(3)": r"ends the program \(sys.exit\(3\)\)",
    "quit()": "ends the program",
    "import os; os._exit(3)": r"ends the program \(os._exit\(3\)\)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "crashed in compiled code",
    "import os; os.abort()": "SIGABRT",
    "import ctypes; ctypes.CDLL(None).exit(4)": r"ended the whole process \(status 4\)",
    "a = np.ones(10**10)": "more memory",
    "f = lambda: f(); f()": "calls itself without end",
    "while True: print('x' * 100)": "still running after",
}


def _in(where: str, accident: str) -> str:
    if where == "a call":
        return NUMPY.format(first=accident)
    if where == "the file":
        return f"{NUMPY.format(first='pass')}\n    {accident}\n"
    return f"""
    import numpy as np

    class Cell:
        def __init__(self, input_size, hidden_size):
            self.W = np.zeros(hidden_size)
            {accident}

        def forward(self, x, h, c):
            return h, c
    """


@pytest.mark.parametrize("where", ["the file", "the constructor", "a call"])
@pytest.mark.parametrize("accident", ACCIDENTS)
def test_accidents(opened: Open, accident: str, where: str, tmp_path: Path) -> None:
    text = _in(where, accident)
    line = next(n for n, given in enumerate(text.splitlines(), 1) if accident in given)
    with pytest.raises(Unexamined, match=ACCIDENTS[accident]) as caught:
        opened(text, limits=Limits(call_seconds=1.0, memory_bytes=2**30))
    if "ctypes" not in accident:
        assert caught.value.line == line
    if "print" in accident:
        assert caught.value.printed.startswith("xxx")
        assert len(caught.value.printed) < 10_000
    assert not list(tmp_path.glob("core*"))


def test_an_accident_after_some_calls(opened: Open) -> None:
    text = NUMPY.format(first="n.append(1)\n        while len(n) > 400: pass") + "\n    n = []\n"
    subject = opened(text)
    target = subject.targets[0]
    parameters = drawn(subject.build(target, I, H), 1000)
    with pytest.raises(Unexamined, match="still running") as caught:
        subject.run(parameters, *inputs(1000))
    assert caught.value.line == 9
    with pytest.raises(Unexamined, match="still running"):
        subject.build(target, I, H)


@pytest.mark.parametrize(
    ("accident", "words"),
    [
        ("open('{outside}/a', 'w')", "write files outside"),
        ("open('{outside}/there', 'a')", "write files outside"),
        ("import os; os.remove('{outside}/there')", "change files outside"),
        ("import os; os.rename('{outside}/there', 'here')", "change files outside"),
        ("import os; os.mkdir('{outside}/folder')", "change files outside"),
        ("import shutil; shutil.rmtree('{outside}')", "change files outside"),
        ("import subprocess; subprocess.run(['true'])", "processes"),
        ("import os; os.system('true')", "processes"),
        ("import os; os.fork()", "processes"),
        ("import os; os.kill(os.getppid(), 15)", "processes"),
        ("import urllib.request as r; r.urlopen('http://127.0.0.1:9')", "network"),
        ("open('huge', 'wb').write(bytes(2**25))", "File too large"),
        ("input('name?')", "EOF"),
    ],
)
def test_what_is_not_allowed(opened: Open, tmp_path: Path, accident: str, words: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there").write_text("kept")
    with pytest.raises(Unexamined, match=words):
        opened(f"{accident.format(outside=outside)}\n")
    assert [p.name for p in outside.iterdir()] == ["there"]
    assert (outside / "there").read_text() == "kept"


def test_what_is_allowed(opened: Open, tmp_path: Path) -> None:
    first = """
    import os, tempfile, shutil, sys
    with open("here", "w") as file:
        file.write("x")
    os.rename("here", "there")
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, "a"), "w").close()
    open(os.devnull, "w").close()
    print(open(__file__).read()[:12], __name__, os.path.basename(sys.argv[0]))
    print("to stderr", file=sys.stderr)
    os.write(1, b"by number")
    """
    subject = opened(first + NUMPY.format(first="pass"))
    assert "my_cell my_cell.py\nto stderr\nby number" in subject.printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my_cell.py"]


def test_nothing_is_left_behind(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with opened(NUMPY.format(first="pass")) as subject:
        assert len(list(scratch.iterdir())) == 1
        number = subject.pid
    assert not list(scratch.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    with pytest.raises(Unexamined):
        opened(LOOP, limits=Limits(call_seconds=0.5))
    assert not list(scratch.iterdir())


def test_nothing_is_left_of_what_cannot_start(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr("sys.executable", str(scratch / "nothing"))
    with pytest.raises(FileNotFoundError):
        opened(NUMPY.format(first="pass"))
    assert not list(scratch.iterdir())


def test_what_is_printed_before_the_file_is_run_is_not_kept(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text('print("of the framework")')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert opened('print("own")\n' + textwrap.dedent(NUMPY.format(first="pass"))).printed == "own\n"


def test_a_long_search_ends(opened: Open) -> None:
    cell = """
        class Cell{n}:
            def __init__(self, input_size, hidden_size):
                self.W = np.zeros((input_size, hidden_size))

            def forward(self, x, h, c):
                time.sleep(0.2)
                raise ValueError
    """
    text = "import time\nimport numpy as np\n" + "".join(textwrap.dedent(cell.format(n=n)) for n in range(4))
    with pytest.raises(Unexamined, match="whole examination took longer than 1 s"):
        opened(text, limits=Limits(seconds=1, call_seconds=1))


def test_the_time_of_an_examination_is_limited(opened: Open) -> None:
    subject = opened(
        NUMPY.format(first="import time; time.sleep(0.02 * (x.shape[0] == 6))"),
        limits=Limits(seconds=1, call_seconds=1),
    )
    parameters = drawn(subject.build(subject.targets[0], I, H), 100)
    with pytest.raises(Unexamined, match=r"still running|whole examination"):
        subject.run(parameters, RNG.normal(size=(100, 6, I)), *(np.zeros((1, 6, H)),) * 2)


def test_a_library_name_is_no_trouble(opened: Open) -> None:
    assert opened(NUMPY.format(first="pass"), file="random.py").targets[0].name == "lstm_cell"
