"""One side's run in a process of its own, so that its peak of memory is its own:

    python -m scripts.training_bench.side ours|plain CONFIG

CONFIG is a run's config.json. What it learns and how (batches, optimiser, epochs) is the same on both sides. The clock
runs from the loaded model and the rendered samples to the last step: our side's encoding of pictures is in it. Prints
one JSON object: seconds, processor_seconds, num_trained (tokens learned), num_read, peak_bytes, loss (of the last
epoch).
"""

from __future__ import annotations

import json
import math
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from transformers import Trainer, TrainingArguments, set_seed
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from model import checkpoint
from model.checkpoint import LoadedModel
from model.training import features
from model.training.adapters import prepare
from model.training.config import TrainingConfig
from model.training.dataset import SampleDataset
from model.training.features import PictureSource, PixelSource
from model.training.network import TrainingNetwork
from model.training.rendering import Rendering
from model.training.reporter import Reporter
from model.training.run_folder import RunFolder
from model.training.samples import Samples, read
from model.training.trainer import LlavaTrainer
from scripts.training_bench.plain import plain_model, plain_trainer


def main() -> None:
    """Print the numbers."""
    disable_progress_bar()
    set_verbosity_error()
    side, config = sys.argv[1], TrainingConfig.from_json(Path(sys.argv[2]).read_text(encoding="utf-8"))
    loaded = checkpoint.load(config.model, device="cpu")
    samples = read(config, Rendering.of(loaded, config))
    work = Path(tempfile.mkdtemp(prefix="bench-training-"))
    arguments = _arguments(config, work, len(samples.train))
    set_seed(config.seed)
    try:
        if side == "plain":
            pixels = loaded.pixels
            del loaded  # the peak of memory is to be its own model's
            model = plain_model(Path(config.model), config)
            clock = _Clock()
            trainer = plain_trainer(model, arguments, samples, pixels)
        else:
            prepare(loaded.model, config)
            clock = _Clock()
            trainer = _ours(config, arguments, loaded, samples, work)
        trainer.train()
        clock.stop()
    finally:
        shutil.rmtree(work)
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    a_epoch = math.ceil(len(losses) / config.num_epochs)
    numbers = {
        "seconds": clock.seconds,
        "processor_seconds": clock.processor_seconds,
        "num_trained": round(config.num_epochs * sum(sample.num_trained for sample in samples.train)),
        "num_read": round(config.num_epochs * sum(len(sample.input_ids) for sample in samples.train)),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "loss": sum(losses[-a_epoch:]) / a_epoch,
    }
    print(json.dumps(numbers))


class _Clock:
    def __init__(self) -> None:
        self._began = (time.monotonic(), time.process_time())
        self.seconds, self.processor_seconds = 0.0, 0.0

    def stop(self) -> None:
        self.seconds = time.monotonic() - self._began[0]
        self.processor_seconds = time.process_time() - self._began[1]


def _ours(
    config: TrainingConfig, arguments: TrainingArguments, loaded: LoadedModel, samples: Samples, work: Path
) -> Trainer:
    source: PictureSource = PixelSource(samples.pictures, loaded.pixels)
    if config.feature_cache != "off":
        source = features.encode(loaded.model, source, len(samples.pictures), work, lambda fraction: None)
    return LlavaTrainer(
        TrainingNetwork(loaded.model), config, arguments, SampleDataset(samples.train, source), None,
        Reporter(RunFolder(work), writes=False),
    )  # fmt: skip


def _arguments(config: TrainingConfig, work: Path, num_samples: int) -> TrainingArguments:
    """The same for both sides, but that a plain Trainer shares out by the number of samples."""
    micro = min(config.micro_batch_size, num_samples)
    return TrainingArguments(
        output_dir=str(work), per_device_train_batch_size=micro,
        gradient_accumulation_steps=max(1, config.batch_size // micro), num_train_epochs=config.num_epochs,
        learning_rate=config.learning_rate, lr_scheduler_type="cosine", optim="adamw_torch_fused", max_grad_norm=1.0,
        use_cpu=True, logging_steps=1, save_strategy="no", eval_strategy="no", seed=config.seed,
        remove_unused_columns=False, label_names=["labels"], report_to="none", disable_tqdm=True,
        dataloader_num_workers=0, dataloader_pin_memory=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
