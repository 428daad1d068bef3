"""The benchmark: every contender does the same work, and the card says what was measured."""

import json
import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import jax
import pytest
import torch

from parity.bench import accuracy, main, measure
from parity.bench.card import Card
from parity.bench.contenders import CONTENDERS, EPOCHS, PRODUCTS, REFERENCE
from parity.bench.figures import Figure, Floor, Row, Spread
from parity.bench.process import Dropped, Process
from parity.bench.targets import targets
from parity.bench.worker import set_precision
from parity.bench.works import WORKS, Precision, Work

SMALL = Work("small", B=4, H=6, layers=2, T=3, I=5)
HERE = [n for n, e in CONTENDERS.items() if "cpu" in e.on and not e.missing and n != "torch_ref compiled"]


def ask(name: str, *questions: tuple[str, dict[str, object]]) -> list[dict[str, object]]:
    with Process(name) as process:
        return [process.ask(question, **arguments) for question, arguments in questions]


def work(w: Work) -> dict[str, object]:
    return {"work": {"name": w.name, "B": w.B, "H": w.H, "layers": w.layers, "T": w.T, "I": w.I}}


@pytest.mark.slow
def test_all_contenders_take_the_same_steps() -> None:
    """The same losses along four steps: same weights, same batch, same gradients, same update.

    But for nn.LSTM after the first: its second bias doubles the steps of their sum.
    """
    losses = {}
    for name in HERE:
        first, later, again, memory = ask(
            name, ("start", work(SMALL)), ("steps", {"n": 1}), ("steps", {"n": 2}), ("memory", {})
        )
        assert isinstance(memory["bytes"], int)
        assert memory["bytes"] > 10**8
        assert first["about"]
        losses[name] = [first["loss"], later["loss"], again["loss"]]
    expected = losses.pop("jax_lstm")
    assert len(set(map(str, expected))) == 3
    assert losses.pop(REFERENCE)[0] == pytest.approx(expected[0], rel=1e-5)
    for found in losses.values():
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_contenders_memory_is_its_own() -> None:
    """Not that of the process that started it, here made large."""
    ballast = bytearray(os.urandom(2**20) * 600)
    with Process("numpy.matmul") as process:
        assert process.imported_bytes < len(ballast)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRODUCTS)
def test_the_floor_makes_every_product(name: str) -> None:
    (seconds,) = ask(name, ("products", work(SMALL)))
    assert seconds.keys() == SMALL.products().keys()
    assert all(isinstance(s, float) and s > 0 for s in seconds.values())


def test_the_products_are_those_of_a_step() -> None:
    """2·m·n·k of each, against the count by hand for one layer: 4H·H and 4H·I weights."""
    w = WORKS["h128"]
    rows = w.T * w.B
    deep = Work("", B=2, H=3, layers=3, T=5, I=7)
    for work, expected in (
        (w, 2 * rows * 4 * w.H * (3 * w.H + 2 * w.I)),
        (deep, 2 * 10 * 12 * ((9 + 14) + 2 * (9 + 9))),
    ):
        for ways in product(*work.parts()):
            made = [p for way in ways for p in way.values()]
            assert sum(2 * times * a * b * c for times, (a, b), (_, c) in made) == expected


def test_the_floor_takes_the_cheapest_way(monkeypatch: pytest.MonkeyPatch) -> None:
    together = {"[W U] [h; x], first layer": 1.5, "d[W U], first layer": 9.0}
    apart = {"dz W": 1.0, "W h, first layer": 1.0, "U x, first layer": 1.0, "dW, first layer": 2.0}

    class Library:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> "Library":
            return self

        def __exit__(self, *_: object) -> None: ...

        def ask(self, question: str, **arguments: object) -> dict[str, float]:
            if self.name == "broken":
                raise Dropped("no")
            factor = 1 if self.name == "fast" else 3
            return {n: factor * s for n, s in (together | apart | {"dU, first layer": 0.5}).items()}

    monkeypatch.setattr(measure, "Process", Library)
    found = measure.floor(WORKS["h128"], ["slow", "broken", "fast"], rounds=2)
    assert found is not None
    assert found.seconds == 1.0 + 1.5 + 2.0 + 0.5
    assert {library for library, _ in found.products.values()} == {"fast"}
    assert measure.floor(WORKS["h128"], ["broken"], rounds=2) is None


def test_a_start_that_fails_leaves_no_figures() -> None:
    figures = measure.starts(Work("impossible", B=4, H=6, T=3, I=-1), [REFERENCE], rounds=2)
    assert [(figure.rows[0].values, bool(figure.rows[0].missing)) for figure in figures] == [([], True)] * 4


def test_a_contender_that_fails_says_why() -> None:
    with Process(REFERENCE) as process, pytest.raises(Dropped, match="TypeError"):
        process.ask("start", work={"unknown": 1})


class Failing:
    """A process that answers twice, and then has ended."""

    def __init__(self) -> None:
        self.answers = 2

    def ask(self, question: str, **arguments: object) -> dict[str, float]:
        self.answers -= 1
        if self.answers < 0:
            raise Dropped("its process has ended")
        return {"seconds": 1.0}


def test_a_contender_that_dies_between_two_turns_leaves_the_others_theirs() -> None:
    rows = [Row("first"), Row("second")]
    enduring = Failing()
    enduring.answers = 100
    turns = [
        measure._Turn(process, row, "steps", {"n": 1})  # type: ignore[arg-type]
        for process, row in zip((Failing(), enduring), rows, strict=True)
    ]
    measure._take(turns, rounds=4)
    assert (rows[0].values, rows[0].missing) == ([], "its process has ended")
    assert (rows[1].values, rows[1].missing) == ([1.0] * 4, "")


def test_a_contender_that_cannot_run_is_named() -> None:
    impossible = Work("impossible", B=4, H=6, T=3, I=-1)
    figure = measure.steps(impossible, [REFERENCE], [], rounds=1)
    assert figure.rows[0].values == []
    assert "Error" in figure.rows[0].missing


def a_card() -> Card:
    rows = [
        Row("jax_lstm", [0.001, 0.002, 0.0015], "two devices"),
        Row(REFERENCE, [0.002, 0.002, 0.0045], "ATen"),
        Row("equinox", missing="broken"),
    ]
    floor = Floor({"W h": ("torch.mm", 0.0005), "dW": ("XLA", 0.00025)})
    figure = Figure("training step", "B1", rows=rows, floor=floor)
    memory = Figure("peak memory", "B1", "bytes", [Row("jax_lstm", [2.0**20, 3 * 2.0**20, 2 * 2.0**20])])
    return Card({"processor": "P"}, {"keras on jax": "keras not installed"}, 3, [figure, memory])


def test_the_card_has_every_figure_with_its_spread() -> None:
    card = a_card()
    values = card.as_json()
    ours = values["figures"][0]["contenders"]["jax_lstm"]
    assert (ours["median"], ours["min"], ours["max"]) == (0.0015, 0.001, 0.002)
    assert ours["ratio"] == pytest.approx({"median": 2.0, "min": 1.0, "max": 3.0})
    assert ours["floor_share"] == pytest.approx(0.5)
    assert values["figures"][0]["contenders"]["equinox"] == {"missing": "broken"}
    assert values["figures"][1]["contenders"]["jax_lstm"]["ratio"] is None
    json.dumps(values, allow_nan=False)
    text = card.markdown()
    assert "1.5 ms (1 ms – 2 ms)" in text
    assert "2.00 (1.00 – 3.00)" in text
    assert "50%" in text
    assert "2 MiB (1 MiB – 3 MiB)" in text
    assert "equinox: broken" in text
    assert "missing: keras on jax: keras not installed" in text
    assert text.index("| jax_lstm") < text.index(f"| {REFERENCE}")


def test_the_card_says_by_how_much_a_target_is_missed() -> None:
    h128, tuned = (str(WORKS[name]) for name in ("h128", "lab7-tuned"))
    floor = Floor({"dz W": ("torch.mm", 0.65)})
    figures = [
        Figure("training step", h128, rows=[Row("jax_lstm", [1.0]), Row(REFERENCE, [1.2])]),
        Figure("training step", tuned, rows=[Row("jax_lstm", [1.0]), Row(REFERENCE, [1.3])], floor=floor),
        Figure("first step, compilation included", h128, rows=[Row("jax_lstm", [4.0])]),
        Figure("peak memory", h128, "bytes", [Row("jax_lstm", [3.0]), Row(REFERENCE, [2.0])]),
        Figure("memory of the imported framework", "", "bytes", [Row("jax_lstm", [1.0])]),
    ]
    lines = targets(figures)
    assert [line.split(":")[0] for line in lines] == [
        "- missed by 20%",
        "- met",
        "- met",
        "- missed by 25%",
        "- met",
    ]
    assert lines[0].endswith("training step of h128, 1.20 times as fast as torch.nn.LSTM; wanted 1.5")
    assert lines[2].endswith("65% of its floor's speed; wanted 60%")
    card = Card({}, {}, 1, figures)
    assert all(line in card.markdown() for line in lines)
    assert card.as_json()["targets"] == lines
    assert targets([]) == []


def test_ratios_are_taken_round_by_round() -> None:
    figure = Figure("", "", rows=[Row("a", [1.0, 10.0, 4.0]), Row(REFERENCE, [2.0, 20.0, 4.0])])
    assert figure.ratio(figure.rows[0]) == Spread(2.0, 1.0, 2.0)
    assert figure.ratio(Row("b")) is None


def test_sizes_are_compared_with_the_same_size() -> None:
    rows = [
        Row(name, [seconds], size=f"T = {T}")
        for T, times in ((7, (1.0, 3.0)), (28, (2.0, 10.0)))
        for name, seconds in zip(("jax_lstm", REFERENCE), times, strict=True)
    ]
    figure = Figure("training step as T grows", "", rows=rows)
    assert [figure.ratio(row) for row in rows[::2]] == [Spread(3.0, 3.0, 3.0), Spread(5.0, 5.0, 5.0)]
    card = Card({}, {}, 1, [figure])
    text = card.markdown()
    assert text.index("jax_lstm, T = 7") < text.index(f"{REFERENCE}, T = 7") < text.index("jax_lstm, T = 28")
    assert card.as_json()["figures"][0]["contenders"]["jax_lstm, T = 28"]["median"] == 2.0


@pytest.mark.slow
def test_growth_and_second_starts() -> None:
    *grown, devices = measure.growth(SMALL, ["jax_lstm"], rounds=1)
    assert [figure.name[-len("as T grows") :] for figure in grown[:1]] == ["as T grows"]
    assert [row.size for row in grown[0].rows] == ["T = 7", "T = 28", "T = 112"]
    assert all(len(row.values) == 1 for figure in [*grown, devices] for row in figure.rows)
    assert devices.rows[0].about[-7:] == "1 × cpu"
    second = measure.second_starts(SMALL, ["jax_lstm", REFERENCE], rounds=2)
    assert [(row.contender, len(row.values)) for row in second.rows] == [("jax_lstm", 2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", EPOCHS)
def test_every_loop_goes_over_the_data_set(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_LSTM_CACHE_DIR", str(tmp_path))
    loaded, *epochs = ask(
        name, ("load", {"dataset": "digits", "data_dir": None}), ("epoch", {}), ("epoch", {})
    )
    assert loaded["about"]
    for found in epochs:
        assert (found["trained"], found["validated"]) == (1318, 120)


def test_the_time_to_an_accuracy_says_whether_it_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        def __init__(self, name: str) -> None: ...

        def __enter__(self) -> "Loop":
            return self

        def __exit__(self, *_: object) -> None: ...

        def ask(self, question: str, **arguments: object) -> dict[str, float]:
            return {"seconds": 20.0}

    found = {"2": [0.98, 0.977, 0.979], "6": [0.989, 0.991, 0.988]}
    asked = []

    def train(options: list[str]) -> tuple[float, float]:
        asked.append(options)
        return 10.0, found[options[3]].pop(0)

    monkeypatch.setattr(accuracy, "Process", Loop)
    monkeypatch.setattr(accuracy, "_train", train)
    monkeypatch.setattr(
        accuracy,
        "TARGETS",
        {0.9781: ("--preset", "quick", "--epochs", "2"), 0.99: ("--preset", "quick", "--epochs", "6")},
    )
    figure = accuracy.accuracy("mnist", "folder")
    assert [options[-5:] for options in asked[:2]] == [["mnist", "--data-dir", "folder", "--seed", "0"]] * 2
    loop, lower, higher = figure.rows
    assert loop.values == [20.0] * 3
    assert "2 of 3 seeds get there, the median does; takes 0.50 epochs of the loop, wanted 1" in lower.about
    assert "1 of 3 seeds get there, the median DOES NOT" in higher.about
    assert figure.ratio(lower) == Spread(2.0, 2.0, 2.0)


@pytest.mark.slow
def test_a_training_of_the_race_is_the_command_itself() -> None:
    seconds, found = accuracy._train(["--dataset", "digits", "--steps", "300", "--hidden-size", "32"])
    assert seconds > 0
    assert 0.5 < found <= 1
    with pytest.raises(Dropped, match="status 2"):
        accuracy._train(["--hidden-size", "0"])


@pytest.mark.slow
def test_the_command_leaves_card_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"card.{name}" for name in ("json", "markdown", "plot")}
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    names = ["jax_lstm", REFERENCE, "jax.experimental.rnn"]
    asked = ["--works", "lab7-template", "--figures", "steps", "starts", "--rounds", "1"]
    assert main([*asked, "--contenders", *names, *options]) == 0
    values = json.loads(files["json"].read_text())
    assert [f["name"] for f in values["figures"]][:2] == ["training step", "import"]
    step = values["figures"][0]
    assert step["contenders"]["jax_lstm"]["ratio"]["median"] > 0
    assert 0 < step["contenders"]["jax_lstm"]["floor_share"] < 2
    assert "jax.experimental.rnn" in values["missing"]
    assert files["markdown"].read_text() == capsys.readouterr().out
    assert files["plot"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--works", "lab8"], "--works: unknown: lab8"),
        (["--contenders", "tensorflow"], "--contenders: unknown: tensorflow"),
        (["--contenders", "jax.experimental.rnn"], "nothing to race"),
        (["--rounds", "0"], "--rounds must be 1 or more"),
        (["--json", "nowhere/card.json"], "must be a file in a folder that exists"),
        (["--figures", "starts", "--plot", "card.png"], "--plot draws the training steps"),
        (["--precision", "tf32"], "--precision is for a GPU"),
        (["--figures", "accuracy", "--dataset", "digits"], "accuracy is measured on MNIST, not on digits"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(arguments)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("precision", "of_jax", "of_torch", "tf32"),
    [
        ("float32", "highest", "highest", False),
        ("tf32", "tensorfloat32", "high", True),
        ("bfloat16", "bfloat16", "medium", True),
    ],
)
def test_a_precision_reaches_both_frameworks(
    precision: Precision, of_jax: str, of_torch: str, tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not tf32)
    before = jax.config.values["jax_default_matmul_precision"], torch.get_float32_matmul_precision()
    try:
        set_precision(precision)
        assert jax.config.values["jax_default_matmul_precision"] == of_jax
        assert torch.get_float32_matmul_precision() == of_torch
        assert torch.backends.cudnn.allow_tf32 == tf32
    finally:
        jax.config.update("jax_default_matmul_precision", before[0])
        torch.set_float32_matmul_precision(before[1])


def test_on_a_gpu_every_work_has_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's way there, with a stand-in for the device and the measuring."""
    found = []
    monkeypatch.setattr("parity.bench._device", lambda: "gpu")
    monkeypatch.setattr(
        measure, "steps", lambda work, names, libraries, rounds: found.append((work, names)) or Figure("", "")
    )
    for options in ([], ["--precision", "bfloat16"]):
        assert main(["--figures", "steps", "--works", "h512", *options]) == 0
    (default, names), (chosen, _) = found
    assert (default.precision, chosen.precision) == ("float32", "bfloat16")
    assert str(chosen) == "B256 T28 I28 H512, 1 layer, bfloat16"
    assert "jax.experimental.rnn" in names
    assert "torch_ref" not in names


def test_contenders_run_as_their_users_run_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """parity's own setting for OpenMP, which slows PyTorch on a quiet machine, is not handed on."""
    monkeypatch.setitem(os.environ, "OMP_WAIT_POLICY", "PASSIVE")
    with Process(REFERENCE) as process:
        found = Path(f"/proc/{process._process.pid}/environ").read_text()
    assert "OMP_WAIT_POLICY" not in found
