"""The correct cells are what they claim to be: each is the nine equations under its stated weights."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from doctor_cells import Right, right_cells
from numpy.typing import NDArray

B, I, H = 5, 2, 3  # noqa: E741
ALL = right_cells()
Array = NDArray[Any]
Step = Callable[[Sequence[Any]], tuple[Any, Any]]
ROUNDING = {False: 1e-12, True: 2e-6}
"""Of a step in float64, and in float32; gates are below 1, and so are the sums of five products nearly."""


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(0, 0.7, shape)


def states() -> list[Array]:
    """x [B, I], h and c [B, H]."""
    return [normal(B, size, seed=k + 1) for k, size in enumerate((I, H, H))]


def equations(weights: dict[str, tuple[Array, Array, Array]]) -> tuple[Array, Array]:
    """The new h and c [B, H] of `states`, by the gate equations; W [H, H], U [H, I], b [H]."""
    x, h, c = states()
    z = {g: h @ np.asarray(W).T + x @ np.asarray(U).T + np.asarray(b) for g, (W, U, b) in weights.items()}
    i, f, o = (1 / (1 + np.exp(-z[g])) for g in "ifo")
    c = f * c + i * np.tanh(z["c"])
    return o * np.tanh(c), c


def namespace(right: Right) -> dict[str, Any]:
    """The student's file, executed, and the cell or its parameters made at I = 2, H = 3."""
    space: dict[str, Any] = {"__name__": "student"}
    exec(compile(right.source, right.name, "exec"), space)
    assert right.object in space
    rng = np.random.default_rng(3)
    space |= {"I": I, "H": H, "rng": rng, "seed": 0, "draw": normal, "np": np}
    if right.framework != "jax":
        exec(right.make, space)
    return space


def shapes(right: Right, space: dict[str, Any]) -> Any:
    """The shapes of a JAX function's parameters; nothing is compiled for it."""

    def made(key: jax.Array) -> Any:
        local = space | {"key": key}
        exec(right.make, local)
        return local["p"]

    return jax.eval_shape(made, jax.random.key(0))


def stepped(right: Right, space: dict[str, Any], values: Sequence[Any], xp: Any) -> tuple[Any, Any]:
    """The new states [B, H] by the student's code, whatever axes it takes."""

    def once(*values: Any) -> tuple[Any, Any]:
        local = space | dict(zip("xhc", values, strict=True))
        exec(right.use, local)
        return local["h"], local["c"]

    if right.axes == "columns":
        h, c = once(*(value.T for value in values))
        return h.T, c.T
    if right.axes == "vector":
        rows = [once(*row) for row in zip(*values, strict=True)]
        return xp.stack([h for h, _ in rows]), xp.stack([c for _, c in rows])
    return once(*values)


def compare(right: Right, p: Any, got: Iterable[Any]) -> None:
    """The states got from `states` are those of the equations."""
    weights = eval(right.weights, {"p": p, "I": I, "H": H, "np": np})
    allowed = ROUNDING[right.float32]
    for state, expected in zip(got, equations(weights), strict=True):
        assert state.shape == (B, H), right.source
        np.testing.assert_allclose(np.asarray(state), expected, allowed, allowed, err_msg=right.source)


def objective(step: Step, values: Sequence[Any], like: Callable[[Array], Any]) -> Any:
    """A weighted sum of the new states."""
    return sum((like(normal(B, H, seed=7 + k)) * state).sum() for k, state in enumerate(step(values)))


def check_gradient(value: Callable[[list[Array]], float], at: list[Array], gradient: list[Array]) -> None:
    """The gradient is that of the values along a random direction, and every array has one."""
    along = [normal(*a.shape, seed=20 + k) for k, a in enumerate(at)]
    ε = 1e-6
    ahead, behind = (value([a + s * ε * d for a, d in zip(at, along, strict=True)]) for s in (1, -1))
    slope = sum(float((g * d).sum()) for g, d in zip(gradient, along, strict=True))
    assert all(np.abs(g).max() > 0 for g in gradient)
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * ε), rtol=1e-6, atol=1e-8)


def check_torch(right: Right) -> None:
    space = namespace(right)
    dtype = torch.float32 if right.float32 else torch.float64
    module = space["cell"].to(dtype)
    assert not [a for m in module.modules() for a in vars(m).values() if isinstance(a, torch.Tensor)]
    names = [name for name, _ in module.named_parameters()]
    arrays = [normal(*p.shape, seed=9 + k) for k, p in enumerate(module.parameters())]

    def step(values: Sequence[Any]) -> tuple[Any, Any]:
        def call(*args: Any) -> Any:
            return torch.func.functional_call(module, dict(zip(names, values[3:], strict=True)), args)

        return stepped(right, space | {"cell": call}, values[:3], torch)

    at = [torch.tensor(a, dtype=dtype, requires_grad=True) for a in states() + arrays]
    compare(right, dict(zip(names, arrays, strict=True)), [s.detach() for s in step(at)])
    if not right.float32:
        total = objective(step, at, torch.tensor)
        gradient = [g.numpy() for g in torch.autograd.grad(total, at, materialize_grads=True)]
        check_gradient(
            lambda v: objective(step, [torch.tensor(a) for a in v], torch.tensor).item(),
            states() + arrays,
            gradient,
        )


def check_jax(right: Right, gradient: bool = False) -> None:
    jax.config.update("jax_enable_x64", True)
    space = namespace(right)
    leaves, tree = jax.tree.flatten(shapes(right, space))
    arrays = [normal(*leaf.shape, seed=9 + k) for k, leaf in enumerate(leaves)]

    def step(values: Sequence[Any]) -> tuple[Any, Any]:
        return stepped(right, space | {"p": jax.tree.unflatten(tree, values[3:])}, values[:3], jnp)

    def value(values: list[Any]) -> Any:
        return objective(step, values, jnp.asarray)

    given = states() + arrays
    jax.eval_shape(step, given)  # it can be traced
    with jax.disable_jit():  # else each cell's programs are compiled
        compare(right, jax.tree.unflatten(tree, arrays), step([jnp.asarray(a) for a in given]))
    if gradient:
        found = [np.asarray(g) for g in jax.grad(value)([jnp.asarray(a) for a in given])]
        check_gradient(lambda v: float(value(v)), given, found)
    else:  # compiling 60 gradients takes long
        assert not re.search("stop_gradient|custom_", right.source)


def drawn(p: Any, place: list[int]) -> Any:
    """The parameters of a NumPy function with every array drawn anew; `place` counts them."""
    if isinstance(p, dict):
        return {key: drawn(value, place) for key, value in p.items()}
    if isinstance(p, (tuple, list)):
        values = [drawn(value, place) for value in p]
        return type(p)(*values) if hasattr(p, "_fields") else type(p)(values)
    place.append(len(place))
    return normal(*p.shape, seed=9 + len(place))


def check_numpy(right: Right) -> None:
    space = namespace(right)
    if right.make.startswith("cell"):
        p = {name: a for name, a in vars(space["cell"]).items() if isinstance(a, np.ndarray)}
        for k, array in enumerate(p.values()):
            array[...] = normal(*array.shape, seed=9 + k)
        wide = {name: array.astype(np.float64) for name, array in p.items()}
    else:
        wide = space["p"] = drawn(space["p"], [])
    given = states()
    compare(right, wide, stepped(right, space, given, np))
    for after, before in zip(given, states(), strict=True):
        np.testing.assert_array_equal(after, before)


CHECKS = {"torch": check_torch, "jax": check_jax, "numpy": check_numpy}


def test_there_are_many_and_all_differ() -> None:
    count = {name: sum(right.framework == name for right in ALL) for name in CHECKS}
    assert count["torch"] >= 130
    assert count["jax"] >= 60
    assert count["numpy"] >= 60
    assert len({right.name for right in ALL}) == len({right.source for right in ALL}) == len(ALL)
    assert right_cells() == ALL


@pytest.mark.parametrize("right", [pytest.param(right, id=right.name) for right in ALL])
def test_a_cell_is_the_equations(right: Right) -> None:
    with jax.numpy_dtype_promotion("standard"):
        CHECKS[right.framework](right)


@pytest.mark.parametrize("name", ["jax-02", "jax-35", "jax-whole-0"])
def test_gradients_in_jax_are_those_of_the_values(name: str) -> None:
    with jax.numpy_dtype_promotion("standard"):
        check_jax(next(right for right in ALL if right.name == name), gradient=True)


def planted(name: str, old: str, new: str) -> Right:
    """The cell with a fault."""
    right = next(right for right in ALL if right.name == name)
    assert old in right.source
    return replace(right, source=right.source.replace(old, new))


FAULTS = [
    ("torch-whole-04", "h_t = self.output_gate(combined)", "h_t = self.forget_gate(combined)"),
    ("torch-whole-04", "(self.W_c(combined))", "(self.W_c(combined)).detach()"),
    ("torch-whole-04", "torch.tanh(c_t)", "torch.tanh(c_t.detach())"),
    ("jax-whole-2", "jax.nn.sigmoid(z", "jnp.tanh(z"),
    ("jax-whole-2", "* c +", "* jax.lax.stop_gradient(c) +"),
    ("numpy-whole-4", "np.dot(Wo", "np.dot(Wf"),
    ("numpy-whole-6", "f * c + i", "f + i"),
]


@pytest.mark.parametrize(("name", "old", "new"), FAULTS)
def test_a_planted_fault_is_seen(name: str, old: str, new: str) -> None:
    right = planted(name, old, new)
    check = partial(check_jax, gradient=True) if right.framework == "jax" else CHECKS[right.framework]
    with jax.numpy_dtype_promotion("standard"), pytest.raises(AssertionError):
        check(right)
