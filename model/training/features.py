"""The frozen tower's features, computed once a picture and read again in every epoch.

They lie in one file of the run's folder, a row [P, Dv] a picture, in half precision where the run computes in half
precision, else in float32. Beside it stands of what they are, so that another base's or other pictures' are not taken
for them. The file is removed when the run has ended well.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.pixels import PixelConfig, pixel_values
from model.training.config import FeatureCache
from model.training.run_folder import write_whole

if TYPE_CHECKING:
    from model.llava import Llava

NAME, DONE = "features.bin", "features.json"
BATCH = 16
MAX_DISK_SHARE = 0.5
"""Of the free room; the rest is for checkpoints."""

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def tower_features(llava: Llava, pixels: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, P, Dv]: what the projector reads (the layers and tokens that the config names)."""
    tower, config = llava.model.vision_tower, llava.config
    hidden = tower(pixels, output_hidden_states=True).hidden_states
    layers = config.vision_feature_layer
    chosen = [hidden[layer] for layer in ([layers] if isinstance(layers, int) else layers)]
    first = 1 if config.vision_feature_select_strategy == "default" else 0
    return torch.cat([layer[:, first:] for layer in chosen], dim=-1)


class PixelSource:
    """Pictures from their files, each time anew: [n, 3, H, W]."""

    key = "pixel_values"

    def __init__(self, files: Sequence[Path], pixels: PixelConfig) -> None:
        self._files, self._pixels = files, pixels

    def digest(self, model: str) -> str:
        """Of the pictures' files as they are now, how they are prepared, and for which base."""
        seen = hashlib.sha256(f"{model} {self._pixels}".encode(errors="surrogatepass"))
        for file in self._files:
            stat = file.stat() if file.exists() else None
            facts = (str(file), stat.st_size, stat.st_mtime_ns) if stat else (str(file),)
            seen.update(repr(facts).encode(errors="surrogatepass"))
        return seen.hexdigest()

    def get(self, places: Sequence[int]) -> Tensor:
        """Raises one of UNREADABLE."""
        images = []
        for place in places:
            with Image.open(self._files[place]) as image:
                images.append(image.convert("RGB"))
        return pixel_values(images, self._pixels)


class FeatureSource:
    """The same pictures' tower features from a file: [n, P, Dv]."""

    key = "tower_features"

    def __init__(self, rows: np.memmap, broken: frozenset[int]) -> None:
        self._rows, self.broken = rows, broken

    def get(self, places: Sequence[int]) -> Tensor:
        """Raises OSError for a picture that could not be read when the file was made."""
        if self.broken.intersection(places):
            raise OSError("the picture could not be read")
        return torch.from_numpy(np.array(self._rows[list(places)]))


PictureSource = PixelSource | FeatureSource


def num_bytes(llava: Llava, num_pictures: int) -> int:
    """Of the file."""
    itemsize = 4 if _number_format(llava) == np.float32 else 2
    return num_pictures * llava.num_patches * _width(llava) * itemsize


def pays(choice: FeatureCache, folder: Path, size: int, num_uses: float) -> bool:
    """Whether the file is worth making: each picture is needed again, and there is room. `num_uses` a picture."""
    if choice != "auto":
        return choice == "on" and size > 0
    return num_uses >= 1.5 and 0 < size < MAX_DISK_SHARE * shutil.disk_usage(folder).free


@torch.inference_mode()
def encode(
    llava: Llava,
    source: PixelSource,
    num_pictures: int,
    folder: Path,
    on_progress: Callable[[float], None],
    *,
    model: str = "",
) -> FeatureSource:
    """Make the file, or go on with one that an interrupted run began. Raises OSError where the disk is full: it is
    written and not mapped, since what does not fit into a mapped file kills the process."""
    shape = (num_pictures, llava.num_patches, _width(llava))
    number_format = np.dtype(_number_format(llava))
    path, done_file = folder / NAME, folder / DONE
    about = {"shape": list(shape), "dtype": str(number_format), "of": source.digest(model)}
    done, broken = _begun(done_file, about) if path.is_file() else (0, set())
    weight = next(llava.model.vision_tower.parameters())
    with path.open("r+b" if done else "wb") as file:
        for start in range(done, num_pictures, BATCH):
            end = min(start + BATCH, num_pictures)
            rows = np.zeros((end - start, *shape[1:]), dtype=number_format)
            readable = []
            for place in range(start, end):
                try:
                    readable.append((place - start, source.get([place])))
                except UNREADABLE:
                    broken.add(place)
            if readable:
                pixels = torch.cat([each for _, each in readable]).to(weight.device, weight.dtype)
                rows[[row for row, _ in readable]] = tower_features(llava, pixels).float().cpu().numpy()
            file.seek(start * rows[0].nbytes)
            file.write(rows.tobytes())
            file.flush()
            write_whole(done_file, json.dumps({**about, "done": end, "broken": sorted(broken)}))
            on_progress(end / num_pictures)
    return FeatureSource(np.memmap(path, dtype=number_format, mode="r", shape=shape), frozenset(broken))


def forget(folder: Path) -> None:
    """Remove the file."""
    (folder / NAME).unlink(missing_ok=True)
    (folder / DONE).unlink(missing_ok=True)


def _begun(done_file: Path, about: dict[str, Any]) -> tuple[int, set[int]]:
    """How many pictures are done and which of them are broken."""
    try:
        told = json.loads(done_file.read_text(encoding="utf-8"))
        if {name: told[name] for name in about} == about:
            return int(told["done"]), set(told["broken"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none was begun, or half of it was written
    return 0, set()


def _width(llava: Llava) -> int:
    layers = llava.config.vision_feature_layer
    return int(llava.config.vision_config.hidden_size) * (1 if isinstance(layers, int) else len(layers))


def _number_format(llava: Llava) -> type[np.floating]:
    weight = next(llava.model.vision_tower.parameters())
    return np.float32 if weight.dtype == torch.float32 else np.float16
