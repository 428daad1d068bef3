"""The specimens written in JAX: `cells/jax_*.py`."""

from parity.doctor.zoo.specimen import Specimen

OF_JAX: tuple[Specimen, ...] = (
    Specimen("jax_i_softplus.py", "softplus for σ in the input gate", (("i", "activation-softplus"),)),
    Specimen("jax_f_relu.py", "ReLU for σ in the forget gate", (("f", "activation-relu"),)),
    Specimen(
        "jax_c_no_activation.py",
        "no tanh on the candidate: nearly equal for small weights",
        (("c", "activation-none"),),
    ),
    Specimen("jax_tanh_c_sigmoid.py", "h = o ⊙ σ(c)", (("state", "tanh-c-sigmoid"),)),
    Specimen("jax_tanh_c_softmax.py", "h = o ⊙ softmax(c)", (("state", "tanh-c-softmax"),)),
    Specimen("jax_c_input_of_i.py", "U_i in the candidate", (("c", "input-weights-of-i"),)),
    Specimen(
        "jax_c_weights_of_f.py",
        "all weights of the forget gate in the candidate",
        (("c", "weights-of-f"),),
    ),
    Specimen("jax_o_no_input.py", "the output gate does not see x", (("o", "no-input"),)),
    Specimen("jax_times.py", "c = (f ⊙ c) ⊙ (i ⊙ c̃): zero for ever from zero state", (("state", "times"),)),
    Specimen("jax_h_from_candidate.py", "h = o ⊙ tanh(c̃)", (("state", "h-from-candidate"),)),
    Specimen(
        "jax_c_is_tanh_c.py",
        "the state handed on is tanh of the right one; h is right at the first step",
        (("state", "c-is-tanh-c"),),
        source="https://github.com/nicodjimenez/lstm/issues/43",
    ),
    Specimen("jax_f_unused.py", "c = c + i ⊙ c̃: hidden at zero state", (("f", "unused"),)),
    Specimen(
        "jax_carry_swapped.py",
        "takes (h, c) and hands back (c, h): right at the first step",
        (("state", "carry-swapped"),),
    ),
    Specimen("jax_h_stopped.py", "stop_gradient on h_{t-1}", (("state", "h-detached"),)),
    Specimen("jax_f_stopped.py", "stop_gradient on the forget gate", (("f", "detached"),)),
    Specimen("jax_c_stopped.py", "stop_gradient on c_{t-1}", (("state", "c-detached"),)),
    Specimen("jax_half.py", "everything in float16 inside", (("state", "float16"),)),
    Specimen("jax_zoneout.py", "some h kept at random, in every call", (("state", "random"),)),
    Specimen("jax_centred.py", "c less its mean over the batch is read", (("state", "batch-dependence"),)),
    Specimen("jax_o_sees_new_c.py", "c_t in place of h_{t-1} in the output gate", (("o", "sees-new-c"),)),
    Specimen(
        "jax_i_coupled.py",
        "i = 1 - f; the input gate's weights are there, unused",
        (("i", "coupled"),),
    ),
    Specimen("jax_f_used_as_c.py", "f and c̃ change places after their activations", (("f", "used-as-c"),)),
    Specimen("jax_returns_c_twice.py", "carry (c, c)", (("state", "returns-c-twice"),)),
    Specimen(
        "jax_two_swap_and_input.py",
        "no x in the input gate, and h = i ⊙ tanh(c)",
        (("i", "no-input"), ("o", "replaced-by-i")),
    ),
    Specimen(
        "jax_same_offset.py",
        "σ(f + 1), gates i, g, f, o",
        (),
        warnings=("offset",),
        source="https://github.com/tyliupku/wiki2bio/issues/2",
    ),
    Specimen("jax_same_complement.py", "c = (1 - f) ⊙ c + i ⊙ c̃", (), warnings=("complement",)),
    Specimen(
        "jax_same_order.py",
        "carry (c, h)",
        (),
        warnings=("order",),
        source="https://github.com/tensorflow/tensorflow/issues/13943",
    ),
    Specimen(
        "jax_clf_reversed.py",
        "reads the rows from the last to the first",
        (("classifier", "reversed-time"),),
    ),
    Specimen("jax_clf_mean_h.py", "mean of all h in the output layer", (("classifier", "mean-h"),)),
    Specimen(
        "jax_clf_axes.py",
        "scans over the batch; right sizes all the same",
        (("classifier", "axes"),),
        source="https://github.com/pytorch/pytorch/issues/1538",
    ),
    Specimen(
        "jax_clf_h_not_carried.py",
        "h_0 at every step; c is carried",
        (("classifier", "h-not-carried"),),
    ),
    Specimen("jax_train_no_step.py", "the new parameters are dropped", (("training", "no-step"),)),
    Specimen(
        "jax_train_new_optimizer.py",
        "an Adam begun in every step: it never sees a second one",
        (("training", "optimizer-made-anew"),),
    ),
    Specimen(
        "jax_train_state_dropped.py",
        "the optimiser's state never moves on: right at the first step",
        (("training", "optimizer-state-dropped"),),
    ),
    Specimen(
        "jax_train_labels.py",
        "labels moved by one; class 0 has none",
        (("training", "loss-of-wrong-labels"),),
    ),
    Specimen("jax_out_old_h.py", "the h of before is stacked by the scan", (("state", "output-not-h"),)),
    Specimen(
        "jax_train_ascent.py",
        "optax's updates subtracted, which are negated already",
        (("training", "gradient-ascent"),),
    ),
)
