"""What each recipe trains, and how its result is written.

`align` trains the projector; `finetune` the projector and the language model; `lora` and `qlora` the projector and
low-rank updates of the language model's linear layers (Hu et al. 2021, arXiv 2106.09685; Dettmers et al. 2023, arXiv
2305.14314), its head left out, as LLaVA's trainer does. The tower is frozen in all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch import nn

from model.checkpoint import LoadedModel, save
from model.checkpoint.base_numbers import write_base
from model.checkpoint.lora import PROJECTOR_FILE
from model.training.config import TrainingConfig

if TYPE_CHECKING:
    from model.llava import Llava

LANGUAGE_LAYERS = r".*language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def prepare(llava: Llava, config: TrainingConfig) -> PeftModel | None:
    """Freeze and unfreeze in place; the PEFT model around it where the recipe has adapters. What is trained is in
    float32, so that small steps are not rounded away."""
    llava.requires_grad_(False)
    projector = llava.model.multi_modal_projector.requires_grad_(True).float()
    adapted = None
    if config.recipe == "finetune":
        llava.model.language_model.requires_grad_(True).float()
        llava.lm_head.requires_grad_(True).float()
    elif config.keeps_adapter:
        lora = LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, bias="none",
            target_modules=LANGUAGE_LAYERS,
        )  # fmt: skip
        adapted = get_peft_model(llava, lora, autocast_adapter_dtype=True)
        projector.requires_grad_(True)  # PEFT freezes all that is not its own
    if config.activation_checkpointing:
        llava.model.language_model.activation_checkpointing_enable({"use_reentrant": False})
        llava.enable_input_require_grads()
    return adapted


def trained_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """The trained parameters by their names, on the CPU."""
    return {
        name: each.detach().cpu().contiguous()
        for name, each in network.named_parameters()
        if each.requires_grad
    }


def write_result(folder: Path, loaded: LoadedModel, adapted: PeftModel | None, base: str) -> None:
    """An adapter that a worker loads, or a whole checkpoint. `base` is what the adapter says it was made on."""
    if adapted is None:
        save(folder, loaded.model.eval(), loaded.tokenizer)
        return
    folder.mkdir(parents=True, exist_ok=True)
    adapted.peft_config["default"].base_model_name_or_path = base
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    write_base(folder, loaded.base_numbers)
    projector = loaded.model.model.multi_modal_projector.state_dict()
    save_file(
        {name: each.detach().cpu().contiguous() for name, each in projector.items()}, folder / PROJECTOR_FILE
    )
