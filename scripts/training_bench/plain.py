"""The peer that everybody has: transformers' `Trainer`, its LLaVA and image processor, padded batches in any order.

The texts are given to it as our renderer renders and masks them, so that both sides learn the very same tokens, and
this side has no work with them. Pictures are decoded and prepared when a batch is made, as its examples do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration

from model.pixels import PixelConfig
from model.training.adapters import LANGUAGE_LAYERS
from model.training.config import TrainingConfig
from model.training.dataset import IGNORED
from model.training.samples import Sample, Samples


class PlainDataset(Dataset[Sample]):
    """Samples as they are."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


class PlainCollator:
    """Samples -> what transformers' LLaVA takes: input_ids, labels and attention_mask [B, T], pixel_values
    [N, 3, H, W]."""

    def __init__(self, files: Sequence[Path], pixels: PixelConfig) -> None:
        self._files = files
        self._processor = CLIPImageProcessorPil(
            size={"shortest_edge": pixels.size},
            crop_size={"height": pixels.size, "width": pixels.size},
            image_mean=list(pixels.mean),
            image_std=list(pixels.std),
        )

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        longest = max(len(sample.input_ids) for sample in samples)
        shape = (len(samples), longest)
        batch = {
            "input_ids": torch.zeros(shape, dtype=torch.long), "labels": torch.full(shape, IGNORED),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
        }  # fmt: skip
        for row, sample in enumerate(samples):
            ids, length = torch.from_numpy(sample.input_ids).long(), len(sample.input_ids)
            batch["input_ids"][row, :length] = ids
            batch["labels"][row, :length] = torch.where(torch.from_numpy(sample.trained), ids, IGNORED)
            batch["attention_mask"][row, :length] = 1
        images = [
            Image.open(self._files[place]).convert("RGB") for sample in samples for place in sample.pictures
        ]
        if images:
            batch["pixel_values"] = self._processor(images=images, return_tensors="pt")["pixel_values"]
        return batch


def plain_model(folder: Path, config: TrainingConfig) -> nn.Module:
    """Trains what our recipe trains: the projector, and the language model or adapters on it."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.requires_grad_(False)
    trained: nn.Module = model
    if config.keeps_adapter:
        lora = LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout,
            target_modules=LANGUAGE_LAYERS,
        )  # fmt: skip
        trained = get_peft_model(model, lora)
    else:
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    model.model.multi_modal_projector.requires_grad_(True)
    return trained


def plain_trainer(
    model: nn.Module, arguments: TrainingArguments, samples: Samples, pixels: PixelConfig
) -> Trainer:
    """With nothing of ours in it but the samples."""
    data: Any = PlainDataset(samples.train)
    return Trainer(
        model=model, args=arguments, train_dataset=data, data_collator=PlainCollator(samples.pictures, pixels)
    )
