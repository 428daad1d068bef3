"""PyTorch: the hand-written cell, eager and compiled, and nn.LSTM."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from parity.bench.contenders import EVALUATION_BATCH, LEARNING_RATE
from parity.bench.works import CLASSES, Work
from parity.layouts import to_layout
from torch_ref.model import with_weights

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def where() -> str:
    """What torch runs on."""
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{torch.get_num_threads()} threads"


class _Torch:
    """A module from images [B, T, I] to logits [B, C], trained as in the labs."""

    def __init__(self, work: Work, model: nn.Module, kernel: str) -> None:
        self.about = f"{kernel}, {where()}"
        self.model: Any = model.to(DEVICE)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
        self.x = torch.from_numpy(work.images(work.B)).to(DEVICE)
        self.y = torch.from_numpy(work.labels(work.B)).to(DEVICE)

    def steps(self, n: int) -> float:
        for _ in range(n):
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.model(self.x), self.y)
            loss.backward()
            self.optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def logits(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        parts = torch.from_numpy(images).to(DEVICE).split(EVALUATION_BATCH)
        return torch.cat([self.model(part) for part in parts]).cpu().numpy()


class Eager(_Torch):
    """The hand-written cell of `torch_ref`."""

    def __init__(self, work: Work) -> None:
        super().__init__(work, with_weights(work.weights(), cell="lstm"), "eager, a product pair per gate")


class Compiled(_Torch):
    """The hand-written cell under torch.compile."""

    def __init__(self, work: Work) -> None:
        model = with_weights(work.weights(), cell="lstm")
        super().__init__(work, model, "torch.compile (Inductor)")
        self.model = torch.compile(model)


class NNLSTM(_Torch):
    """torch.nn.LSTM and a linear layer."""

    def __init__(self, work: Work) -> None:
        kernel = f"cuDNN {torch.backends.cudnn.version()}" if DEVICE.type == "cuda" else "ATen"
        super().__init__(work, NNLSTMClassifier(work, work.weights()), kernel)


class NNLSTMClassifier(nn.Module):
    """nn.LSTM from canonical weights and a linear layer on its last h: images [B, T, I] to logits [B, C]."""

    def __init__(self, work: Work, weights: Mapping[str, Any]) -> None:
        super().__init__()
        self.lstm = nn.LSTM(work.I, work.H, work.layers, batch_first=True)
        self.out = nn.Linear(work.H, CLASSES)
        of_torch = {f"lstm.{name}": a for name, a in to_layout("torch", weights, "lstm").items()}
        of_torch |= {"out.weight": weights["W_out"], "out.bias": weights["b_out"]}
        self.load_state_dict({name: torch.from_numpy(a) for name, a in of_torch.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (h, _) = self.lstm(x)
        logits: torch.Tensor = self.out(h[-1])
        return logits
