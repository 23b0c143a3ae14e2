"""`datasets` and TRL read what was exported: every row, its pictures where they belong, and the exact text learned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from conversations.escaping import escape
from conversations.examples import Example, Preference, Verdict
from conversations.export import export, items
from conversations.formats import FORMATS
from conversations.formats.format import Format
from conversations.image_store import ImageStore
from conversations.manifest import Tally
from conversations.selection import Selection
from tests.conversations.logged import Talk, picture

os.environ["HF_HUB_OFFLINE"] = "1"
datasets = pytest.importorskip("datasets")

ROOT = Path(__file__).resolve().parents[3]
PATCHES = 36
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}:"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'][0]['text'] }}</s>{% endgeneration %}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    return ImageStore(tmp_path_factory.mktemp("trl") / "store")


def talks(images: ImageStore) -> list[Any]:
    """One picture and a follow-up; a system prompt and two pictures in two turns; text alone, full of marks. Every
    last answer is corrected."""
    red, blue = picture(images, "red"), picture(images, "blue")
    one, two, text = Talk("one"), Talk("two"), Talk("text")
    one.ask("What is it?", red), one.answer("A red square."), one.ask("Sure?")
    one.answer("No.", correction="Yes.")
    two.ask("This?", red), two.answer("Red.", system_prompt="Be brief."), two.ask("And this?", blue)
    two.answer("Green.", system_prompt="Be brief.", correction="Blue, C#")
    text.ask("What is <image> <|im_end|>?"), text.answer("No mark.", correction="<image> is\n### a mark.")
    return [one.logged, two.logged, text.logged]


def exported(format: Format, images: ImageStore, folder: Path) -> tuple[Any, list[Any]]:
    """The data set as `datasets` reads it, and the items that went in."""
    export(talks(images), images, folder / "out", format, Selection())
    found = datasets.load_dataset(
        "parquet",
        data_files=str(folder / "out" / "train.parquet"),
        split="train",
        cache_dir=str(folder / "cache"),
    )
    meant = [item for _, item in items(talks(images), format, Selection(), Tally())]
    assert len(found) == len(meant) >= 3
    return found, meant


@pytest.fixture(scope="module")
def processor() -> Any:
    """LLaVA's processor with the shipped model's vocabulary: 36 tokens a picture."""
    from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(ROOT / "model/demo/tokenizer.json"),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_special_tokens=["<image>"],
    )
    return LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 60}, crop_size={"height": 60, "width": 60}),
        tokenizer,
        patch_size=10,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=CHAT_TEMPLATE,
    )


def learned(batch: Any, row: int, processor: Any) -> str:
    ids = batch["labels"][row]
    return processor.tokenizer.decode(ids[ids != -100])


def num_image_tokens(batch: Any, row: int, processor: Any) -> int:
    return int((batch["input_ids"][row] == processor.image_token_id).sum())


def test_datasets_reads_the_pictures_out_of_the_file(tmp_path: Path, images: ImageStore) -> None:
    from PIL import Image

    found, meant = exported(FORMATS["parquet"], images, tmp_path)
    assert found.features["images"] == datasets.List(datasets.Image())
    assert found["id"] == [item.id for item in meant]
    for row, item in zip(found, meant, strict=True):
        assert len(row["images"]) == len(item.pictures)
        for shown, sha256 in zip(row["images"], item.pictures, strict=True):
            with Image.open(images.path(sha256)) as stored:
                assert shown.convert("RGB").tobytes() == stored.convert("RGB").tobytes()


def test_datasets_reads_the_json_formats(tmp_path: Path, images: ImageStore) -> None:
    for name, file in (("messages", "train.jsonl"), ("axolotl", "train.jsonl"), ("llava", "train.json")):
        folder = tmp_path / name
        export(talks(images), images, folder, FORMATS[name], Selection())
        found = datasets.load_dataset(
            "json", data_files=str(folder / file), split="train", cache_dir=str(tmp_path / "cache")
        )
        meant = [item for _, item in items(talks(images), FORMATS[name], Selection(), Tally())]
        assert list(found["id"]) == [item.id for item in meant]


def test_sft_learns_the_answers_and_nothing_else(tmp_path: Path, images: ImageStore, processor: Any) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    found, meant = exported(FORMATS["parquet"], images, tmp_path)
    collate = DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True)
    batch = collate(list(found))
    for row, item in enumerate(meant):
        assert isinstance(item, Example)
        answers = [message.text for message in item.messages if message.role == "assistant"]
        assert learned(batch, row, processor) == "".join(f"{escape(answer)}</s>" for answer in answers)
        assert num_image_tokens(batch, row, processor) == PATCHES * len(item.pictures)
    assert len(batch["pixel_values"]) == sum(len(item.pictures) for item in meant)


def test_each_picture_stands_in_its_own_turn(tmp_path: Path, images: ImageStore, processor: Any) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    found, _ = exported(FORMATS["parquet"], images, tmp_path)
    batch = DataCollatorForVisionLanguageModeling(processor)([found[1]])
    text = processor.tokenizer.decode(batch["input_ids"][0])
    shown = text.replace("<image>" * PATCHES, "▣").replace("</s>", "/")
    assert (
        shown.replace(" ", "") == "system:Bebrief.user:▣This?assistant:Red./user:▣Andthis?assistant:Blue,C#/"
    )


def test_dpo_learns_the_better_answer_over_the_worse(
    tmp_path: Path, images: ImageStore, processor: Any
) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    found, meant = exported(FORMATS["preference"], images, tmp_path)
    batch = DataCollatorForVisionPreference(processor)(list(found))
    tokenizer = processor.tokenizer
    sides = [
        tokenizer.decode(ids[mask.bool()])
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    assert all(isinstance(item, Preference) for item in meant)
    expected = [escape(item.chosen) for item in meant] + [escape(item.rejected) for item in meant]
    assert [side.strip().removesuffix("</s>") for side in sides] == expected
    for row, item in enumerate(meant):
        assert num_image_tokens(batch, row, processor) == PATCHES * len(item.pictures)


def test_kto_learns_each_answer_by_its_label(tmp_path: Path, images: ImageStore, processor: Any) -> None:
    from trl.trainer.kto_trainer import DataCollatorForVisionUnpairedPreference

    found, meant = exported(FORMATS["kto"], images, tmp_path)
    batch = DataCollatorForVisionUnpairedPreference(processor)(list(found))
    assert all(isinstance(item, Verdict) for item in meant)
    assert [bool(label) for label in batch["label"]] == [item.wanted for item in meant]
    for row, item in enumerate(meant):
        ids = batch["input_ids"][row][batch["completion_mask"][row].bool()]
        assert processor.tokenizer.decode(ids).strip().removesuffix("</s>") == escape(item.completion)


def test_two_steps_of_sft_change_a_small_model(tmp_path: Path, images: ImageStore, processor: Any) -> None:
    import torch
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
    from trl import SFTConfig, SFTTrainer

    found, _ = exported(FORMATS["parquet"], images, tmp_path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model: Any = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(image_size=60, patch_size=10, **sizes),
            text_config=LlamaConfig(vocab_size=len(processor.tokenizer), **sizes),
            image_token_index=processor.image_token_id,
        )
    )
    before = model.lm_head.weight.detach().clone()
    arguments = SFTConfig(
        output_dir=str(tmp_path / "run"),
        max_steps=2,
        per_device_train_batch_size=2,
        max_length=None,
        assistant_only_loss=True,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        learning_rate=1e-2,
    )
    trainer = SFTTrainer(model, arguments, train_dataset=found, processing_class=processor)
    done = trainer.train()
    assert done.global_step == 2
    assert 0 < done.training_loss < 20
    assert not torch.equal(before, model.lm_head.weight)
