"""The arguments of a kernel's functions: operands and sizes, tiles of queries, blocks of keys."""

from typing import NamedTuple

import numpy as np

from ..runtime.call import COUNTERS, Thread, call_at
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind
from ..runtime.records import Reference
from ..simd.bf16 import split_scale
from .sizes import sizes_at


class Call(NamedTuple):
    """The context of every function of a kernel."""

    operands: Reference
    """The record `runtime.call.CALL`: `operands.q` and so on."""
    sizes: Reference
    """The record `layout.sizes.SIZES`."""
    scale: float
    query_scale: float
    """The factor of the queries as they are packed: see `simd.bf16.split_scale`."""
    score_scale: float
    """The factor of their scores."""
    softcap: float
    """0 for none."""
    kind: float
    """A number of the type that is computed with. `stored`, of the type in which products read operands or None if these are
    converted first (`simd.matrices.Form`), is an argument of its own: what does not need it is compiled once for all."""


class Tile(NamedTuple):
    """Some queries of a key/value head. Lanes count the queries of the head's group, one query head after the other."""

    b: int
    kv: int
    lane: int
    """The first."""
    lanes: int
    vectors: int
    """That hold the lanes; elements beyond the last lane are zeros."""


class Head(NamedTuple):
    """A key/value head of a batch element."""

    b: int
    kv: int


class Span(NamedTuple):
    """[first, last) of keys, of lanes or of tiles."""

    first: int
    last: int


class Block(NamedTuple):
    """A block of one head of an operand: rows from `row` on, columns from `column` on."""

    operand: Reference
    b: int
    h: int
    row: int
    rows: int
    column: int
    columns: int


class LaneRows(NamedTuple):
    """The rows that an operand has for the lanes of a tile, and the columns of them that are wanted."""

    operand: Reference
    tile: Tile
    column: int
    columns: int


@deferred_codegen
def unpack_call(arguments, thread, kind, stored):
    """The `Call` at an address, and what it says to one `Thread`."""
    operands = call_at(arguments)
    sizes = sizes_at(operands.sizes)
    scale, softcap = as_kind(sizes.scale, kind), as_kind(sizes.softcap, kind)
    query_scale, score_scale = split_scale(scale, stored)
    workspace = operands.workspace + thread * sizes.workspace_bytes
    return (
        Call(operands, sizes, scale, query_scale, score_scale, softcap, kind),
        Thread(thread, sizes.threads, arguments + COUNTERS * 8, workspace, operands.states, operands.pass_number),
    )


@deferred_codegen
def address_of(operand, b, h, row, column):
    """The address of an element of an operand."""
    return operand.address + b * operand.by_batch + h * operand.by_head + row * operand.by_row + column * operand.by_column


@deferred_codegen
def start_of(block):
    """The address of a block's first element."""
    return address_of(block.operand, block.b, block.h, block.row, block.column)


@deferred_codegen
def head_of(sizes, n):
    """Head n, counted through all of the batch."""
    return Head(n // sizes.kv_heads, n % sizes.kv_heads)


@deferred_codegen
def query_of(sizes, kv, lane):
    """(head, row) of the query of a lane."""
    head = lane // sizes.q_len
    return kv * (sizes.q_heads // sizes.kv_heads) + head, lane - head * sizes.q_len


@deferred_codegen
def query_after(sizes, h, i):
    """(head, row) of the query of the lane after that of (h, i), without a division."""
    return (h, i + 1) if i + 1 < sizes.q_len else (h + 1, np.int64(0))
