"""What is asked of a model: a forward pass over whole sequences, or one step after a past that it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from harness.errors import UserError
from harness.models import zoo
from harness.operators import problem as base
from harness.operators.attention.problem import Problem as Attention
from harness.operators.dtypes import DTYPE_SHORT, DTYPES
from harness.operators.fields import check_choice, check_size

PADDING = ("left", "right")

MOST_LOGITS = 2**22
"""Numbers of all positions' logits up to which all are given; beyond that those of the last, as where text is generated."""


@dataclass(frozen=True, kw_only=True)
class Problem(base.Problem):
    """A batch of sequences through a model.

    Raises `UserError` for a model that is not there, and for sequences longer than it has positions for.
    """

    LENGTHS: ClassVar[tuple[str, ...]] = ("length", "past")
    COLUMNS: ClassVar[tuple[str, ...]] = ("model", "batch", "length", "past", "generate", "padding", "dtype")

    model: str
    """One of `harness.models.zoo.NAMES`, or a folder."""
    batch: int = 1
    length: int
    """Positions of each sequence; of a vision model it has no say."""
    past: int = 0
    """Positions before them, whose keys and values the model has kept. For decoders."""
    generate: int = 0
    """Tokens that are generated greedily after the sequences, beside what is timed: to compare them."""
    padding: str | None = None
    """On which side sequences are filled up; each keeps between half and all of its positions."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for field in ("batch", "length"):
            check_size(field, getattr(self, field), least=1)
        check_size("past", self.past)
        check_size("generate", self.generate)
        check_choice("dtype", self.dtype, tuple(DTYPES))
        if self.padding is not None:
            check_choice("padding", self.padding, PADDING)
        longest, decoder = self.known.longest, self.known.kind == zoo.DECODER
        positions = self.length + self.past + (self.generate if decoder else 0)
        if longest and positions > longest:
            raise UserError(f"{self.model} has {longest} positions, and {positions} are asked for")
        if self.past and not decoder:
            raise UserError(f"{self.model} keeps no past: it is no decoder")
        if self.generate and not self.generates:
            raise UserError(f"{self.model} generates no text")

    @cached_property
    def known(self) -> zoo.Model:
        """The model."""
        return zoo.model(self.model)

    @property
    def generates(self) -> bool:
        """Whether the model can generate text after the sequences."""
        return self.known.kind in (zoo.DECODER, zoo.ENCODER_DECODER) and not self.past

    @property
    def keeps_a_past(self) -> bool:
        """Whether the model can go on after positions that it has kept."""
        return self.known.kind == zoo.DECODER

    @property
    def name(self) -> str:
        past = f"p{self.past}" if self.past else ""
        padding = f"-{self.padding}" if self.padding else ""
        return f"{Path(self.model).name}-b{self.batch}l{self.length}{past}-{DTYPE_SHORT[self.dtype]}{padding}"

    @property
    def positions(self) -> int:
        """Of which there is an output."""
        if self.known.kind == zoo.VISION:
            return 1 + (self.known.size("image_size") // self.known.size("patch_size")) ** 2
        every = self.known.kind != zoo.DECODER or self.batch * self.length * self.columns <= MOST_LOGITS
        return self.length if every else 1

    @property
    def columns(self) -> int:
        """Of an output: logits, or the width of the model where it has no head."""
        return self.known.width if self.known.architecture.endswith("Model") and self._headless else self.known.vocabulary

    @property
    def _headless(self) -> bool:
        return not self.known.architecture.endswith("LMHeadModel")

    @property
    def input_shapes(self) -> dict[str, base.Shape]:
        sequences = self.batch, self.length
        if self.known.kind == zoo.VISION:
            size = self.known.size("image_size")
            return {"pixels": (self.batch, 3, size, size)}
        shapes: dict[str, base.Shape] = {"ids": sequences}
        if self.known.kind == zoo.ENCODER_DECODER:
            shapes["decoder_ids"] = sequences
        if self.padding:
            shapes["mask"] = (self.batch, self.past + self.length)
        return shapes | ({"past_ids": (self.batch, self.past)} if self.past else {})

    @property
    def output_shapes(self) -> dict[str, base.Shape]:
        return {"out": (self.batch, self.positions, self.columns)}

    @cached_property
    def attention(self) -> Attention:
        """The problem of one of its layers."""
        model, causal = self.known, self.known.kind == zoo.DECODER
        length = self.positions if model.kind == zoo.VISION else self.length
        return Attention(
            batch=self.batch, q_heads=model.heads, kv_heads=model.kv_heads, q_len=length, kv_len=length + self.past,
            head_dim=model.head_dim, dtype=self.dtype, causal="bottom-right" if causal else None,
            mask="padding" if self.padding else None,
            bias="normal-1hqk" if model.kind == zoo.ENCODER_DECODER else None,
        )  # fmt: skip

    @property
    def flops(self) -> int:
        """Products with weights, and attention."""
        model, tokens = self.known, self.batch * self.attention.q_len
        inner = model.size("intermediate_size", "d_ff", default=4 * model.width)
        projections = 2 * model.width * model.head_dim * (model.heads + model.kv_heads)
        matrices = 3 if model.config["model_type"] in ("llama", "qwen2", "mistral") else 2
        layer = 2 * tokens * (projections + matrices * model.width * inner) + self.attention.flops
        sides = 2 if model.kind == zoo.ENCODER_DECODER else 1
        head = 0 if self.columns == model.width else 2 * self.batch * self.positions * model.width * self.columns
        return sides * model.layers * layer + head

    def _bytes(self, name: str, shape: base.Shape) -> int:
        size = 1
        for length in shape:
            size *= length
        return size * (DTYPES[self.dtype] if name == "pixels" else 1 if name == "mask" else 8)
