"""The specimens written in PyTorch: `cells/torch_clf_*.py` and `cells/torch_train_*.py`."""

from parity.doctor.zoo.specimen import Specimen

OF_TORCH_MODELS: tuple[Specimen, ...] = (
    Specimen(
        "torch_clf_random_start.py",
        "h_0 and c_0 drawn at random in each call",
        (("classifier", "start-state"),),
        source="https://github.com/schmidt-ju/crat-pred/issues/8",
    ),
    Specimen(
        "torch_clf_learned_start.py",
        "h_0 and c_0 are parameters that start at zero",
        (("classifier", "start-state"),),
    ),
    Specimen(
        "torch_clf_not_carried.py",
        "each step starts from zeros",
        (("classifier", "not-carried"),),
        source="https://github.com/cjlovering/interpretable-reinforcement-learning-using-attention/pull/6",
    ),
    Specimen(
        "torch_clf_c_not_carried.py",
        "the cell's new c is dropped at each step",
        (("classifier", "c-not-carried"),),
    ),
    Specimen("torch_clf_skips_first.py", "the loop begins at t = 1", (("classifier", "skips-first-step"),)),
    Specimen("torch_clf_wrong_step.py", "the list ends one step too early", (("classifier", "wrong-step"),)),
    Specimen("torch_clf_columns.py", "x[..., t] for x[:, t]: columns, not rows", (("classifier", "axes"),)),
    Specimen(
        "torch_clf_square_batch.py",
        "T, B = x.shape for B, T: runs where B = T",
        (("classifier", "axes"),),
    ),
    Specimen(
        "torch_clf_axes.py",
        "reshape for transpose: right at batch size 1",
        (("classifier", "axes"),),
        source="https://github.com/HHTseng/video-classification/issues/42",
    ),
    Specimen(
        "torch_clf_c_to_output.py",
        "c_T in the output layer",
        (("classifier", "c-to-output"),),
        source="https://github.com/pytorch/examples/issues/167",
    ),
    Specimen(
        "torch_clf_state_swapped.py",
        "c, h = cell(…) of a cell that returns h, c",
        (("classifier", "state-swapped"),),
        source="https://github.com/microsoft/nni/pull/2842",
    ),
    Specimen(
        "torch_clf_softmax.py",
        "softmax on the logits, before the cross entropy",
        (("classifier", "softmax"),),
        source="https://github.com/jindongwang/Deep-learning-activity-recognition/issues/10",
    ),
    Specimen("torch_clf_detached.py", "h and c detached at every step", (("classifier", "detached"),)),
    Specimen(
        "torch_clf_stateful.py",
        "h and c kept from batch to batch: right at the first call",
        (("classifier", "stateful"),),
        source="https://github.com/ruohoruotsi/LSTM-Music-Genre-Classification/issues/12",
    ),
    Specimen(
        "torch_clf_no_output_bias.py",
        "the output layer has no bias",
        (("classifier", "no-output-bias"),),
    ),
    Specimen(
        "torch_clf_first_layer_bias.py",
        "b_f = 1 in the first layer only",
        (("classifier", "one-layer-forget-bias"),),
        source="https://github.com/google-research/flood-forecasting/pull/289",
    ),
    Specimen(
        "torch_clf_same_cell.py",
        "[cell] * n: the upper layers are one cell; shows from three layers on",
        (("classifier", "same-cell-in-all-layers"),),
        source="https://github.com/suriyadeepan/practical_seq2seq/issues/61",
    ),
    Specimen(
        "torch_clf_c_between_layers.py",
        "the second layer reads the first one's c",
        (("classifier", "c-between-layers"),),
        source="https://github.com/pytorch/examples/issues/167",
    ),
    Specimen(
        "torch_train_no_zero_grad.py",
        "gradients pile up: right at the first step",
        (("training", "no-zero-grad"),),
        source="https://github.com/udacity/deep-learning-v2-pytorch/pull/160",
    ),
    Specimen(
        "torch_train_new_optimizer.py",
        "an Adam made in every step: it never sees a second one",
        (("training", "optimizer-made-anew"),),
    ),
    Specimen(
        "torch_train_no_backward.py",
        "backward through a detached loss",
        (("training", "no-backward"),),
    ),
    Specimen(
        "torch_train_softmax.py",
        "softmax before a loss that has its own",
        (("training", "softmax-before-loss"),),
        source="https://github.com/lansinuote/Huggingface_Toturials/issues/6",
    ),
    Specimen(
        "torch_train_eval_mode.py",
        "trains in eval mode, without its dropout",
        (("training", "eval-mode"),),
    ),
    Specimen(
        "torch_train_zero_grad_late.py",
        "gradients cleared between backward and step",
        (("training", "zero-grad-too-late"),),
    ),
    Specimen("torch_train_steps_twice.py", "optimizer.step() twice", (("training", "other-move"),)),
    Specimen(
        "torch_train_dropout.py",
        "gradients never cleared, beside a dropout that makes every step another",
        (("training", "no-zero-grad"),),
    ),
    Specimen(
        "torch_clf_detached_layers.py",
        "h is detached on its way to the next layer: right with one layer",
        (("classifier", "detached"),),
    ),
    Specimen(
        "torch_clf_layers_width.py",
        "every layer is as wide as the input: right with one layer",
        (("classifier", "fails"),),
    ),
    Specimen("torch_clf_squeeze.py", "squeeze(): fails with one image", (("classifier", "sizes"),)),
)
