"""An epoch in PyTorch: in the labs' loop over a DataLoader, and in a lean loop over tensors in memory."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from jax_lstm.config import Config
from jax_lstm.data import Dataset, split
from parity.bench.contenders import EPOCH_WORK
from parity.bench.contenders.of_torch import DEVICE, NNLSTMClassifier, where
from torch_ref.model import ManualLSTMClassifier

LEARNING_RATE = 1e-3
REPORT_EVERY = 100


class _Images(TorchDataset[tuple[torch.Tensor, int]]):
    """As torchvision's MNIST with ToTensor hands an image over, less the way there by way of PIL."""

    def __init__(self, images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> None:
        self.images, self.labels = torch.from_numpy(images), labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index].to(torch.float32).div(255), self.labels[index]


class _Loop:
    """A model, Adam, and the images that are trained on and held out."""

    loop = ""
    manual = True

    def __init__(self, data: Dataset) -> None:
        config = Config()
        train, held_out = split(data.train_labels, config.validation_fraction, config.seed)
        self.parts = [(data.train_images[i], data.train_labels[i]) for i in (train, held_out)]
        torch.manual_seed(0)
        model = (
            ManualLSTMClassifier(EPOCH_WORK.I, EPOCH_WORK.H, 10)
            if self.manual
            else NNLSTMClassifier(EPOCH_WORK, EPOCH_WORK.weights())
        )
        self.model: nn.Module = model.to(DEVICE)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.about = f"{self.loop}, {where()}"

    def prepare(self) -> None:
        """Nothing to do."""


class LabLoop(_Loop):
    """The labs' loop: a DataLoader over single images, the loss and the hits of every step as numbers.

    Source: Lab 7, its training and evaluation loops.
    """

    loop = "labs' loop over a DataLoader"

    def __init__(self, data: Dataset) -> None:
        super().__init__(data)
        train, held_out = (_Images(*part) for part in self.parts)
        self.train_loader = DataLoader(train, batch_size=EPOCH_WORK.B, shuffle=True)
        self.validation_loader = DataLoader(held_out, batch_size=EPOCH_WORK.B)

    def epoch(self) -> tuple[int, int]:
        running_loss, correct, trained, validated = 0.0, 0, 0, 0
        for step, (images, labels) in enumerate(self.train_loader):
            images, labels = images.to(DEVICE), labels.to(DEVICE)
            outputs = self.model(images)
            loss = functional.cross_entropy(outputs, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            running_loss += loss.item() * len(labels)
            correct += int((outputs.argmax(1) == labels).sum().item())
            trained += len(labels)
            if step % REPORT_EVERY == REPORT_EVERY - 1:
                print(step, running_loss, correct)
        with torch.no_grad():
            for images, labels in self.validation_loader:
                outputs = self.model(images.to(DEVICE))
                running_loss += functional.cross_entropy(outputs, labels.to(DEVICE)).item()
                validated += len(labels)
        return trained, validated


class LeanLoop(_Loop):
    """Tensors in memory, a permutation of them, and no number read back before the epoch's end."""

    loop = "loop over tensors in memory"

    def __init__(self, data: Dataset) -> None:
        super().__init__(data)
        self.tensors = [
            (torch.from_numpy(x).to(DEVICE), torch.from_numpy(y).to(DEVICE, torch.int64))
            for x, y in self.parts
        ]

    def epoch(self) -> tuple[int, int]:
        (images, labels), (held_out, held_out_labels) = self.tensors
        losses, trained = [], 0
        for batch in torch.randperm(len(labels), device=DEVICE).split(EPOCH_WORK.B):
            trained += len(batch)
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.model(images[batch].float().div(255)), labels[batch])
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
        torch.stack(losses).mean().item()
        with torch.no_grad():
            outputs = torch.cat([self.model(part.float().div(255)) for part in held_out.split(1000)])
            functional.cross_entropy(outputs, held_out_labels).item()
        return trained, len(outputs)


class LabLoopNNLSTM(LabLoop):
    """The labs' loop round torch.nn.LSTM."""

    manual = False


class LeanLoopNNLSTM(LeanLoop):
    """The lean loop round torch.nn.LSTM."""

    manual = False
