"""What the vision tower says about a picture, remembered by the picture's content.

The tower is run layer by layer, so that running answers can go on between its layers. It stops at the layer whose
output is used: what comes after it is never computed. What is kept is the tower's output, before the projector, because
an adapter may bring a projector of its own; projecting again costs about a hundredth of reading the picture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from model.engine.request import Picture
from model.pixels import PixelConfig, pixel_values

if TYPE_CHECKING:
    from model.llava import Llava

MOST_BYTES = 128_000_000
"""About fifty pictures of LLaVA 1.5 in float32, a hundred in 16 bits."""


class PictureMemory:
    """The tower, and its outputs for the pictures used last."""

    def __init__(self, model: Llava, pixels: PixelConfig, most_bytes: int = MOST_BYTES) -> None:
        self._tower: Any = model.model.vision_tower
        self._pixels = pixels
        config = model.config
        layer = config.vision_feature_layer
        # hidden_states[0] is what goes into the first layer, so output k is made by k layers.
        self._num_layers = layer if layer >= 0 else config.vision_config.num_hidden_layers + 1 + layer
        self._most_bytes = most_bytes
        self._outputs: OrderedDict[str, Tensor] = OrderedDict()
        self.num_encoded = 0

    @property
    def num_remembered(self) -> int:
        return len(self._outputs)

    def features(self, sha256: str, projector: Callable[[Tensor], Tensor]) -> Tensor | None:
        """[P, Dt] of a remembered picture, by this projector; None for one that has to be encoded."""
        output = self._outputs.get(sha256)
        if output is None:
            return None
        self._outputs.move_to_end(sha256)
        return projector(output[None])[0]

    def encode(self, picture: Picture) -> Iterator[None]:
        """Runs the tower; gives control back after each layer. The picture is remembered when it ends."""
        weight = self._tower.embeddings.patch_embedding.weight
        pixels = pixel_values([picture.image], self._pixels).to(weight.device, weight.dtype)
        yield
        hidden = self._tower.pre_layrnorm(self._tower.embeddings(pixels))  # [1, 1 + P, Dv]
        for layer in self._tower.encoder.layers[: self._num_layers]:
            hidden = layer(hidden, None)
            yield
        self.num_encoded += 1
        self._remember(picture.sha256, hidden[0, 1:].clone())  # without the class token

    def forget(self) -> None:
        """Drops everything."""
        self._outputs.clear()

    def _remember(self, sha256: str, output: Tensor) -> None:
        self._outputs[sha256] = output
        kept = sum(each.numel() * each.element_size() for each in self._outputs.values())
        while kept > self._most_bytes and len(self._outputs) > 1:
            _, oldest = self._outputs.popitem(last=False)
            kept -= oldest.numel() * oldest.element_size()
