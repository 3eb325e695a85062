"""How the work is cut up: tiles and their sizes, which follow from the processor's caches, and which tasks there are."""

from dataclasses import dataclass

import numpy as np

from harness.problem import Problem

from ..runtime.llvm import CACHE_LINE
from ..runtime.processor import amx, first_level_cache, has_bfloat16_products, second_level_cache
from ..simd.amx import DEPTH, SIDE
from ..simd.microkernel import MAX_VECTORS, ROWS
from ..simd.stored import FORM_OF, NATIVE
from ..simd.vectors import simd
from .packed_keys import bytes_packed
from .sizes import SIZES

WHOLE_HEADS = 8
"""With at least this many heads for each thread a task is a whole head: its keys and values stay in one thread's cache."""

KEYS_MULTIPLE = 16
"""A tile's keys are a multiple of this, so of whole micro-kernels and vectors."""

CHUNK_TILES = 8
"""Tiles that go through a long head's keys together: memory beyond the second-level cache is read once for all of them."""

PACKED_TILES = 4
"""Tiles of a head for which copying its keys and values is worth its while."""

SHORT_TILE = 32
"""Keys of a tile of the backward pass that are few enough for any length: see `_keys_backward`."""

MIN_CHUNK_KEYS = 64
"""The fewest keys whose dk and dv are summed together: with fewer, reading the queries again takes too long."""

MIN_SPLIT_KEYS = 256
"""The fewest keys that are worth a thread's while."""

DECODE_QUERIES = 8
"""The most queries of a group that are attended to row by row: with more, tiles are faster."""

DECODE_TILE_KEYS = 512


@dataclass(frozen=True)
class Plan:
    """How one pass over a problem is cut up for a number of threads."""

    kinds: tuple[type, type | None]
    """What a task is compiled for: the dtype of its sums, and the dtype that its products read, or None if they convert."""
    sizes: np.ndarray
    """What kernels read: see `sizes`."""
    work: int
    """Bytes of a thread's workspace."""
    states: int
    """Bytes that tasks leave for a later pass."""


@dataclass(frozen=True)
class _Shape:
    """What follows from the problem and the width of a vector alone."""

    kind: str
    unit: int
    """Lanes of a vector."""
    width: int
    """Lanes of the widest tile."""
    strip: int
    strips: int
    tiles: int
    d_rows: int
    dv_rows: int

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return simd(self.kind).size


def plan_forward(
    problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None, packs: bool = False
) -> Plan:
    """Tiles of queries are the tasks; where they are few, the keys are cut into parts as well.

    Where it `packs`, threads copy chunks of keys and values (`packed_keys`), unless a head has few tiles.
    """
    shape = _shape(problem)
    tile = tile_keys or keys_of_a_tile(shape.width * shape.size, second_level_cache() // 16, problem.kv_len)
    heads = problem.batch * problem.kv_heads
    count = heads * shape.strips * shape.tiles
    if splits is None:
        parts = -(-4 * threads // max(count, 1))
        splits = max(1, min(parts, problem.kv_len // MIN_SPLIT_KEYS)) if count < 2 * threads else 1
    state = (2 + shape.dv_rows) * shape.width
    with_amx = problem.dtype == "bfloat16" and bool(amx())
    if with_amx and tile_keys is None and tile > DEPTH:
        tile -= tile % DEPTH
    chunk = keys_of_a_chunk(problem, tile)
    chunked = splits == 1 and chunk < problem.kv_len
    chunk_tiles = max(1, min(CHUNK_TILES, count // (4 * threads)))  # Every thread should have some tasks.
    # Transposing is worth its while for several tiles.
    transposes = with_amx and splits == 1 and chunk_tiles > 1 and problem.v_head_dim % SIDE == 0
    chunk_tiles = chunk_tiles if chunked or transposes else 1
    transposed_row = 2 * (-(-min(chunk, problem.kv_len) // DEPTH) + 1) * DEPTH if transposes else 0
    task_tiles = max(1, shape.strips * shape.tiles) if heads >= WHOLE_HEADS * threads else chunk_tiles
    native = FORM_OF[problem.dtype] == NATIVE
    copied = [(ROWS if native else tile) * problem.head_dim, tile * (ROWS if native else shape.dv_rows)]
    scratch = shape.unit * (1 + max(shape.d_rows, shape.dv_rows))
    rows = [shape.d_rows * shape.width, tile * shape.width, *copied, scratch, shape.width, shape.width]
    work = _bytes([*rows, chunk_tiles * state], shape) + (CACHE_LINE + shape.dv_rows * transposed_row if transposes else 0)
    packed = 0
    if packs and splits == 1 and shape.strips * shape.tiles >= PACKED_TILES:
        row = (problem.head_dim + problem.v_head_dim) * _stored_size(problem)
        packed = -(-bytes_packed(min(chunk, problem.kv_len), row) // CACHE_LINE) * CACHE_LINE
        work = -(-work // CACHE_LINE) * CACHE_LINE + packed
    sizes = _pack(
        problem,
        shape,
        threads,
        workspace_bytes=work,
        tile_keys=tile,
        splits=splits,
        task_tiles=task_tiles,
        chunk_tiles=chunk_tiles,
        chunk_keys=chunk if chunked else max(problem.kv_len, 1),
        packed=packed,
        transposed_row=transposed_row,
    )
    return Plan(_kinds(problem, shape), sizes, work, count * splits * state * shape.size if splits > 1 else 0)


def plan_decode(
    problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None, cache: int = 0
) -> Plan:
    """Parts of a head's keys are the tasks, for all of the few queries of its group. `cache` keys lie apart, if any do."""
    shape = _shape(problem)
    tile = tile_keys or DECODE_TILE_KEYS
    heads = problem.batch * problem.kv_heads
    if splits is None:
        splits = max(1, min(-(-4 * threads // max(heads, 1)), problem.kv_len // MIN_SPLIT_KEYS))
    queries, d, dv = DECODE_QUERIES, problem.head_dim, problem.v_head_dim
    state = queries * (2 + dv)
    work = _bytes([queries * d, queries * tile, 8 * d, *[queries] * 3, state], shape)
    stored = {"bfloat16": np.int16, "float16": np.uint16}.get(problem.dtype, np.dtype(shape.kind).type)
    plan = {"workspace_bytes": work, "tile_keys": tile, "splits": splits, "old_keys": cache or problem.kv_len}
    sizes = _pack(problem, shape, threads, **plan)
    states = heads * splits * state * shape.size if splits > 1 else 0
    return Plan((np.dtype(shape.kind).type, stored), sizes, work, states)


def suits_decode(problem: Problem) -> bool:
    """Whether the queries of a group are few, and rows are whole vectors."""
    lanes = _shape(problem).unit
    few = 0 < problem.q_len * problem.group <= DECODE_QUERIES
    return few and problem.head_dim % lanes == 0 and problem.v_head_dim % lanes == 0


def plan_backward(problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None) -> Plan:
    """Key/value heads are the tasks; where they are few, their tiles of queries are dealt out to several tasks."""
    shape = _shape(problem)
    tile = tile_keys or _keys_backward(problem, shape)
    heads, tiles = problem.batch * problem.kv_heads, shape.strips * shape.tiles
    if splits is None:
        splits = 1 if heads >= 2 * threads or heads == threads else -(-2 * threads // max(heads, 1))
        splits = max(1, min(splits, tiles))
    native = FORM_OF[problem.dtype] == NATIVE
    whole = problem.head_dim == shape.d_rows and problem.v_head_dim == shape.dv_rows and problem.kv_len % ROWS == 0
    in_place = native and whole and splits == 1
    work = _work_backward(problem, shape, tile)
    # A tile keeps D from chunk to chunk, and the third bytes of dq where that is stored in two.
    spill = shape.width * shape.size + (0 if native else shape.d_rows * shape.width)
    tasks, owners = (threads, threads) if splits == 1 else (heads * splits, heads)
    spills, row = owners * tiles * spill, (shape.d_rows + shape.dv_rows) * shape.size
    chunk = problem.kv_len if in_place else keys_of_a_gradient_chunk(problem, work * threads + spills, tasks, row)
    if chunk >= problem.kv_len:
        spill = spills = 0
    states = 0 if in_place else tasks * -(-min(chunk, problem.kv_len) // ROWS) * ROWS * row + spills
    sizes = _pack(
        problem,
        shape,
        threads,
        workspace_bytes=work,
        tile_keys=tile,
        splits=splits,
        chunk_keys=max(chunk, 1),
        in_place=in_place,
        spill_bytes=spill,
    )
    return Plan(_kinds(problem, shape), sizes, work, states)


def keys_of_a_tile(bytes_of_a_key: int, room: int, most: int) -> int:
    """The keys of `bytes_of_a_key` bytes that fit into the room, in whole micro-kernels and vectors; no more than there are.

    Scores, backward with their gradients, get a sixteenth of the second-level cache: they stay there together with the keys
    and values that are read meanwhile, and long tiles make long sums.
    """
    return max(1, min(-(-most // KEYS_MULTIPLE), room // bytes_of_a_key // KEYS_MULTIPLE)) * KEYS_MULTIPLE


def _keys_backward(problem: Problem, shape: _Shape) -> int:
    """Keys of a tile of the backward pass, by default.

    No more than a quarter of all, because the tiles of all threads count as workspace. Where keys are of two bytes and
    scores of four, that is too much: a sixteenth, and no more than half of the first-level cache holds.
    """
    native = FORM_OF[problem.dtype] == NATIVE
    room = second_level_cache() // 16 if native else first_level_cache() // 2
    most = min(problem.kv_len, max(SHORT_TILE, problem.kv_len // (4 if native else 16)))
    return keys_of_a_tile(2 * shape.width * shape.size, room, most)


def _stored_size(problem: Problem) -> int:
    return {"float64": 8, "float32": 4}.get(problem.dtype, 2)


def keys_of_a_chunk(problem: Problem, tile: int) -> int:
    """The keys that half of the second-level cache holds with their values, also transposed for AMX, in whole tiles.

    The other half is for scores, and for the queries and states of the tiles that go through the chunk.
    """
    columns = problem.head_dim + problem.v_head_dim * (2 if problem.dtype == "bfloat16" and amx() else 1)
    return max(1, second_level_cache() // 2 // max(1, columns * _stored_size(problem)) // tile) * tile


def keys_of_a_gradient_chunk(problem: Problem, taken: int, tasks: int, bytes_of_a_key: int) -> int:
    """The keys whose dk and dv a task sums at a time, in whole micro-kernels and vectors.

    As many as half of the keys' own bytes have room for beside the bytes that are taken already: then the workspace,
    together with the output and the softmax state that the forward pass saves, is below one and a half times the keys,
    unless keys or heads are so few that tiles, `MIN_CHUNK_KEYS` and spills of dq are more. But no more than half of the
    second-level cache holds, and all chunks are of the same length.
    """
    size = _stored_size(problem)
    half = problem.batch * problem.kv_heads * problem.kv_len * problem.head_dim * size // 2
    saved = problem.batch * problem.q_heads * problem.q_len * 2 * max(size, 4)
    room = half - saved - taken
    most = min(room // max(1, tasks * bytes_of_a_key), second_level_cache() // 2 // bytes_of_a_key)
    chunks = -(-problem.kv_len // max(MIN_CHUNK_KEYS, most // KEYS_MULTIPLE * KEYS_MULTIPLE))
    return -(-problem.kv_len // max(1, chunks) // KEYS_MULTIPLE) * KEYS_MULTIPLE


def _shape(problem: Problem) -> _Shape:
    kind = "float64" if problem.dtype == "float64" else "float32"
    unit = simd(kind).lanes
    width = MAX_VECTORS * unit
    lanes = problem.q_len * problem.group
    # A tile may hold queries of several heads of a group. With a band that wastes the keys that only some of them see.
    strip = problem.q_len if problem.banded and problem.q_len >= width else lanes
    whole = max(unit, ROWS)
    return _Shape(
        kind=kind,
        unit=unit,
        width=width,
        strip=strip,
        strips=lanes // strip if strip else 0,
        tiles=-(-strip // width),
        d_rows=-(-problem.head_dim // whole) * whole,
        dv_rows=-(-problem.v_head_dim // whole) * whole,
    )


def _kinds(problem: Problem, shape: _Shape) -> tuple[type, type | None]:
    """The dtype of scores and sums; int16 where products take keys and values as they are, bfloat16 in pairs."""
    return np.dtype(shape.kind).type, np.int16 if problem.dtype == "bfloat16" and has_bfloat16_products() else None


def _work_backward(problem: Problem, shape: _Shape, tile: int) -> int:
    """Bytes of a thread's workspace: see `query_tile_backward.workspace`."""
    packed = _kinds(problem, shape)[1] is not None  # Then rows lie behind their columns, in the same memory.
    widest = max(shape.d_rows, shape.dv_rows)
    panels = [shape.d_rows * shape.width, shape.dv_rows * shape.width] * (1 if packed else 2)
    scores = [tile * shape.width] * (3 if problem.softcap else 2)
    spare = max(tile * widest // (2 if packed else 1), shape.unit * (1 + widest))
    return _bytes([*panels, widest * shape.width, *scores, spare, *[shape.width] * 5], shape)


def _bytes(counts: list[int], shape: _Shape) -> int:
    """Bytes of arrays of these numbers of elements, each at a multiple of a cache line."""
    return sum(-(-count * shape.size // CACHE_LINE) * CACHE_LINE for count in counts)


_DEFAULTS = {
    "task_tiles": 1,
    "chunk_tiles": 1,
    "chunk_keys": 1,
    "old_keys": 0,
    "in_place": 0,
    "spill_bytes": 0,
    "packed": 0,
    "transposed_row": 0,
}
"""Sizes that not every pass reads."""


def _pack(problem: Problem, shape: _Shape, threads: int, **plan: int) -> np.ndarray:
    """The record that kernels read. Sizes that a pass does not read may be left out."""
    copied = ("batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim", "scale")
    low, high = problem.band
    return SIZES.pack(
        **{name: getattr(problem, name) for name in copied},
        low=low,
        high=high,
        storage=FORM_OF[problem.dtype],
        softcap=problem.softcap or 0,
        threads=threads,
        strip_lanes=shape.strip,
        strips=shape.strips,
        strip_tiles=shape.tiles,
        d_rows=shape.d_rows,
        dv_rows=shape.dv_rows,
        **{**_DEFAULTS, **plan},
    )
