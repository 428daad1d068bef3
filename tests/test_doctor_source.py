"""What names and source say: claims, lines, orders; and partial credit."""

from pathlib import Path

import pytest

from jax_lstm.errors import UserError
from parity.doctor.claims import Claims, claimed_h, stated_h
from parity.doctor.credit import credit
from parity.doctor.findings import Fault
from parity.doctor.layout import mapped, read_map, readings
from parity.doctor.lines import Lines
from parity.doctor.names import claims, gate_of_variable
from parity.doctor.reading import Reading
from parity.doctor.source import Source, claims_of


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("W_i W_f W_o W_c", "i f o c"),
        ("Wxi Whf bo Whg", "i f o c"),
        ("input_gate.weight forget_gate.weight output_gate.weight cell_gate.bias", "i f o c"),
        ("weight_ih weight_hh bias_ih bias_hh", "- - - -"),
        ("W_ih W_fh W_oh W_ch", "i f o c"),
        ("linear_ii.weight linear_hf.weight linear_ig.weight linear_ho.weight", "i f c o"),
        ("ig.weight fg.weight og.weight cg.weight", "i f o c"),
        ("lin_x_in lin_h_forget lin_x_cand lin_h_out", "i f c o"),
        ("fc1.weight fc2.weight fc3.weight", "- - -"),
        ("Wf Wi Wc Wo Wy by", "f i c o - -"),
        ("kernel recurrent_kernel bias", "- - -"),
        ("update.weight forget.weight candidate.weight", "i f c"),
    ],
)
def test_names_claim_gates(names: str, expected: str) -> None:
    found = claims(names.split())
    assert [found.get(n, "-") for n in names.split()] == expected.split()


def test_variables_claim_gates_and_states_do_not() -> None:
    assert [gate_of_variable(v) for v in ("i_t", "ft", "out_g", "c_tilde", "g", "z_c")] == list("ifoccc")
    assert [gate_of_variable(v) for v in ("gamma_u", "gamma_f", "Go", "ig", "gg", "G_c")] == list("ifoicc")
    assert [gate_of_variable(v) for v in ("c", "c_t", "h", "x", "hx", "state", "u", "gamma")] == [None] * 8


@pytest.mark.parametrize(
    ("recurrent", "inputs", "count"),
    [((3, 3), (3, 2), 2), ((3, 5), None, 2), ((3, 2), (3, 2), 1)],
)
def test_layouts_that_names_allow_are_each_tried_once(
    recurrent: tuple[int, int], inputs: tuple[int, int] | None, count: int
) -> None:
    shapes = {f"W_{g}": recurrent for g in "ifoc"}
    shapes |= {f"U_{g}": inputs for g in "ifoc"} if inputs else {}
    claims = Claims(Reading(shapes, 2, 3, 4, (), measured=False), Source("def cell(): pass", "cell"))
    found = list(readings(shapes, 2, 3, claims))
    assert len(found) == len({r.terms for r in found}) == count


@pytest.mark.parametrize(
    ("names", "place"),
    [
        ("h c", 0),
        ("c h", 1),
        ("h_next c_next", 0),
        ("c_next h_next", 1),
        ("prev_c prev_h", 1),
        ("old_c old_h", 1),
        ("new_c new_h", 1),
        ("current_c current_h", 1),
        ("current_h current_c", 0),
        ("memory hidden", 1),
        ("carry[0] carry[1]", 0),
    ],
)
def test_which_state_is_called_h(names: str, place: int) -> None:
    assert claimed_h(tuple(names.split())) == place


@pytest.mark.parametrize(
    ("names", "place"), [("h c", 0), ("s h", 1), ("a b", None), ("cell carry", None), ("h", None), ("", None)]
)
def test_names_may_not_tell_which_state_is_h(names: str, place: int | None) -> None:
    assert stated_h(tuple(names.split())) == place


CELL = '''
class Cell:
    """gates: i, f, g, o"""

    def forward(self, x, h, c):
        z = self.fused(x)
        a, b, g, o = z.chunk(4, 1)
        f = torch.sigmoid(self.one(x))
        i = torch.sigmoid(self.two(x))
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, c
'''


def test_claims_by_variables_and_comments() -> None:
    source = Source(CELL, "Cell")
    assert claims_of(source, ["one.weight", "two.weight"], {}) == {"one.weight": "f", "two.weight": "i"}
    assert source.written_order() == (["i", "f", "c", "o"], 3)


def test_of_two_definitions_the_last_holds() -> None:
    text = "def cell(f):\n    f = f(1)\n    return f\n\n\n"
    text += "def other():\n    def cell(f):\n        return f\n\n\n"
    assert Lines(Source(text, "cell")).gate("f") == 2
    assert Lines(Source(text + text, "cell")).gate("f") == 12


@pytest.mark.parametrize(
    "cut",
    [
        "i, f, g, o = z.chunk(4, 1)",
        "i, f, g_t, o = np.split(z, 4)",
        "i = z[:, :H]\n    f = z[:, H:2*H]\n    g = z[:, 2*H:3*H]\n    o = z[:, 3*H:]",
        "i = s(z[0])\n    f = s(z[1])\n    g = t(z[2])\n    o = s(z[3])",
        "i = z[:, :H]\n    f = z[:, H + 1:2*H + 1]\n    g = z[:, 2*H:3*H]\n    o = z[:, 3*H:]",
    ],
)
def test_the_order_in_which_a_fused_matrix_is_cut(cut: str) -> None:
    found = Source(f"def cell(z, H):\n    {cut}\n    return i\n", "cell").fused_order()
    assert found
    assert found[0] == ["i", "f", "c", "o"]


def fault(
    gate: str, kind: str, equation: str = "f = σ(W_f h_{t-1} + U_f x_t + b_f)", term: str = "σ"
) -> Fault:
    return Fault(gate, kind, equation, term, None, None, "", "")  # type: ignore[arg-type]


def test_credit_is_the_share_of_each_part_that_is_right() -> None:
    assert credit([], {"cell"}) == dict.fromkeys((*"ifoc", "state"), 1.0)
    faults = [
        fault("f", "activation-tanh"),
        fault("f", "bias-of-i"),
        fault("state", "h-from-old-c", "h_t = o ⊙ tanh(c_t)"),
    ]
    found = credit(faults, {"cell", "classifier", "training"})
    assert found == {
        "i": 1.0,
        "f": 0.667,
        "o": 1.0,
        "c": 1.0,
        "state": 0.75,
        "classifier": 1.0,
        "training": 1.0,
    }
    # the same mark is lost once
    assert credit([faults[0], faults[0]], {"cell"})["f"] == 0.833


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("W[12]", r"b_f must be a part of W, which has shape \[12, 3\]; 'W\[12\]' lies outside"),
        ("W[0, 0, 0]", "lies outside"),
        ("W[0:12:4]", "'0:12:4' is not an index such as 3 or a slice such as H:2H"),
        ("W[]", "'' is not an index"),
    ],
)
def test_a_map_must_name_a_part_that_is_there(entry: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        mapped({"b_f": [entry]}, {"W": (12, 3)}, 2, 3)


def test_an_entry_of_a_map_must_name_something(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"b_f": []}')
    with pytest.raises(UserError, match=r"b_f must be like .*; it is \[\]"):
        read_map(tmp_path / "map.json")
