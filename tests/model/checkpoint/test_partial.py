"""Delta, projector alone and adapters, completed by their base: the same model as the whole one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import (
    CheckpointFormatError,
    CheckpointNotFound,
    IncompleteCheckpoint,
    LoadedModel,
    UnsupportedCheckpoint,
    weights,
)
from model.checkpoint.base_numbers import check_numbers, write_base
from model.checkpoint.tensor_file import TensorFile
from model.llava import Llava
from tests.model.checkpoint.made import write_json, write_parts, write_projector
from tests.model.tiny import tiny_llava


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    write_parts(tmp_path / "parts")
    return tmp_path / "parts"


def load(parts: Path, name: str, **options: object) -> LoadedModel:
    return checkpoint.load(parts / name, vision_tower=parts / "tower", device="cpu", **options)


def assert_same(found: Llava, expected: Llava, tolerance: float = 0.0) -> None:
    theirs = expected.state_dict()
    assert set(found.state_dict()) == set(theirs)
    for name, tensor in found.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=tolerance, msg=name)


def write_delta(parts: Path, *, rows: int = 0, tables: bool = True) -> None:
    """parts/delta: full less base, in float16 and two shards whose borders are not the base's."""
    full = load_file(parts / "full" / "model.safetensors")
    base = load_file(parts / "base" / "model.safetensors")
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        base[key] = base[key][: len(base[key]) - rows]
    scale = dict.fromkeys(base, 0.5)
    save_file({key: value * scale[key] for key, value in base.items()}, parts / "base" / "model.safetensors")
    delta = {}
    for key, value in full.items():
        delta[key] = value.clone()
        if key in base:
            delta[key][: len(base[key])] -= base[key] * scale[key]
    delta["model.norm.weight"] = torch.full((32,), 0.01)
    if tables:
        delta |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.zeros(4) for i in range(2)}
    (parts / "delta").mkdir()
    write_json(parts / "delta", json.loads((parts / "full" / "config.json").read_text()))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (parts / "delta" / name).write_bytes((parts / "full" / name).read_bytes())
    keys = sorted(delta)
    where = {key: f"pytorch_model-0000{1 + index % 2}-of-00002.bin" for index, key in enumerate(keys)}
    for file in set(where.values()):
        torch.save({key: delta[key] for key in keys if where[key] == file}, parts / "delta" / file)
    write_json(parts / "delta", {"weight_map": where}, "pytorch_model.bin.index.json")


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("rows", [0, 1])
def test_a_delta_and_its_base_are_the_whole_model(parts: Path, rows: int, tables: bool) -> None:
    whole = load(parts, "full").model
    write_delta(parts, rows=rows, tables=tables)
    found = load(parts, "delta", model_base=parts / "base")
    with torch.no_grad():
        whole.model.language_model.norm.weight.fill_(0.01 + 0.5 * 1.5)
    assert_same(found.model, whole, 1e-6)
    assert any("delta" in sentence for sentence in found.told)


def test_of_a_delta_and_of_its_base_one_shard_at_a_time_is_open(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_delta(parts)
    base = load_file(parts / "base" / "model.safetensors")
    where = {
        key: f"model-0000{1 + index // 8}-of-00004.safetensors" for index, key in enumerate(sorted(base))
    }
    for file in set(where.values()):
        save_file({key: each for key, each in base.items() if where[key] == file}, parts / "base" / file)
    write_json(parts / "base", {"weight_map": where}, "model.safetensors.index.json")
    (parts / "base" / "model.safetensors").unlink()
    open_now: list[Path] = []
    most: Counter[str] = Counter()

    class Counted(TensorFile):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            open_now.append(path)
            folder = path.parent.name
            most[folder] = max(most[folder], sum(each.parent.name == folder for each in open_now))

        def close(self) -> None:
            super().close()
            if self.path in open_now:
                open_now.remove(self.path)

    monkeypatch.setattr(weights, "TensorFile", Counted)
    load(parts, "delta", model_base=parts / "base")
    assert most == {"delta": 1, "base": 1, "tower": 1} and open_now == []
    assert len(set(where.values())) == 3


def test_a_delta_alone_is_told_and_of_another_base_too(parts: Path) -> None:
    write_delta(parts)
    with pytest.raises(
        IncompleteCheckpoint,
        match=r"is a delta \(.*inv_freq is zero\).*that LLaMA with --model-base",
    ):
        load(parts, "delta")
    base = load_file(parts / "base" / "model.safetensors")
    save_file(
        {key: value for key, value in base.items() if "layers.1" not in key},
        parts / "base" / "model.safetensors",
    )
    with pytest.raises(
        CheckpointFormatError, match=r"base lacks 9 tensors .*layers\.1.*the delta was made from"
    ):
        load(parts, "delta", model_base=parts / "base")
    save_file({key: torch.zeros(3, 3) for key in base}, parts / "base" / "model.safetensors")
    with pytest.raises(CheckpointFormatError, match=r"is the difference to .* 3\].*--model-base"):
        load(parts, "delta", model_base=parts / "base")


@pytest.mark.parametrize("projector_type", ["linear", "mlp2x_gelu"])
def test_a_projector_its_base_and_a_tower_are_the_whole_model(tmp_path: Path, projector_type: str) -> None:
    parts = tmp_path / "parts"
    model = write_parts(parts, projector_type=projector_type)
    write_projector(parts / "projector", model, parts / "full")
    found = load(parts, "projector", model_base=parts / "base")
    assert_same(found.model, load(parts, "full").model)


@pytest.mark.parametrize("whole_table", [False, True])
def test_a_projector_brings_the_rows_of_its_start_and_end_tokens(tmp_path: Path, whole_table: bool) -> None:
    parts = tmp_path / "parts"
    model = write_parts(parts)
    width, rows = 32, model.config.text_config.vocab_size
    table = torch.cat([torch.zeros(rows, width), torch.full((1, width), 7.0), torch.full((1, width), 8.0)])
    extra = {"model.embed_tokens.weight": table if whole_table else table[-2:]}
    write_projector(parts / "projector", model, parts / "full", extra, mm_use_im_start_end=True)
    found = load(parts, "projector", model_base=parts / "base")
    assert found.image_wrap == ("<im_start>", "<im_end>")
    ids = [found.tokenizer.convert_tokens_to_ids(token) for token in found.image_wrap]
    words = found.model.get_input_embeddings().weight
    assert [float(words[i].mean()) for i in ids] == [7.0, 8.0]
    assert found.model.lm_head.weight.shape == words.shape


def test_a_projector_for_another_base_is_told(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    model = write_parts(parts)
    extra = {"model.embed_tokens.weight": torch.zeros(5, 32)}
    write_projector(parts / "projector", model, parts / "full", extra)
    with pytest.raises(
        CheckpointFormatError, match=r"mm_projector\.bin holds 5 rows .*another base.*--model-base"
    ):
        load(parts, "projector", model_base=parts / "base")


def adapter_of(model: Llava, folder: Path, **options: object) -> torch.nn.Module:
    """Write an adapter that changes something; returns the model with it merged by peft."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": r".*language_model.*(q_proj|up_proj)"} | options
    wrapped = get_peft_model(model, LoraConfig(**settings))
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    wrapped.save_pretrained(folder)
    return wrapped.merge_and_unload()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"up_proj": 2}, "alpha_pattern": {"up_proj": 32}},
        {"modules_to_save": ["multi_modal_projector"]},
    ],
    ids=["plain", "rslora", "patterns", "with the projector"],
)
def test_an_adapter_made_here_is_merged_as_peft_merges_it(tmp_path: Path, options: dict) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    merged = adapter_of(model, tmp_path / "adapter", **options)
    for found in (
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu"),
        checkpoint.load(tmp_path / "adapter", model_base=tmp_path / "base", device="cpu"),
    ):
        assert_same(found.model, merged, 1e-6)
        assert any("low-rank" in sentence for sentence in found.told)


def test_an_adapter_without_or_with_another_base_is_told(tmp_path: Path) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    adapter_of(model, tmp_path / "adapter")
    with pytest.raises(IncompleteCheckpoint, match=r"adapter is an adapter.*--model-base"):
        checkpoint.load(tmp_path / "adapter", device="cpu")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(path)
    key = next(key for key in tensors if "lora_B" in key)
    save_file(tensors | {key: torch.zeros(7, 4)}, path)
    with pytest.raises(
        CheckpointFormatError, match=r"adapter_model.* another base: .* is 7 x 32, .*--model-base"
    ):
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")
    save_file({name.replace("layers.1", "layers.9"): value for name, value in tensors.items()}, path)
    with pytest.raises(CheckpointFormatError, match=r"another base: it changes .*layers\.9"):
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"peft_type": "IA3"}, UnsupportedCheckpoint, r"adapter_config\.json says peft_type 'IA3'"),
        ({"use_dora": True}, UnsupportedCheckpoint, r"use_dora"),
        ({"bias": "all"}, UnsupportedCheckpoint, r"bias 'all'"),
        ({"lora_alpha": "much"}, CheckpointFormatError, r"lora_alpha of .* is 'much'"),
        ({"alpha_pattern": {"(": 2}}, CheckpointFormatError, r"alpha_pattern"),
        (
            {"alpha_pattern": [2]},
            CheckpointFormatError,
            r"adapter_config\.json says alpha_pattern \[2\]; it must",
        ),
        (
            {"lora_alpha": float("nan")},
            CheckpointFormatError,
            r"lora_alpha of .* is nan; it must be a number",
        ),
        ({"fan_in_fan_out": True}, UnsupportedCheckpoint, r"fan_in_fan_out True, which is not read"),
        (
            {"layer_replication": [[0, 1]]},
            UnsupportedCheckpoint,
            r"layer_replication \[\[0, 1\]\], which is not",
        ),
        (
            {"init_lora_weights": "pissa_niter_4"},
            UnsupportedCheckpoint,
            r"'pissa_niter_4', so it fits a changed",
        ),
    ],
)
def test_an_adapter_that_cannot_be_read_is_named(
    tmp_path: Path, changes: dict, error: type[Exception], said: str
) -> None:
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    adapter_of(model, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(error, match=said):
        checkpoint.load(tmp_path / "base", adapter=tmp_path / "adapter", device="cpu")


def test_a_merged_adapter_is_quantised_after_it_is_merged(tmp_path: Path) -> None:
    """Four bits of the sum, not the sum of four bits: the adapter's own numbers are never rounded alone."""
    model, tokenizer = tiny_llava()
    checkpoint.save(tmp_path / "base", model, tokenizer)
    merged = adapter_of(model, tmp_path / "adapter", target_modules=r".*language_model.*down_proj")
    checkpoint.save(tmp_path / "merged", merged, tokenizer)
    found = checkpoint.load(
        tmp_path / "base", adapter=tmp_path / "adapter", quantize="4bit", device="cpu"
    ).model
    whole = checkpoint.load(tmp_path / "merged", quantize="4bit", device="cpu").model
    name = "model.language_model.layers.0.mlp.down_proj.weight"
    assert found.get_parameter(name).dtype == torch.uint8
    assert torch.equal(found.get_parameter(name).data, whole.get_parameter(name).data)


@pytest.mark.parametrize("named", ["adapter", "model_base"])
def test_the_projector_that_was_trained_along_is_merged_too(tmp_path: Path, named: str) -> None:
    """As the trainer writes a result: the adapter's own file, and beside it `projector.safetensors`."""
    parts = tmp_path / "parts"
    write_parts(parts)
    base = load(parts, "full").model
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(parts / "adapter", save_embedding_layers=False)
    trained = {
        name: each.detach() * 0.5 + 0.1
        for name, each in base.model.multi_modal_projector.state_dict().items()
    }
    save_file(trained, parts / "adapter" / "projector.safetensors")
    if named == "adapter":
        found = load(parts, "full", adapter=parts / "adapter")
    else:
        found = load(parts, "adapter", model_base=parts / "full")
    assert_same_projector(found.model, trained)
    save_file({"linear_9.weight": torch.zeros(2, 2)}, parts / "adapter" / "projector.safetensors")
    with pytest.raises(CheckpointFormatError, match=r"linear_9\.weight, which is no part"):
        load(parts, "full", adapter=parts / "adapter")


def assert_same_projector(found: Llava, expected: dict[str, torch.Tensor]) -> None:
    for name, tensor in found.model.multi_modal_projector.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)


def lora_folder(parts: Path, model: Llava) -> dict[str, torch.Tensor]:
    """parts/lora as LLaVA's own code writes one, with another projector than the model's, which is returned."""
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
    adapted.save_pretrained(parts / "lora", save_embedding_layers=False)
    trained = {
        name: each.detach() * 0.5 + 0.1
        for name, each in model.model.multi_modal_projector.state_dict().items()
    }
    places = {"linear_1": "0", "linear_2": "2"}
    keys = {name: f"base_model.model.model.mm_projector.{places[name[:8]]}{name[8:]}" for name in trained}
    torch.save(
        {keys[name]: each for name, each in trained.items()}, parts / "lora" / "non_lora_trainables.bin"
    )
    values = json.loads((parts / "full" / "config.json").read_text())
    write_json(parts / "lora", values)
    return trained


def test_llavas_own_lora_folder_brings_its_projector_also_when_it_is_the_adapter(parts: Path) -> None:
    trained = lora_folder(parts, load(parts, "full").model)
    assert_same_projector(load(parts, "full", adapter=parts / "lora").model, trained)
    assert_same_projector(load(parts, "lora", model_base=parts / "base").model, trained)


def test_a_lora_folder_without_its_projector_is_told_which_file_is_missing(parts: Path) -> None:
    lora_folder(parts, load(parts, "full").model)
    (parts / "lora" / "non_lora_trainables.bin").unlink()
    with pytest.raises(CheckpointNotFound, match=r"lora has no .*non_lora_trainables\.bin, .*copy that file"):
        load(parts, "lora", model_base=parts / "base")


# Whether the base is the one that an adapter was made on


@pytest.fixture
def two_bases(tmp_path: Path) -> Path:
    """tmp_path/base and /other, of one shape; /adapter, made here on the first of them."""
    for name, seed in (("base", 0), ("other", 5)):
        checkpoint.save(tmp_path / name, *tiny_llava(seed=seed))
    made = checkpoint.load(tmp_path / "base", device="cpu")
    adapter_of(made.model, tmp_path / "adapter", target_modules=r".*language_model.*(q_proj|k_proj)")
    write_base(tmp_path / "adapter", made.base_numbers)
    return tmp_path


def test_an_adapter_made_here_is_refused_on_another_base_of_the_same_shape(two_bases: Path) -> None:
    said = r"adapter was made for another base.*embed_tokens.*differ from those in .*base\.json; give"
    for source, options in (("other", {"adapter": "adapter"}), ("adapter", {"model_base": "other"})):
        given = {name: two_bases / folder for name, folder in options.items()}
        with pytest.raises(CheckpointFormatError, match=said):
            checkpoint.load(two_bases / source, device="cpu", **given)


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantize": "4bit"}, {"quantize": "8bit"}])
def test_an_adapter_knows_its_base_in_other_formats_and_layouts(two_bases: Path, options: dict) -> None:
    """Whichever the base was loaded in when the adapter was made, and is when it is used."""
    again = checkpoint.load(two_bases / "base", device="cpu", **options)
    write_base(two_bases / "adapter", again.base_numbers)
    assert check_numbers(two_bases / "adapter", again.model.state_dict().get)
    half = checkpoint.load(two_bases / "base", dtype="bfloat16", device="cpu")
    checkpoint.save(two_bases / "half", half.model, half.tokenizer)
    assert checkpoint.load(two_bases / "half", adapter=two_bases / "adapter", device="cpu", **options)


def test_an_adapter_that_says_no_more_than_a_name_is_compared_by_it(
    two_bases: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (two_bases / "adapter" / "base.json").unlink()
    path = two_bases / "adapter" / "adapter_config.json"
    values = json.loads(path.read_text())
    for made_on, warned in (("org/Base@v2", False), ("org/vicuna-7b", True), (None, False)):
        path.write_text(json.dumps(values | {"base_model_name_or_path": made_on}))
        caplog.clear()
        checkpoint.load(two_bases / "base", adapter=two_bases / "adapter", device="cpu")
        assert ("org/vicuna-7b and is added to" in caplog.text) == warned


@pytest.mark.parametrize(
    "content", ['{"numbers": 7}', '{"numbers": {"a": [[1, 2]]}}', "[]", '{"numbers": {"a": 3}}']
)
def test_a_damaged_note_of_the_base_is_named(two_bases: Path, content: str) -> None:
    (two_bases / "adapter" / "base.json").write_text(content)
    with pytest.raises(CheckpointFormatError, match=r"base\.json"):
        checkpoint.load(two_bases / "base", adapter=two_bases / "adapter", device="cpu")
