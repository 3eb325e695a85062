"""A model of transformers, built and called; for workers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@torch.inference_mode()
def generated(problem: Problem, model: Any, inputs: Mapping[str, Any]) -> Any:
    """The tokens (batch, `generate`) that the model gives greedily after the sequences, none of which ends one."""
    native = {name: torch.from_numpy(array) for name, array in inputs.items()}
    given = {"attention_mask": native["mask"].long()} if "mask" in native else {}
    tokens = problem.generate
    found = model.generate(
        native["ids"], do_sample=False, num_beams=1, max_new_tokens=tokens, min_new_tokens=tokens, use_cache=True,
        pad_token_id=0, **given,
    )  # fmt: skip
    return found[:, -tokens:].numpy()


@torch.inference_mode()
def next_logits(problem: Problem, model: Any, inputs: Mapping[str, Any], tokens: Any) -> Any:
    """The logits (batch, columns) of what follows the sequences and these tokens (batch, any number)."""
    native = {name: torch.from_numpy(array) for name, array in inputs.items()}
    ids, mask, after = native["ids"], native.get("mask"), torch.from_numpy(tokens)
    given = {} if mask is None else {"attention_mask": mask.long()}
    if problem.known.kind == zoo.ENCODER_DECODER:
        start = torch.full((len(ids), 1), model.config.decoder_start_token_id)
        return model(input_ids=ids, decoder_input_ids=torch.cat([start, after], 1), **given).logits[:, -1]
    if mask is not None:
        whole = torch.cat([mask, torch.ones_like(after, dtype=torch.bool)], 1).long()
        given = {"attention_mask": whole, "position_ids": (whole.cumsum(-1) - 1).clamp(min=0)}
    return model(input_ids=torch.cat([ids, after], 1), **given).logits[:, -1]


def _first(output: Any) -> Any:
    return output.logits if "logits" in output else output.last_hidden_state
