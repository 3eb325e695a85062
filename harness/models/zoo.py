"""The models that can be asked for by name: their configurations, as transformers writes them. Imports no framework.

Weights are random, drawn from a seed; of what a model computes, time and rounding do not depend on them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data import store
from harness.data.catalogue import CATALOGUE
from harness.data.store import fetched
from harness.errors import UserError, unknown_name

TEXT_ENCODER, DECODER, ENCODER_DECODER, VISION = "text encoder", "decoder", "encoder-decoder", "vision"


@dataclass(frozen=True)
class Model:
    """A model's architecture and sizes."""

    name: str
    architecture: str
    """The class in transformers."""
    config: Mapping[str, Any]
    """What its configuration is made from."""
    folder: str = ""
    """Where its weights lie; random ones where that is empty."""
    answers: bool = False
    """Whether there are questions to it: `harness.models.real_answers`."""

    @property
    def kind(self) -> str:
        """What it is given, and what it gives."""
        family = str(self.config["model_type"])
        if family not in _KINDS:
            raise UserError(f"{self.name} is a {family} model; known are {', '.join(sorted(_KINDS))}")
        return _KINDS[family]

    def size(self, *names: str, default: int | None = None) -> int:
        """A size in the configuration, under the first of its names that is there."""
        for name in names:
            if self.config.get(name) is not None:
                return int(self.config[name])
        if default is None:
            raise UserError(f"the configuration of {self.name} has none of {', '.join(names)}")
        return default

    @property
    def width(self) -> int:
        return self.size("hidden_size", "n_embd", "d_model")

    @property
    def layers(self) -> int:
        return self.size("num_hidden_layers", "n_layer", "num_layers")

    @property
    def heads(self) -> int:
        return self.size("num_attention_heads", "n_head", "num_heads")

    @property
    def kv_heads(self) -> int:
        return self.size("num_key_value_heads", default=self.heads)

    @property
    def head_dim(self) -> int:
        return self.size("head_dim", "d_kv", default=self.width // self.heads)

    @property
    def vocabulary(self) -> int:
        return self.size("vocab_size", default=0)

    @property
    def longest(self) -> int:
        """Positions that it knows; 0 for any number."""
        return self.size("max_position_embeddings", "n_positions", default=0)


_KINDS = {
    "bert": TEXT_ENCODER, "albert": TEXT_ENCODER, "roberta": TEXT_ENCODER, "distilbert": TEXT_ENCODER,
    "gpt2": DECODER, "llama": DECODER, "qwen2": DECODER, "mistral": DECODER,
    "t5": ENCODER_DECODER, "vit": VISION,
}  # fmt: skip


def _tiny(model_type: str, **sizes: Any) -> dict[str, Any]:
    return {"model_type": model_type, "vocab_size": 128, **sizes}


_NAMED = {
    "tiny-bert": ("BertForMaskedLM", _tiny(
        "bert", hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=512,
    )),
    "tiny-gpt2": ("GPT2LMHeadModel", _tiny(
        "gpt2", n_embd=64, n_layer=2, n_head=4, n_positions=1024, bos_token_id=1, eos_token_id=1,
    )),
    "tiny-llama": ("LlamaForCausalLM", _tiny(
        "llama", hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128,
        max_position_embeddings=2048,
    )),
    "tiny-t5": ("T5ForConditionalGeneration", _tiny(
        "t5", d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, decoder_start_token_id=0,
    )),
    "tiny-vit": ("ViTModel", {
        "model_type": "vit", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
        "image_size": 32, "patch_size": 8,
    }),
    "bert-base": ("BertModel", {
        "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "max_position_embeddings": 512,
    }),
    "gpt2": ("GPT2LMHeadModel", {
        "model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024,
    }),
    # JackFram/llama-160m, of Miao et al. 2023 (SpecInfer, arXiv 2305.09781); with room for a cache of 4,096 positions.
    "llama-160m": ("LlamaForCausalLM", {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "num_key_value_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 8192,
    }),
}  # fmt: skip

NAMES = tuple(_NAMED)

_WEIGHTS = tuple(one.name for one in CATALOGUE.values() if one.texts is None)

_DECISIVE = 1.2
"""The standard deviation of queries and keys. The usual one gives scores near zero, and every key nearly the same weight:
then a wrong scale, or a key too many, hardly changes what a model says."""


def model(asked: str) -> Model:
    """A model by its name, or the folder of one. Raises `UserError` for what is neither."""
    if asked in _NAMED:
        architecture, config = _NAMED[asked]
        named = Model(asked, architecture, config)
        spread = _DECISIVE / named.width**0.5
        return dataclasses.replace(named, config={"initializer_range": spread, **config})
    if asked in _WEIGHTS:
        package = CATALOGUE[asked]
        if not fetched(package):
            raise UserError(f"{asked} has not been fetched: python -m harness data {asked} ({package.megabytes:.0f} MB)")
        return dataclasses.replace(_in_folder(store.folder(package)), name=asked, answers=True)
    folder = Path(asked)
    if not folder.is_dir():
        if asked.count("/") == 1:
            return dataclasses.replace(_in_folder(_from_the_hub(asked)), name=asked.partition("/")[2])
        raise UserError(unknown_name("model", asked, [*NAMES, *_WEIGHTS], "a model is a folder, or one of"))
    return _in_folder(folder)


def _from_the_hub(name: str) -> Path:
    """The folder in which Hugging Face's client keeps a model, downloaded where it is not there."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise UserError(f"{name} is no folder, and without pip install 'attention-harness[models]' no hub's name") from None
    wanted = ["*.json", "*.safetensors", "pytorch_model*.bin"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as error:  # Whatever a network, an account or the hub may say.
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name} is no folder, and could not be had from the hub: {said}") from None


def _in_folder(folder: Path) -> Model:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} has no config.json that can be read: {error}") from None
    architectures = config.get("architectures") or []
    if not architectures:
        raise UserError(f"{folder}/config.json names no architecture, such as BertForMaskedLM")
    return Model(folder.name, str(architectures[0]), config, str(folder.resolve()))
