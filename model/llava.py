"""The network: CLIP features -> projector -> placed at the image tokens of the language model.

It is transformers' `LlavaForConditionalGeneration` with two changes, so that `generate`, PEFT, bitsandbytes,
accelerate and `save_pretrained` go on working: the projector is the one that `config.projector_type` names
(transformers has only the MLP), and unequal counts of image tokens and picture features raise an error that
names both numbers.

The picture features are the patch tokens of the layer before the last, without the class token (Liu et al.
2023, section 4.1 and LLaVA's `mm_vision_select_layer=-2`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPVisionModel
from transformers.models.llama.modeling_llama import LlamaForCausalLM
from transformers.models.llava.configuration_llava import LlavaConfig
from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration

from conversations.template import TEMPLATES

from .pixels import PixelConfig
from .projector import Projector


class ImageCountError(ValueError):
    """The prompt asks for another number of picture features than the pictures give."""


class Llava(LlavaForConditionalGeneration):
    """LLaVA whose projector is the one that `config.projector_type` names (absent: the MLP)."""

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__(config)
        self.model.multi_modal_projector = _projector(config)
        self.loss_type = "ForConditionalGeneration"  # else guessed from the class's name, with a warning

    @classmethod
    def from_parts(
        cls,
        vision: CLIPVisionModel,
        language: LlamaForCausalLM,
        *,
        projector_type: str,
        image_token_id: int,
        template: str,
        pixels: PixelConfig,
        about: str = "",
    ) -> Llava:
        """Join a trained tower and a trained language model by a fresh projector.

        The parts are used as they are, not copied: training this model changes them. `template` is a name in
        conversations.template.TEMPLATES, `about` one sentence on what the model knows; both end up in
        config.json. Raises ValueError where the parts do not fit together, before anything is trained.
        """
        if template not in TEMPLATES:
            raise ValueError(f"There is no template {template!r}; choose one of: {', '.join(TEMPLATES)}.")
        if pixels.size != vision.config.image_size:
            raise ValueError(
                f"pixels.size is {pixels.size}, the tower sees {vision.config.image_size}; make them equal."
            )
        if not 0 <= image_token_id < language.config.vocab_size:
            last = language.config.vocab_size - 1
            raise ValueError(
                f"image_token_id is {image_token_id}, ids go from 0 to {last}; give the image token's."
            )
        side = vision.config.image_size // vision.config.patch_size
        config = LlavaConfig(
            vision_config=vision.config,
            text_config=language.config,
            image_token_index=image_token_id,
            image_seq_length=side * side,
            vision_feature_layer=-2,
            vision_feature_select_strategy="default",
            projector_hidden_act="gelu",
            tie_word_embeddings=language.config.tie_word_embeddings,
            projector_type=projector_type,
            template=template,
            pixels=pixels.as_mapping(),
            about=about,
        )
        with torch.device("meta"):  # the parts bring their own weights; nothing is allocated twice
            model = cls(config)
        model.model.vision_tower = vision
        model.model.language_model = language.model
        model.lm_head = language.lm_head
        model.model.multi_modal_projector = _projector(config).to(language.device, language.dtype)
        model.generation_config = language.generation_config
        return model

    @property
    def num_patches(self) -> int:
        """P: how many image tokens one picture takes in the prompt."""
        vision = self.config.vision_config
        return int((vision.image_size // vision.patch_size) ** 2)

    def image_features(self, pixel_values: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, P, Dt]: what stands at the image tokens."""
        tower = self.model.vision_tower
        weight = tower.embeddings.patch_embedding.weight
        features = self.model.get_image_features(pixel_values.to(weight.device, weight.dtype)).pooler_output
        return torch.stack(tuple(features))

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        *,
        mm_encoder_outputs: dict[str, Any] | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Any:
        """Ids [B, T] and pixels [N, 3, H, W] -> logits [B, T, V], as the parent. Raises ImageCountError.

        The parameters are spelled out because `generate` and the trainers look at this signature to decide
        what to pass.
        """
        if input_ids is not None and (pixel_values is not None or input_ids.shape[-1] > 1):
            # A single token without pixels is a decoding step: no need to wait for the device there.
            self._check_counts(input_ids, pixel_values, mm_encoder_outputs)
        return super().forward(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            labels=labels,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def _check_counts(
        self, input_ids: Tensor, pixel_values: Tensor | None, encoded: dict[str, Any] | None
    ) -> None:
        num_tokens = int((input_ids == self.config.image_token_id).sum())
        if encoded is not None and encoded.get("image") is not None:
            num_features = sum(len(features) for features in encoded["image"].pooler_output)
        else:
            num_features = 0 if pixel_values is None else pixel_values.shape[0] * self.num_patches
        if num_tokens != num_features:
            raise ImageCountError(
                f"The prompt holds {num_tokens} image tokens but the pictures give {num_features} features "
                f"({self.num_patches} a picture); give one picture for every place in the prompt."
            )


def _projector(config: LlavaConfig) -> Projector:
    # A config without our key was written by plain transformers, which knows only the MLP.
    projector_type = config.to_dict().get("projector_type", "mlp2x_gelu")
    return Projector(
        config.vision_config.hidden_size,
        config.text_config.hidden_size,
        projector_type,
        bias=config.multimodal_projector_bias,
    )
