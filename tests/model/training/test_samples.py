"""Records become samples: rendered, masked and split by picture; what is left out is counted by its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conversations.errors import InvalidImport
from model.prompt import render
from model.training.config import DataSource, TrainingConfig
from model.training.errors import UnusableData
from model.training.rendering import Rendering
from model.training.samples import BROKEN, Samples, read
from tests.model.tiny import tiny_tokenizer
from tests.model.training.small_run import write_data


def rendering(config: TrainingConfig, context_tokens: int = 2048) -> Rendering:
    from conversations.template import TEMPLATES

    tokenizer = tiny_tokenizer()
    image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    return Rendering(TEMPLATES["llava_v1"], tokenizer, 16, image_token_id, context_tokens).for_run(config)


def config_of(*files: Path, recipe: Any = "lora", **changes: Any) -> TrainingConfig:
    sources = tuple(DataSource(str(file)) for file in files)
    return TrainingConfig(recipe, "model", sources).changed(**{"held_out_share": 0.0, **changes})


def samples_of(config: TrainingConfig, **changes: Any) -> Samples:
    return read(config, rendering(config), **changes)


def record(
    number: int, answer: str = "An answer.", picture: str | None = None, **more: Any
) -> dict[str, Any]:
    question = "<image>\nWhat?" if picture else "What?"
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": str(number), "conversations": said} | ({"image": picture} if picture else {}) | more


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    for each in records:
        if "image" in each:
            Image.new("RGB", (20, 20), (each["conversations"][0]["value"].count("a"), 9, 9)).save(
                folder / each["image"]
            )
    file = folder / "train.json"
    file.write_text(json.dumps(records))
    return file


def test_ids_and_mask_are_the_renderers(tmp_path: Path) -> None:
    """Each sample is what chat's renderer makes of its example, picture first or question first; no token outside the
    answers is learned."""
    file = write_data(tmp_path)
    config = config_of(file)
    used = rendering(config)
    made = read(config, used)
    assert len(made.train) == 20
    texts = [used.tokenizer.decode(sample.input_ids) for sample in made.train]
    answers = [
        turn["value"].strip()
        for each in json.loads(file.read_text())
        for turn in each["conversations"]
        if turn["from"] == "gpt"
    ]
    found = []
    for sample in made.train:
        learned = used.tokenizer.decode(sample.input_ids[sample.trained])
        found += [part.strip() for part in learned.split("</s>") if part.strip()]
    assert sorted(found) == sorted(answers)
    assert all("USER:" in text for text in texts)
    firsts = {text.index("<image>") < text.index("What is on") for text in texts if "<image>" in text}
    assert firsts == {True, False}, "the picture comes before some questions and after others"


def test_a_sample_is_rendered_as_chat_renders_it(tmp_path: Path) -> None:
    from conversations.training_json import PictureFolder, records_of

    file = write(tmp_path, [record(1, "Ünï ###</s>\n x"), record(2, " two ")])
    config = config_of(file)
    used = rendering(config)
    made = read(config, used)
    for sample, (_, example) in zip(made.train, records_of(file, PictureFolder(tmp_path).ref), strict=True):
        prompt = render(
            used.template, example.messages, used.tokenizer, num_patches=16, image_token_id=used.image_token_id,
            open_turn=False,
        )  # fmt: skip
        assert (sample.input_ids.tolist(), sample.trained.tolist()) == (prompt.input_ids, prompt.loss_mask)


def test_align_reads_pictures_and_captions_only(tmp_path: Path) -> None:
    file = write(tmp_path, [record(1, "A cat.", "1.png"), record(2)])
    config = config_of(file, recipe="align")
    used = rendering(config)
    made = read(config, used)
    assert made.left_out == {"without a picture, which align cannot learn from": 1}
    (sample,) = made.train
    assert used.tokenizer.decode(sample.input_ids[sample.trained]).strip() == "A cat."
    assert "What?" not in used.tokenizer.decode(sample.input_ids)


def test_the_split_is_by_picture_and_moves_with_nothing(tmp_path: Path) -> None:
    """Two records of each picture; another folder, other records around them and another order change no side."""
    records = [record(number, picture=f"{number % 30}.png") for number in range(60)]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = samples_of(config_of(write(tmp_path / "a", records), held_out_share=0.3))
    both = samples_of(config_of(write(tmp_path / "b", [*records[::-1], record(99)]), held_out_share=0.3))

    def names(made: Samples, side: str) -> set[str]:
        return {made.pictures[place].name for sample in getattr(made, side) for place in sample.pictures}

    assert names(one, "held_out") & names(one, "train") == set()
    assert 3 <= len(names(one, "held_out")) <= 15
    assert names(one, "held_out") == names(both, "held_out")
    assert len(one.asked) == len(one.held_out)
    other = samples_of(config_of(tmp_path / "a" / "train.json", held_out_share=0.3, seed=1))
    assert names(other, "held_out") != names(one, "held_out")


def test_a_share_is_drawn_and_more_than_all_is_repeated(tmp_path: Path) -> None:
    file = write(tmp_path, [record(number, f"Answer {number}.") for number in range(20)])
    for share, number in ((0.25, 5), (1.0, 20), (2.5, 50)):
        config = TrainingConfig("lora", "m", (DataSource(str(file), share=share),), held_out_share=0.0)
        assert len(samples_of(config).train) == number
    assert [sample.input_ids.tolist() for sample in samples_of(config).train] == [
        sample.input_ids.tolist() for sample in samples_of(config).train
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    records = [record(1), record(2, "  "), record(3, "long " * 3000), record(4, picture="gone.png")]
    file = write(tmp_path, records)
    (tmp_path / "gone.png").unlink()
    made = samples_of(config_of(file))
    assert len(made.train) == 1
    assert made.left_out == {BROKEN: 1, "with an empty answer": 1, "longer than the model's context": 1}
    assert [(path.name, why) for path, why in made.broken.items()] == [("gone.png", "is missing")]


def test_of_a_conversation_that_is_too_long_its_first_exchanges_are_learned(tmp_path: Path) -> None:
    long = record(1, "First.")
    long["conversations"] += [{"from": "human", "value": "And?"}, {"from": "gpt", "value": "more " * 200}]
    config = config_of(write(tmp_path, [long]), max_tokens=400)
    used = rendering(config)
    made = read(config, used)
    assert used.tokenizer.decode(made.train[0].input_ids[made.train[0].trained]).strip() == "First.</s>"
    assert made.left_out == {"(only their last exchanges, which did not fit)": 1}


def test_a_run_that_goes_on_has_the_samples_that_it_began_with(tmp_path: Path) -> None:
    """Of pictures it knows what was broken at its beginning, whatever became of them since."""
    file = write(tmp_path, [record(number, picture=f"{number}.png") for number in range(4)])
    (tmp_path / "2.png").unlink()
    assert len(samples_of(config_of(file)).train) == 3
    assert len(samples_of(config_of(file), broken={}).train) == 4
    known = {str(tmp_path / "0.png"): "is missing", str(tmp_path / "1.png"): "is missing"}
    made = samples_of(config_of(file), broken=known)
    assert (len(made.train), made.left_out[BROKEN]) == (2, 2)


def test_faults_of_a_file_are_named(tmp_path: Path) -> None:
    file = write(tmp_path, [record(1), {"id": "2", "conversations": [{"from": "human", "value": 3}]}])
    with pytest.raises(InvalidImport, match=r"train.json, record 2, conversations"):
        samples_of(config_of(file))
    file.write_text(json.dumps([record(1) | {"image": "../up.png"}]))
    with pytest.raises(InvalidImport, match="leads out of the folder"):
        samples_of(config_of(file))
    file.write_text("[]")
    with pytest.raises(UnusableData, match="There is nothing to train on: the files are empty"):
        samples_of(config_of(file))


def test_pictures_of_one_name_in_several_folders_fall_on_both_sides(tmp_path: Path) -> None:
    names = [f"scene{number}/picture.png" for number in range(30)]
    for name in names:
        (tmp_path / name).parent.mkdir()
    file = write(tmp_path, [record(number, picture=name) for number, name in enumerate(names)])
    made = samples_of(config_of(file, held_out_share=0.3))
    assert made.train and made.held_out and len(made.train) + len(made.held_out) == 30


def test_a_picture_of_two_data_sets_is_on_one_side(tmp_path: Path) -> None:
    files = []
    for folder, prefix in ((tmp_path / "a", ""), (tmp_path / "b", "images/")):
        (folder / prefix).mkdir(parents=True)
        rows = [record(number, picture=f"{prefix}{number}.png") for number in range(30)]
        files.append(write(folder, rows))
    made = samples_of(config_of(*files, held_out_share=0.3))
    names = [
        {made.pictures[place].name for each in side for place in each.pictures}
        for side in (made.train, made.held_out)
    ]
    assert names[0] and names[1] and not names[0] & names[1]


def test_copies_of_a_record_are_on_one_side(tmp_path: Path) -> None:
    rows = [record(number, f"Answer {number}.") for number in range(30)]
    for row in rows:
        del row["id"]
    config = config_of(write(tmp_path, rows), held_out_share=0.3)
    made = samples_of(config.changed(data=(DataSource(config.data[0].file, share=4.0),)))
    learned, held_out = ({tuple(each.input_ids) for each in side} for side in (made.train, made.held_out))
    assert len(made.train) + len(made.held_out) == 120
    assert learned and held_out and not learned & held_out
