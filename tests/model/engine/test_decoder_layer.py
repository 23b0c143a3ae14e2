"""The norm that is written for few calls gives what transformers' own gives."""

from __future__ import annotations

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from model.engine.decoder_layer import Norm


@torch.inference_mode()
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_every_size_are_normed_as_by_transformers(size: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    theirs = LlamaRMSNorm(48, eps=1e-5).to(dtype)
    theirs.weight.copy_(torch.randn(48))
    rows = (size * torch.randn(5, 48)).to(dtype)
    torch.testing.assert_close(Norm(theirs)(rows), theirs(rows))
