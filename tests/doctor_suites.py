"""Files of tests as teachers write them, from careless to strict, for the doctor to grade."""

NAIVE = """
import torch
from my_cell import ManualLSTMCell


def test_shapes():
    cell = ManualLSTMCell(5, 3)
    h, c = cell(torch.rand(2, 5), torch.zeros(2, 3), torch.zeros(2, 3))
    assert h.shape == (2, 3)
    assert c.shape == (2, 3)
"""

_LAYOUTS = '''
from itertools import permutations

import pytest
import torch
from torch import nn

I, H, B = 5, 3, 4


def blocks(parameters):
    """"b", "W", "U" or, of both beside each other, "WU" -> the blocks of the gates, H rows each."""
    found = {}
    for p in parameters:
        p = p.detach()
        if p.ndim == 3 or tuple(p.shape) == (4, H):
            parts = list(p)
        else:
            parts = p.chunk(4, dim=list(p.shape).index(4 * H)) if 4 * H in p.shape else [p]
        for q in parts:
            q = q.reshape(-1) if q.numel() == H else q if q.shape[0] == H else q.T
            kind = "b" if q.ndim == 1 else {I: "U", H: "W", I + H: "WU"}[q.shape[1]]
            found.setdefault(kind, []).append(q)
    return {kind: torch.stack(parts) for kind, parts in found.items()}


def layouts(cell):
    """W [4, H, H], U [4, H, I], b [4, H] in every order of gates and of x and h."""
    found = blocks(cell.parameters())
    if len(found.get("b", [])) not in (4, 8):
        pytest.fail("expected four biases, or twice four")
    b = found["b"].reshape(-1, 4, H).sum(0)
    if "WU" in found:
        both = found["WU"]
        pairs = [(both[..., I:], both[..., :I]), (both[..., :H], both[..., H:])]
    else:
        pairs = [(found["W"], found["U"]), (found["W"].mT, found["U"])]
    return [(W[k,], U[k,], b[k,]) for k in map(list, permutations(range(4))) for W, U in pairs]
'''

FROM_ZERO = f"""{_LAYOUTS}
import my_cell as student


def from_zero(W, U, b, x):
    theirs = nn.LSTMCell(I, H)
    with torch.no_grad():
        for own, p in zip((U, W, b, 0 * b), theirs.parameters()):
            p.copy_(own.flatten(0, 1))
    return theirs(x)


def test_like_torch():
    torch.manual_seed(0)
    cell, x, zeros = student.ManualLSTMCell(I, H), torch.rand(B, I), torch.zeros(B, H)
    said = cell(x, zeros, zeros)
    every = [from_zero(*layout, x) for layout in layouts(cell)]
    assert any(all(torch.allclose(a, b, atol=1e-6) for a, b in zip(said, right)) for right in every)
"""

STRONG = f"""{_LAYOUTS}
from my_cell import ManualLSTMCell


def equations(W, U, b, x, h, c):
    zi, zf, zo, zc = (h @ W[k].T + x @ U[k].T + b[k] for k in range(4))
    c = torch.sigmoid(zf) * c + torch.sigmoid(zi) * torch.tanh(zc)
    return torch.sigmoid(zo) * torch.tanh(c), c


def probes():
    return torch.randn(B, I), torch.randn(B, H), torch.randn(B, H)


@pytest.fixture
def cell():
    torch.manual_seed(0)
    cell = ManualLSTMCell(I, H)
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(torch.randn(p.shape))
    return cell


@pytest.fixture
def layout(cell):
    given = probes()
    said = cell(*(v.clone() for v in given))
    for found in layouts(cell):
        if all(torch.allclose(a, b, atol=1e-5) for a, b in zip(said, equations(*found, *given))):
            return found
    pytest.fail("the cell is not the equations in any layout")


def test_values(cell, layout):
    for _ in range(3):
        given = [3 * v for v in probes()]
        kept = [v.clone() for v in given]
        for a, b in zip(cell(*given), equations(*layout, *kept)):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
        assert all(map(torch.equal, kept, given))


def test_gradients(cell, layout):
    given = [v.requires_grad_() for v in probes()]
    own, right = (sum((v**2).sum() for v in said) for said in (cell(*given), equations(*layout, *given)))
    grads = torch.autograd.grad(own, [*given, *cell.parameters()], allow_unused=True)
    assert all(g is not None for g in grads)
    for a, b in zip(grads, torch.autograd.grad(right, given)):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    assert all(part.any() for parts in blocks(grads[3:]).values() for part in parts)


def test_batch_of_one(cell, layout):
    x, h, c = probes()
    for a, b in zip(cell(x, h, c), cell(x[:1], h[:1], c[:1])):
        torch.testing.assert_close(a[:1], b)
"""

CLASSIFIER = """
import torch
from student.lstm import ManualLSTMCell, ManualLSTMClassifier, train_step
from torch import nn


def test_last_h():
    torch.manual_seed(0)
    model, x = ManualLSTMClassifier(input_size=5, hidden_size=3, num_classes=4), torch.rand(2, 6, 5)
    cell, = [m for m in model.modules() if isinstance(m, ManualLSTMCell)]
    h = c = torch.zeros(2, 3)
    for t in range(6):
        h, c = cell(x[:, t], h, c)
    out, = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 4]
    torch.testing.assert_close(model(x), out(h))


def test_learns():
    torch.manual_seed(0)
    model, criterion = ManualLSTMClassifier(5, 3, 4), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.rand(8, 6, 5), torch.arange(8) % 4
    losses = [train_step(model, x, y, optimizer, criterion) for _ in range(20)]
    assert losses[-1] < losses[0]
"""

SCAN = """
import jax
import jax.numpy as jnp
from my_work import init_params, lstm_step


def test_scan():
    params = init_params(jax.random.PRNGKey(0), 5, 3)
    xs = jax.random.normal(jax.random.PRNGKey(1), (7, 4, 5))
    zeros = jnp.zeros((4, 3))
    (h, c), hs = jax.lax.scan(lambda carry, x: lstm_step(params, carry, x), (zeros, zeros), xs)
    assert jnp.allclose(hs[-1], h)
    (_, more), _ = lstm_step(params, (h, c + 1), xs[0])
    (_, less), _ = lstm_step(params, (h, c), xs[0])
    f = more - less
    assert ((f > 0) & (f < 1)).all()
"""

ARRAYS = """
import numpy as np
from student import init_params, lstm_cell


def test_forget_gate():
    rng = np.random.default_rng(0)
    params = init_params(rng, 5, 3)
    x, h, c = rng.normal(size=(4, 5)), rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    _, more = lstm_cell(params, x, h, c + 1)
    _, less = lstm_cell(params, x, h, c)
    f = more - less
    assert ((f > 0) & (f < 1)).all()
"""
