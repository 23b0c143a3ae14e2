"""The training network computes what the model's own forward computes, only where it is needed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.llava import ImageCountError, Llava
from model.training.dataset import IGNORED, collate
from model.training.features import tower_features
from model.training.network import TrainingNetwork
from tests.model.tiny import tiny_llava

PATCHES = 16
LENGTHS = (40, 23, 9)
"""The last one is without a picture: a mixed batch, padded."""


@pytest.fixture(params=["mlp2x_gelu", "linear"])
def llava(request: pytest.FixtureRequest) -> Llava:
    return tiny_llava(projector_type=request.param)[0]


def batch(llava: Llava, *, cached: bool) -> dict[str, Tensor]:
    """Two samples with a picture each and one without, learned here and there."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn((2, 3, 32, 32), generator=generator)
    items = []
    for row, length in enumerate(LENGTHS):
        ids = torch.randint(3, 300, (length,), generator=generator)
        if row < 2:
            ids[2 : 2 + PATCHES] = llava.config.image_token_id
        learned = torch.rand((length,), generator=generator) < 0.3
        learned &= ids != llava.config.image_token_id
        item = {"input_ids": ids, "labels": torch.where(learned, ids, IGNORED)}
        if row < 2 and cached:
            with torch.no_grad():
                item["tower_features"] = tower_features(llava, pixels[row : row + 1])
        elif row < 2:
            item["pixel_values"] = pixels[row : row + 1]
        items.append(item)
    return collate(items)


def gradients(llava: Llava, loss: Tensor) -> dict[str, Tensor]:
    llava.zero_grad()
    loss.backward()
    return {name: each.grad.clone() for name, each in llava.named_parameters() if each.grad is not None}


def reference_loss(llava: Llava, given: dict[str, Tensor]) -> Tensor:
    """transformers' own: every score, padding masked."""
    loss: Tensor = llava(
        input_ids=given["input_ids"], pixel_values=given["pixel_values"], labels=given["labels"],
        attention_mask=given["attention_mask"],
    ).loss  # fmt: skip
    return loss


@pytest.mark.parametrize("cached", [False, True])
def test_loss_and_gradients_are_those_of_the_models_own_forward(llava: Llava, cached: bool) -> None:
    llava.model.vision_tower.requires_grad_(False)
    wanted = reference_loss(llava, batch(llava, cached=False))
    right = gradients(llava, wanted)
    loss = TrainingNetwork(llava)(**batch(llava, cached=cached))["loss"]
    ours = gradients(llava, loss)
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    assert ours.keys() == right.keys()
    for name, gradient in right.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize(("num_shared", "read_once"), [(30, True), (4, False)])
def test_what_all_rows_begin_with_is_read_once(llava: Llava, num_shared: int, read_once: bool) -> None:
    """As the system text is; loss and gradients are what they are without it."""
    llava.model.vision_tower.requires_grad_(False)
    plain, cached = batch(llava, cached=False), batch(llava, cached=True)
    for given in (plain, cached):
        for name, begin in (
            ("input_ids", torch.arange(5, 5 + num_shared)),
            ("labels", None),
            ("attention_mask", None),
        ):
            value = torch.full((num_shared,), IGNORED) if name == "labels" else torch.ones(num_shared).long()
            given[name] = torch.cat([(value if begin is None else begin).repeat(3, 1), given[name]], dim=1)
        given["labels"][:, num_shared - 1] = given["input_ids"][:, num_shared - 1]  # one of them is learned
        given["input_ids"][:, num_shared + 20] = 7  # alike again, but behind what is not
    wanted = reference_loss(llava, plain)
    right = gradients(llava, wanted)
    seen: list[int] = []
    hook = llava.model.language_model.layers[0].register_forward_pre_hook(
        lambda module, arguments: seen.append(arguments[0].shape[0] * arguments[0].shape[1])
    )
    loss = TrainingNetwork(llava)(**cached)["loss"]
    hook.remove()
    ours = gradients(llava, loss)
    assert sum(seen) == (num_shared + 3 * LENGTHS[0] if read_once else 3 * (num_shared + LENGTHS[0]))
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    for name, gradient in right.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-5, rtol=1e-3, msg=name)


def test_what_is_not_learned_has_no_part_in_the_loss(llava: Llava) -> None:
    given = batch(llava, cached=True)
    network = TrainingNetwork(llava)
    loss = network(**given)["loss"]
    unlearned = given["labels"].clone()
    last = (unlearned[0] != IGNORED).nonzero()[-1]
    unlearned[0, last] = IGNORED
    assert network(**{**given, "labels": unlearned})["loss"].item() != loss.item()
    # The last id of the longest row is seen by nobody: another one there changes only its own label.
    ids = given["input_ids"].clone()
    given["labels"][0, -1] = IGNORED
    loss = network(**given)["loss"]
    ids[0, -1] = 5
    assert network(**{**given, "input_ids": ids})["loss"].item() == loss.item()


def test_padding_changes_nothing(llava: Llava) -> None:
    given = batch(llava, cached=True)
    network = TrainingNetwork(llava)
    loss = network(**given)["loss"]
    padded = {name: torch.nn.functional.pad(given[name], (0, 7)) for name in ("input_ids", "attention_mask")}
    padded["labels"] = torch.nn.functional.pad(given["labels"], (0, 7), value=IGNORED)
    again = network(**padded, tower_features=given["tower_features"])["loss"]
    assert again.item() == pytest.approx(loss.item(), abs=1e-5)


def test_over_a_count_the_losses_of_parts_add_up_to_the_whole(llava: Llava) -> None:
    given = batch(llava, cached=True)
    network = TrainingNetwork(llava)
    count = int((given["labels"][:, 1:] != IGNORED).sum())
    parts = [
        network(**_row(given, row), num_items_in_batch=torch.tensor(count))["loss"]
        for row in range(len(LENGTHS))
    ]
    assert sum(part.item() for part in parts) == pytest.approx(network(**given)["loss"].item(), abs=1e-5)


def test_text_alone_gives_the_projector_a_gradient_of_nought(llava: Llava) -> None:
    given = _row(batch(llava, cached=True), 2)
    given["labels"] = given["input_ids"]
    TrainingNetwork(llava)(**given)["loss"].backward()
    assert llava.lm_head.weight.grad.any()
    for parameter in llava.model.multi_modal_projector.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()


def test_a_batch_in_which_nothing_is_learned_has_a_loss_of_nought(llava: Llava) -> None:
    given = batch(llava, cached=True)
    given["labels"] = torch.full_like(given["labels"], IGNORED)
    loss = TrainingNetwork(llava)(**given)["loss"]
    assert loss.item() == 0.0
    loss.backward()


def test_unequal_counts_of_places_and_pictures_are_refused(llava: Llava) -> None:
    given = batch(llava, cached=True)
    given["tower_features"] = given["tower_features"][:1]
    with pytest.raises(ImageCountError, match="32 image tokens but its pictures give 16"):
        TrainingNetwork(llava)(**given)


def test_positions_that_jump_are_one_text(llava: Llava) -> None:
    """As the shipped model's course has them."""
    given = batch(llava, cached=False)
    positions = torch.arange(LENGTHS[0]).repeat(3, 1)
    positions[:, 20:] += 11
    wanted = llava(
        input_ids=given["input_ids"], pixel_values=given["pixel_values"], labels=given["labels"],
        attention_mask=given["attention_mask"], position_ids=positions,
    ).loss  # fmt: skip
    loss = TrainingNetwork(llava)(**given, position_ids=positions)["loss"]
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-5)


def _row(given: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    alone = {name: given[name][row : row + 1] for name in ("input_ids", "labels", "attention_mask")}
    if row < 2:
        alone["tower_features"] = given["tower_features"][row : row + 1]
    return alone
