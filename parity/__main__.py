"""python -m parity: compare the two frameworks."""

import importlib.util
import os
import sys
from importlib import import_module

COMMANDS = {
    "check": ("check", "prove both equal, stage by stage, or say where they first part and why"),
    "train": ("train", "train both side by side, from the same weights on the same batches"),
    "bench": ("bench", "time training beside other ways to train the same LSTM"),
    "doctor": ("doctor.command", "examine a student's LSTM cell: which gate is wrong, and why"),
    "lesson": ("lessons", "two biases are not one; the same seed is not the same start"),
}
USAGE = "usage: python -m parity COMMAND …   (COMMAND --help says more)\n\n" + "\n".join(
    f"  {name:<8}{text}" for name, (_, text) in COMMANDS.items()
)


def main(argv: list[str]) -> int:
    """The command line; returns the exit status."""
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name not in COMMANDS:
        print(f"error: unknown command {name!r}\n{USAGE}", file=sys.stderr)
        return 2
    if not importlib.util.find_spec("torch"):
        print("error: parity needs PyTorch: install it by pip install '.[torch]'", file=sys.stderr)
        return 2
    # PyTorch's threads else wait for each other at full speed: on a busy machine that is 50 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    status: int = import_module(f"parity.{COMMANDS[name][0]}").main(rest)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
