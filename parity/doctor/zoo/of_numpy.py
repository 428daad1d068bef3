"""The specimens written in NumPy: `cells/numpy_*.py`."""

from parity.doctor.zoo.specimen import Specimen

OF_NUMPY: tuple[Specimen, ...] = (
    Specimen(
        "numpy_hard_sigmoid.py",
        "hard σ in all three gates, as in old Keras",
        (
            ("i", "activation-hard-sigmoid"),
            ("f", "activation-hard-sigmoid"),
            ("o", "activation-hard-sigmoid"),
        ),
        source="https://github.com/onnx/tensorflow-onnx/pull/2001",
    ),
    Specimen(
        "numpy_bias_of_o.py",
        "b_o in three gates; all biases start at zero",
        (("i", "bias-of-o"), ("f", "bias-of-o")),
        source="https://github.com/ddbourgin/numpy-ml/issues/42",
    ),
    Specimen(
        "numpy_tanh_c_none.py",
        "a = Γ_o ⊙ c, in columns",
        (("state", "tanh-c-none"),),
        source="https://github.com/nicodjimenez/lstm/issues/47",
    ),
    Specimen("numpy_tanh_c_relu.py", "h = o ⊙ ReLU(c)", (("state", "tanh-c-relu"),)),
    Specimen(
        "numpy_c_overwritten.py",
        "the candidate takes the name c: c = f ⊙ c̃ + i ⊙ c̃",
        (("state", "c-overwritten"),),
    ),
    Specimen(
        "numpy_c_not_carried.py",
        "c set to zeros before it is used: hidden at zero state",
        (("state", "c-not-carried"),),
    ),
    Specimen("numpy_in_place.py", "h and c of the caller overwritten", (("state", "in-place"),)),
    Specimen(
        "numpy_stateful.py",
        "the cell keeps h itself: right at the first call",
        (("state", "stateful"),),
        source="https://github.com/Ash2407/Senti_",
    ),
    Specimen("numpy_f_plus.py", "f + c for f ⊙ c", (("f", "plus"),)),
    Specimen("numpy_i_unused.py", "c = f ⊙ c + c̃", (("i", "unused"),)),
    Specimen("numpy_c_unused.py", "c = f ⊙ c + i", (("c", "unused"),)),
    Specimen("numpy_i_replaced_by_f.py", "c = f ⊙ c + f ⊙ c̃, in columns", (("i", "replaced-by-f"),)),
    Specimen(
        "numpy_f_sees_c.py",
        "W_f (h + c), vectors without a batch: hidden at zero state",
        (("f", "sees-c"),),
    ),
    Specimen(
        "numpy_i_recurrent_of_o.py",
        "W_o in the input gate: hidden at zero state",
        (("i", "recurrent-weights-of-o"),),
    ),
    Specimen("numpy_h_not_updated.py", "returns the old h", (("state", "h-not-updated"),)),
    Specimen(
        "numpy_c_not_updated.py",
        "returns the old c: shows at the second step",
        (("state", "c-not-updated"),),
    ),
    Specimen(
        "numpy_softmax_over_batch.py",
        "softmax along the batch in the output gate",
        (("o", "activation-softmax-over-batch"),),
    ),
    Specimen("numpy_returns_h_twice.py", "returns (h, h)", (("state", "returns-h-twice"),)),
    Specimen("numpy_o_input_of_f.py", "U_f in the output gate", (("o", "input-weights-of-f"),)),
    Specimen("numpy_c_no_gate.py", "c = c + c̃: neither f nor i", (("i", "unused"), ("f", "unused"))),
    Specimen(
        "numpy_o_no_recurrent.py",
        "the output gate does not see h: hidden at zero state",
        (("o", "no-recurrent"),),
    ),
    Specimen("numpy_sizes.py", "U is [H, H]: runs where I = H", (("state", "sizes"),)),
    Specimen(
        "numpy_f_replaced_by_o.py",
        "c = o ⊙ c + i ⊙ c̃: hidden at zero state",
        (("f", "replaced-by-o"),),
    ),
    Specimen(
        "numpy_gates_see_c.py",
        "c_{t-1} beside x_t, not h_{t-1}: h is never used",
        (("i", "sees-c"), ("f", "sees-c"), ("o", "sees-c"), ("c", "sees-c")),
    ),
    Specimen(
        "numpy_two_tanh_and_memory.py",
        "f ⊙ h for f ⊙ c, and tanh in the output gate",
        (("o", "activation-tanh"), ("state", "c-from-h")),
    ),
    Specimen(
        "numpy_two_c_and_output.py",
        "b_i in the output gate, no tanh on the candidate",
        (("o", "bias-of-i"), ("c", "activation-none")),
    ),
    Specimen("numpy_same_complement.py", "c - f ⊙ c + i ⊙ c̃", (), warnings=("complement",)),
    Specimen("numpy_same_exchanged.py", "forget and output change names", (), warnings=("exchanged",)),
    Specimen(
        "numpy_same_scaled.py",
        "each bias added twice",
        (),
        warnings=("scaled",),
        source="https://github.com/lisa-lab/DeepLearningTutorials/issues/81",
    ),
    Specimen("numpy_cannot_name.py", "calls a σ that is not there", ()),
    Specimen(
        "numpy_clf_first_h.py",
        "the list is built from its front: h_1 in the output layer",
        (("classifier", "first-h"),),
    ),
    Specimen("numpy_clf_sum_h.py", "sum of all h in the output layer", (("classifier", "sum-h"),)),
    Specimen(
        "numpy_clf_layers_see_x.py",
        "every layer reads x",
        (("classifier", "layers-see-x"),),
        source="https://github.com/HareeshBahuleyan/tf-var-attention/issues/2",
    ),
    Specimen(
        "numpy_clf_two_step_and_softmax.py",
        "the last row is not read, and softmax on the logits",
        (("classifier", "wrong-step"), ("classifier", "softmax")),
    ),
    Specimen("numpy_rounded.py", "c rounded to four digits", (("state", "rounded"),)),
    Specimen("numpy_o_slice_of_c.py", "o cut where c̃ is", (("o", "weights-of-c"),)),
)
