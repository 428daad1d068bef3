"""The training step of a file: what it hands to its optimiser, and what becomes of the optimiser's state."""

from pathlib import Path

import pytest

from parity.doctor.diagnose import diagnose
from parity.doctor.zoo import ZOO

FILES = {s.file: s.path for s in ZOO}
TORCH = FILES["torch_train_no_zero_grad.py"].read_text().partition("def train_step")[0]
JAX = f"import functools\n{FILES['jax_train_state_dropped.py'].read_text()}"
STEP = """
def train_step(model, x, y, optimizer, criterion):
    model.train()
    optimizer.zero_grad()
    logits = model(x)
    loss = criterion(logits, y)
    loss.backward()
    optimizer.step()
    return loss.item()
"""


def before(line: str, *added: str, of: str = STEP) -> str:
    """The step with lines before the one that begins so."""
    assert of.count(f"    {line}") == 1
    return of.replace(f"    {line}", "".join(f"    {a}\n" for a in added) + f"    {line}")


def own(optimizer: str) -> str:
    """A step that makes its optimiser itself."""
    step = STEP.replace("x, y, optimizer, criterion", "x, y").replace(
        "criterion", "nn.functional.cross_entropy"
    )
    return before("optimizer.zero_grad", f"optimizer = torch.optim.{optimizer}", of=step)


IN_TORCH = {
    "as in the lab": (STEP, ()),
    "gradients clipped to a norm": (
        before("optimizer.step", "nn.utils.clip_grad_norm_(model.parameters(), 0.05)"),
        (),
    ),
    "gradients clipped to a value": (
        before("optimizer.step", "nn.utils.clip_grad_value_(model.parameters(), 0.01)"),
        (),
    ),
    "a closure": (
        STEP[: STEP.index("    optimizer")]
        + """
    def closure():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss

    return optimizer.step(closure).item()
""",
        (),
    ),
    "half the loss": (before("loss.backward", "loss = loss / 2"), ("scaled-loss",)),
    "the negative loss": (before("loss.backward", "loss = -loss"), ("gradient-ascent",)),
    "the loss averaged twice, its gradients piled": (
        before("loss.backward", "loss = loss / len(y)").replace("    optimizer.zero_grad()\n", ""),
        ("gradient",),
    ),
    "the accuracy in eval mode, after the step": (
        before("return", "model.eval()", "model(x).argmax(1)"),
        (),
    ),
    "eval mode left on for the next step": (
        before("return", "model.eval()").replace("    model.train()\n", ""),
        ("eval-mode",),
    ),
    "the step before the gradients": (
        before("logits", "optimizer.step()").replace("backward()\n    optimizer.step()", "backward()"),
        ("no-step",),
    ),
    "gradients set to None before the step": (
        before("optimizer.step", "for p in model.parameters():", "    p.grad = None"),
        ("zero-grad-too-late",),
    ),
    "a squared error, beside the word dropout": (
        before("loss.backward", "loss = ((logits - nn.functional.one_hot(y, 5)) ** 2).mean()  # no dropout"),
        ("gradient",),
    ),
    "an optimiser of its own without a state": (own("SGD(model.parameters(), 0.5)"), ()),
    "an optimiser of its own with a state": (
        own("SGD(model.parameters(), 0.5, momentum=0.9)"),
        ("optimizer-made-anew",),
    ),
    "an optimiser of its own for another model": (
        own("SGD(nn.Linear(1, 1).parameters(), 0.5)"),
        ("no-step",),
    ),
    "an optimiser of its own for the output layer": (own("SGD(model.fc.parameters(), 0.5)"), ("other-move",)),
}

RETURNED = ("return params, opt_state, loss", "return params, new_state, loss")
INSIDE = ("optimizer.update(grads, opt_state)", "optimizer.update(grads, optimizer.init(params))")
IN_JAX: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "the new state handed back": ((RETURNED,), ()),
    "buffers donated": (
        (RETURNED, ("@jax.jit\n", "@functools.partial(jax.jit, donate_argnums=(0, 1))\n")),
        (),
    ),
    "no state handed back": (
        (("return params, opt_state, loss", "return params, loss"),),
        ("optimizer-state-dropped",),
    ),
    "no state handed back, and none to keep": (
        (("return params, opt_state, loss", "return params, loss"), ("optax.adam(1e-3)", "optax.sgd(1e-3)")),
        (),
    ),
    "a state made in the step": ((RETURNED, INSIDE), ("optimizer-made-anew",)),
    "no gradient": (
        (RETURNED, ("    return optax", "    logits = jax.lax.stop_gradient(logits)\n    return optax")),
        ("no-backward",),
    ),
}


def kinds(source: str, folder: Path) -> tuple[str, ...]:
    path = folder / "student.py"
    path.write_text(source)
    diagnosis = diagnose(path)
    assert not [w for w in diagnosis.warnings if w.startswith("not examined")]
    assert diagnosis.credit["training"] == float(not diagnosis.faults)
    return tuple(f.kind for f in diagnosis.faults)


@pytest.mark.parametrize("name", IN_TORCH)
def test_in_pytorch(name: str, tmp_path: Path) -> None:
    step, expected = IN_TORCH[name]
    assert kinds(TORCH + step, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_JAX)
def test_in_jax(name: str, tmp_path: Path) -> None:
    changes, expected = IN_JAX[name]
    source = JAX
    for old, new in changes:
        assert source.count(old) == 1
        source = source.replace(old, new)
    assert kinds(source, tmp_path) == expected


def test_what_cannot_be_judged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "student.py"
    drops = before("loss.backward", "loss = criterion(nn.functional.dropout(logits), y)")
    path.write_text(TORCH + drops)
    found = diagnose(path)
    assert (found.verdict, "training" in found.credit) == ("correct", False)
    assert "it draws random numbers" in found.warnings[0]
    # a step without the classifier that it trains
    cell = TORCH.partition("class ManualLSTMClassifier")[0]
    path.write_text(cell + STEP)
    found = diagnose(path)
    assert found.warnings[0].startswith("not examined: train_step: there is no classifier")
    assert set(found.credit) == {*"ifoc", "state"}
