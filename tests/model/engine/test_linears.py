"""Linear layers in oneDNN's order give what the plain ones give, however few or many rows there are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.engine.linears import AdaptedRows, Delta, Linears


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {"q": nn.Linear(24, 40), "k": nn.Linear(24, 16, bias=False)}


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, 2, 3, 4, 5, 33])
def test_every_number_of_rows_gives_the_layers_own_results(num_rows: int) -> None:
    plain, rows = layers(), torch.randn(num_rows, 24)
    for result, layer in zip(Linears(plain)(rows).split([40, 16], dim=-1), plain.values(), strict=True):
        assert result.shape == (num_rows, layer.out_features)
        torch.testing.assert_close(result, layer(rows))


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, 5])
@pytest.mark.parametrize("kind", [nn.Linear, type("Other", (nn.Linear,), {})])  # packed, and called as it is
def test_what_is_to_be_added_is_added_and_kept(kind: type[nn.Linear], num_rows: int) -> None:
    torch.manual_seed(0)
    layer, rows, plus = kind(24, 40), torch.randn(num_rows, 24), torch.randn(num_rows, 40)
    before = plus.clone()
    torch.testing.assert_close(Linears({"o": layer})(rows, plus=plus), layer(rows) + plus)
    torch.testing.assert_close(plus, before)


@torch.inference_mode()
@pytest.mark.parametrize("num_rows", [1, 5])
def test_an_adapter_changes_its_own_rows(num_rows: int) -> None:
    plain, rows = layers(), torch.randn(num_rows, 24)
    delta = Delta(torch.randn(24, 2), torch.randn(2, 40))
    changed = Linears(plain)(rows, [AdaptedRows(0, 1, {"q": delta})])[:, :40]
    expected = plain["q"](rows)
    torch.testing.assert_close(changed[1:], expected[1:])
    torch.testing.assert_close(changed[:1], expected[:1] + rows[:1] @ delta.down @ delta.up)
