"""One contender in a process of its own: it answers the questions of its parent, a line of JSON each.

A process per contender keeps frameworks from sharing threads, allocators or flags, and makes the time to
import and the peak of memory each one's own.
"""

import json
import os
import resource
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from parity.bench.works import Precision, Work


class Worker:
    """What can be asked of a contender. All times are in seconds."""

    def __init__(self, name: str) -> None:
        from parity.bench.contenders import load

        self.kind = load(name)
        self.products_of = cache(self.kind)

    def start(self, work: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Build the classifier and make its first step."""
        begin = time.perf_counter()
        self.work = Work(**work)
        if self.work.precision:
            set_precision(self.work.precision)
        self.contender = self.kind(self.work, **options)
        loss = self.contender.steps(1)
        return {"seconds": time.perf_counter() - begin, "loss": loss, "about": self.contender.about}

    def steps(self, n: int) -> dict[str, Any]:
        """Make n training steps; the time of one."""
        begin = time.perf_counter()
        loss = self.contender.steps(n)
        return {"seconds": (time.perf_counter() - begin) / n, "loss": loss}

    def evaluate(self, images: int) -> dict[str, Any]:
        """Classify so many images."""
        x = self.work.images(images)
        begin = time.perf_counter()
        self.contender.logits(x)
        return {"seconds": time.perf_counter() - begin}

    def load(self, dataset: str, data_dir: str | None, precision: Precision | None = None) -> dict[str, Any]:
        """Take a data set, and go over it once."""
        from jax_lstm.data import load

        if precision:
            set_precision(precision)
        self.contender = self.kind(load(dataset, data_dir))
        self.epoch()
        return {"about": self.contender.about}

    def epoch(self) -> dict[str, Any]:
        """Go over the data set and validate."""
        self.contender.prepare()
        begin = time.perf_counter()
        trained, validated = self.contender.epoch()
        return {"seconds": time.perf_counter() - begin, "trained": trained, "validated": validated}

    def products(self, work: dict[str, Any]) -> dict[str, Any]:
        """Make the matrix products of a training step: name → time."""
        products: dict[str, Any] = self.products_of(Work(**work)).seconds()
        return products

    def memory(self) -> dict[str, Any]:
        """The peak of memory so far, in bytes."""
        return {"bytes": 1024 * peak_kilobytes()}


def peak_kilobytes() -> int:
    """The most memory that this process has held."""
    with suppress(OSError):
        # what getrusage says begins, on Linux, with the memory of the process that started this one
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most


def set_precision(precision: Precision) -> None:
    """Let the imported frameworks multiply float32 matrices in this precision on a GPU.

    cuDNN's recurrent kernels know TF32 or not: with bfloat16 they take TF32.
    """
    if jax := sys.modules.get("jax"):
        of_jax = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": "bfloat16"}
        jax.config.update("jax_default_matmul_precision", of_jax[precision])
    if torch := sys.modules.get("torch"):
        of_torch = {"float32": "highest", "tf32": "high", "bfloat16": "medium"}
        torch.set_float32_matmul_precision(of_torch[precision])
        torch.backends.cudnn.allow_tf32 = precision != "float32"


def main(name: str) -> None:
    """Answer until the questions end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    try:
        worker = Worker(name)
        say(worker.memory())
        for line in sys.stdin:
            question: dict[str, Any] = json.loads(line)
            say(getattr(worker, question.pop("ask"))(**question))
    except Exception as error:
        first_line, *_ = str(error).strip().splitlines() or [""]
        say({"error": f"{type(error).__name__}: {first_line}"})
        raise


if __name__ == "__main__":
    main(sys.argv[1])
