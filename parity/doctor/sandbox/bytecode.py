"""What a frame is about to do with what it is reading, by its bytecode."""

import dis
from functools import cache
from types import CodeType, FrameType


@cache
def _following(code: CodeType, place: int) -> list[dis.Instruction]:
    every = list(dis.get_instructions(code))
    # a place may lie within the room that an instruction has for its cache
    at = max((n for n, i in enumerate(every) if i.offset <= place), default=0)
    return every[at : at + 64]


def unpacking(frame: FrameType) -> list[str]:
    """The names into which a frame is unpacking something; "" for what has none."""
    first, *rest = _following(frame.f_code, frame.f_lasti)
    if not first.opname.startswith("UNPACK_SEQUENCE"):
        return []
    names: list[str] = []
    rest = [i for i in rest if i.opname != "CACHE"]
    while rest and len(names) < (first.arg or 0):
        instruction = rest.pop(0)
        if instruction.opname.startswith("UNPACK_SEQUENCE"):
            del rest[: instruction.arg]
            names.append("")
        elif instruction.opname.startswith("STORE_FAST_STORE_FAST"):
            names += [str(name) for name in instruction.argval]
        else:
            names.append(str(instruction.argval) if instruction.opname.startswith("STORE_") else "")
    return names[: first.arg or 0]


def stored_in(frame: FrameType) -> str:
    """The name to which a frame gives what it is reading; "" where it goes on with it."""
    after = [i for i in _following(frame.f_code, frame.f_lasti)[1:] if i.opname != "CACHE"][:1]
    return (
        str(after[0].argval)
        if after and after[0].opname in ("STORE_FAST", "STORE_NAME", "STORE_DEREF")
        else ""
    )


def is_read_by_name(frame: FrameType) -> bool:
    """Whether what a frame is reading is read on at once, as in p["U"]["f"]."""
    after = [i for i in _following(frame.f_code, frame.f_lasti)[1:] if i.opname != "CACHE"][:2]
    operations = [i.opname for i in after]
    return operations == ["LOAD_CONST", "BINARY_SUBSCR"] and isinstance(after[0].argval, str)
