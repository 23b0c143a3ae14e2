"""Weights in 8 or 4 bits by bitsandbytes: linear layers of the tower and of the language model.

8bit is LLM.int8 (Dettmers et al. 2022, "LLM.int8()"); 4bit is nf4 with double quantisation (Dettmers et al. 2023,
"QLoRA", section 3). The projector and the head stay in the loaded number format: the one is small and all that the
language model sees of a picture passes it, the other decides between near neighbours. Both also run on a CPU.
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from transformers.utils.quantization_config import BitsAndBytesConfig, QuantizationMethod

from ..checkpoint_errors import DeviceError

Quantize = Literal["none", "8bit", "4bit"]
QUANTIZE: tuple[str, ...] = get_args(Quantize)
UNQUANTISED = ["model.multi_modal_projector", "lm_head"]
BLOCK = 64
"""How many weights share a scale in 4 bits. A layer whose rows are no multiple of it stays as it is: bitsandbytes' code
for CPUs cannot compute with it. No released model has such a layer."""
BYTES_PER_WEIGHT = {"8bit": 1.0, "4bit": 0.5 + 1 / 64 + 4 / (64 * 256)}
"""4bit: two weights a byte, one byte of scale a block of 64, and four of its own scale for 256 of those."""
BYTES_PER_ROW = {"8bit": 4.0, "4bit": 0.0}
"""8bit: a float32 of scale for each row of a layer, which bitsandbytes calls SCB."""


def choose_quantize(name: str, device: torch.device) -> Quantize:
    """Raises DeviceError for a name or a device that cannot do it."""
    if name not in QUANTIZE:
        raise DeviceError(f"There is no quantisation {name!r}; choose one of: {', '.join(QUANTIZE)}.")
    if name != "none" and device.type not in ("cpu", "cuda"):
        raise DeviceError(
            f"bitsandbytes does not quantise on {device}; choose --quantize none, or --device cpu or cuda."
        )
    return cast("Quantize", name)


def make_room(model: nn.Module, quantize: Quantize, dtype: torch.dtype) -> None:
    """Put quantised layers, still empty, in the place of linear ones. Computing is done in `dtype`."""
    if quantize == "none":
        return
    _bitsandbytes()
    from transformers.integrations import replace_with_bnb_linear

    config = _config(quantize, dtype)
    odd = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and _is_odd(module)
    ]
    replace_with_bnb_linear(model, modules_to_not_convert=[*UNQUANTISED, *odd], quantization_config=config)
    # What peft and `save_pretrained` look at to know that these weights are quantised.
    model.config.quantization_config = config
    model.is_quantized = True
    model.quantization_method = QuantizationMethod.BITS_AND_BYTES
    model.is_loaded_in_8bit, model.is_loaded_in_4bit = quantize == "8bit", quantize == "4bit"


def gets_fewer_bits(path: str, module: nn.Module) -> bool:
    """Whether the weight of this module, by its path, is one that is quantised."""
    return isinstance(module, nn.Linear) and not _is_odd(module) and not path.startswith(tuple(UNQUANTISED))


def num_bytes_quantised(weight: Tensor, quantize: Quantize) -> float:
    """What a weight [out, in] takes in 8 or 4 bits, its scales included."""
    return weight.numel() * BYTES_PER_WEIGHT[quantize] + len(weight) * BYTES_PER_ROW[quantize]


def _is_odd(module: nn.Linear) -> bool:
    return bool(module.in_features % BLOCK)


def is_quantised(module: nn.Module, parameter: str) -> bool:
    """Whether this parameter is one that is kept in fewer bits."""
    return parameter == "weight" and isinstance(module, nn.Linear) and type(module) is not nn.Linear


def quantised(module: nn.Module, weight: Tensor, device: torch.device) -> nn.Parameter:
    """The module's weight [out, in] in its bits, on `device`."""
    bitsandbytes = _bitsandbytes()
    kept = {key: value for key, value in vars(module.weight).items() if key not in ("SCB", "CB")}
    if isinstance(module, bitsandbytes.nn.Linear4bit):
        return bitsandbytes.nn.Params4bit(weight, requires_grad=False, **kept).to(device)
    return bitsandbytes.nn.Int8Params(weight.to("cpu"), requires_grad=False, **kept).to(device)


def _bitsandbytes() -> ModuleType:
    """The library, imported when it is first needed, which takes a second.

    On some CPUs it would fetch code from the Hub and run it, where a package called kernels is installed; hidden from
    it, its own code computes the same. Its remark on every layer that numbers are rounded to float16 is for training.
    """
    if "bitsandbytes" not in sys.modules:
        hidden = sys.modules.get("kernels")
        logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
        sys.modules["kernels"] = None  # type: ignore[assignment]  # makes `import kernels` fail
        try:
            import bitsandbytes  # noqa: F401
        finally:
            del sys.modules["kernels"]
            if hidden is not None:
                sys.modules["kernels"] = hidden
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return sys.modules["bitsandbytes"]


def _config(quantize: Quantize, dtype: torch.dtype) -> BitsAndBytesConfig:
    if quantize == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=UNQUANTISED)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=UNQUANTISED,
    )
