"""A model of transformers, built and called; for workers only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from harness.models import zoo
from harness.models.problem import Problem

SEED = 0
"""Of random weights."""


def built(problem: Problem, dtype: str | None = None) -> Any:
    """The model, with its weights rounded to the problem's dtype; then in `dtype` where that is another."""
    import transformers

    known = problem.known
    transformers.logging.set_verbosity_error()
    cls = getattr(transformers, known.architecture)
    if known.folder:
        model = cls.from_pretrained(known.folder, local_files_only=True)
    else:
        torch.manual_seed(SEED)
        config = transformers.AutoConfig.for_model(**known.config)
        model = cls(config)
    return model.eval().to(getattr(torch, problem.dtype)).to(getattr(torch, dtype or problem.dtype))


def forward(problem: Problem, model: Any, past_ids: Any = None) -> Callable[..., Any]:
    """The call of a problem: out `(batch, positions, columns)`. A past is run through the model first, and kept."""
    kind, keep = problem.known.kind, problem.positions

    @torch.inference_mode()
    def call(*arrays: Any, mask: Any = None) -> Any:
        given = {} if mask is None else {"attention_mask": mask.long()}
        if kind == zoo.VISION:
            return model(pixel_values=arrays[0]).last_hidden_state
        given["input_ids"] = arrays[0]
        if kind == zoo.ENCODER_DECODER:
            given["decoder_input_ids"] = arrays[1]
        if kind == zoo.DECODER:
            given |= {"logits_to_keep": keep if keep < problem.length else 0}
            if mask is not None:
                positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
                given["position_ids"] = positions[:, -problem.length :]
        return _first(model(**given))

    if past_ids is None:
        return call
    with torch.inference_mode():
        cache = model(input_ids=past_ids, use_cache=True, logits_to_keep=1).past_key_values

    @torch.inference_mode()
    def step(ids: Any, mask: Any = None) -> Any:
        given = {} if mask is None else {"attention_mask": mask.long()}
        out = _first(model(input_ids=ids, past_key_values=cache, use_cache=True, **given))
        cache.crop(-problem.length)
        return out

    return step


def _first(output: Any) -> Any:
    return output.logits if "logits" in output else output.last_hidden_state
