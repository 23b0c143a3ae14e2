"""What a model's weights take in memory, in whatever precision."""

from __future__ import annotations

from model.llava import Llava


def held_bytes(model: Llava) -> int:
    """Of the weights in memory, their scales in 8 and 4 bits included; a table that is tied counts once."""
    total = 0
    for parameter in model.parameters():
        total += parameter.numel() * parameter.element_size()
        scales = getattr(parameter, "SCB", None)  # bitsandbytes' 8-bit parameters alone have them
        if scales is not None:
            total += scales.numel() * scales.element_size()
        state = getattr(parameter, "quant_state", None)  # and its 4-bit ones this
        if state is not None:
            tables = [state.absmax, *([state.state2.absmax] if state.nested else [])]
            total += sum(table.numel() * table.element_size() for table in tables)
    return total
