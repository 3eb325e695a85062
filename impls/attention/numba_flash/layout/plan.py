"""How the work is cut up: tiles and their sizes, for the processor's caches, and who takes which."""

from dataclasses import dataclass

import numpy as np

from harness.problem import Problem

from ..runtime.llvm import LINE
from ..runtime.processor import amx, first_level_cache, has_bfloat16_products, second_level_cache
from ..simd.amx import DEPTH, SIDE
from ..simd.microkernel import MOST_VECTORS, ROWS
from ..simd.stored import NATIVE, STORAGE
from ..simd.vectors import simd
from .sizes import SIZES

MANY_HEADS = 8
"""Heads for each thread from which on a task is a whole head: its keys and values stay in one thread's cache then."""


WHOLE = 16
"""A tile's keys are a multiple of this, so of whole micro-kernels and vectors."""


TILES_PER_TASK = 8
"""Tiles that go through a long head's keys together: what is beyond the second-level cache is read once for all."""


SHORT_TILE = 32
"""Keys of a tile of the backward pass that are few enough for any length: see `_keys_backward`."""


LEAST_SUMS = 64
"""Keys at least whose dk and dv are added up together: for fewer, reading the queries again takes too long."""


LEAST_SPLIT = 256
"""Keys below which a part of them is not worth a thread's while."""


QUERIES = 8
"""Most queries of a group that are attended to row by row: with more, tiles are faster."""


@dataclass(frozen=True)
class Plan:
    """How one pass over a problem is cut up for so many threads."""

    kinds: tuple[type, type | None]
    """The dtypes that a task is compiled for: of what it computes with, and of what it reads as it is stored, if it does."""
    sizes: np.ndarray
    """What kernels read: see `operands`."""
    work: int
    """Bytes of a thread's workspace."""
    states: int
    """Bytes of what the parts leave behind for a second pass."""


@dataclass(frozen=True)
class _Shape:
    """What follows from the problem and the width of a vector alone."""

    kind: str
    unit: int
    width: int
    strip: int
    strips: int
    tiles: int
    d_rows: int
    dv_rows: int

    @property
    def size(self) -> int:
        return simd(self.kind).size


def plan_forward(problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None) -> Plan:
    """Tiles of queries are the tasks; where they are few, the keys are cut into parts as well."""
    shape = _shape(problem)
    tile = tile_keys or keys_of_a_tile(shape.width * shape.size, second_level_cache() // 16, problem.kv_len)
    heads = problem.batch * problem.kv_heads
    count = heads * shape.strips * shape.tiles
    if splits is None:
        parts = -(-4 * threads // max(count, 1))
        splits = max(1, min(parts, problem.kv_len // LEAST_SPLIT)) if count < 2 * threads else 1
    state = (2 + shape.dv_rows) * shape.width
    in_tiles = problem.dtype == "bfloat16" and bool(amx())
    if in_tiles and tile_keys is None and tile > DEPTH:
        tile -= tile % DEPTH
    chunk = keys_of_a_chunk(problem, tile)
    chunked = splits == 1 and chunk < problem.kv_len
    kept = max(1, min(TILES_PER_TASK, count // (4 * threads)))  # Every thread should have some tasks.
    transposes = in_tiles and splits == 1 and kept > 1 and problem.v_head_dim % SIDE == 0  # Once for all that are kept.
    kept = kept if chunked or transposes else 1
    transposed = 2 * (-(-min(chunk, problem.kv_len) // DEPTH) + 1) * DEPTH if transposes else 0
    together = max(1, shape.strips * shape.tiles) if heads >= MANY_HEADS * threads else kept
    native = STORAGE[problem.dtype] == NATIVE
    copied = [(ROWS if native else tile) * problem.head_dim, tile * (ROWS if native else shape.dv_rows)]
    scratch = shape.unit * (1 + max(shape.d_rows, shape.dv_rows))
    rows = [shape.d_rows * shape.width, tile * shape.width, *copied, scratch, shape.width, shape.width]
    work = _bytes([*rows, kept * state], shape) + (LINE + shape.dv_rows * transposed if transposes else 0)
    chunks = (together, kept, chunk if chunked else max(problem.kv_len, 1))
    sizes = _sizes(problem, shape, tile, splits, work, threads, chunks=chunks, transposed=transposed)
    return Plan(_kinds(problem, shape), sizes, work, count * splits * state * shape.size if splits > 1 else 0)


def plan_decode(problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None) -> Plan:
    """Parts of a head's keys are the tasks, for all of the few queries of its group."""
    shape = _shape(problem)
    tile = tile_keys or 512
    heads = problem.batch * problem.kv_heads
    if splits is None:
        splits = max(1, min(-(-4 * threads // max(heads, 1)), problem.kv_len // LEAST_SPLIT))
    state = QUERIES * (2 + problem.v_head_dim)
    rows = [QUERIES * problem.head_dim, QUERIES * tile, 8 * problem.head_dim, *[QUERIES] * 3, state]
    work = _bytes(rows, shape)
    stored = {"bfloat16": np.int16, "float16": np.uint16}.get(problem.dtype, np.dtype(shape.kind).type)
    sizes = _sizes(problem, shape, tile, splits, work, threads)
    states = heads * splits * state * shape.size if splits > 1 else 0
    return Plan((np.dtype(shape.kind).type, stored), sizes, work, states)


def suits_decode(problem: Problem) -> bool:
    """Whether the queries of a group are few, and rows are whole vectors."""
    lanes = _shape(problem).unit
    few = 0 < problem.q_len * problem.group <= QUERIES
    return few and problem.head_dim % lanes == 0 and problem.v_head_dim % lanes == 0


def plan_backward(problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None) -> Plan:
    """Key/value heads are the tasks; where they are few, their tiles of queries are dealt out to several tasks."""
    shape = _shape(problem)
    tile = tile_keys or _keys_backward(problem, shape)
    heads = problem.batch * problem.kv_heads
    if splits is None:
        splits = 1 if heads >= 2 * threads or heads == threads else -(-2 * threads // max(heads, 1))
        splits = max(1, min(splits, shape.strips * shape.tiles))
    whole = problem.head_dim == shape.d_rows and problem.v_head_dim == shape.dv_rows and problem.kv_len % ROWS == 0
    direct = STORAGE[problem.dtype] == NATIVE and whole and splits == 1
    work = _work_backward(problem, shape, tile)
    # By a tile, from chunk to chunk: D, and the third bytes of dq where that is stored in two.
    left = shape.width * shape.size + (0 if STORAGE[problem.dtype] == NATIVE else shape.d_rows * shape.width)
    tasks, owners = (threads, threads) if splits == 1 else (heads * splits, heads)
    spills, row = owners * shape.strips * shape.tiles * left, (shape.d_rows + shape.dv_rows) * shape.size
    chunk = problem.kv_len if direct else keys_of_gradient_chunk(problem, work * threads + spills, tasks, row)
    if chunk >= problem.kv_len:
        left = spills = 0
    states = 0 if direct else tasks * -(-min(chunk, problem.kv_len) // ROWS) * ROWS * row + spills
    sizes = _sizes(problem, shape, tile, splits, work, threads, chunks=(1, 1, max(chunk, 1)), direct=direct, left=left)
    return Plan(_kinds(problem, shape), sizes, work, states)


def keys_of_a_tile(bytes_of_a_key: int, room: int, most: int) -> int:
    """Keys of which so many bytes each fit, in whole micro-kernels and vectors; no more than there are.

    Scores, backward with their gradients, have a sixteenth of the second-level cache: they and what passes through beside
    them stay there, and long tiles make long sums.
    """
    return max(1, min(-(-most // WHOLE), room // bytes_of_a_key // WHOLE)) * WHOLE


def _keys_backward(problem: Problem, shape: _Shape) -> int:
    """Keys of a tile of the backward pass, by default.

    No more than a quarter of all, as what the tiles of all threads need is counted into the workspace. Where keys are of two
    bytes, and tiles of four, that is little: a sixteenth, and no more than half of the first-level cache holds.
    """
    native = STORAGE[problem.dtype] == NATIVE
    room = second_level_cache() // 16 if native else first_level_cache() // 2
    most = min(problem.kv_len, max(SHORT_TILE, problem.kv_len // (4 if native else 16)))
    return keys_of_a_tile(2 * shape.width * shape.size, room, most)


def keys_of_a_chunk(problem: Problem, tile: int) -> int:
    """Keys that half of the second-level cache holds with their values, and those transposed for tiles, in whole tiles.

    The other half is for scores, and for the queries and states of the tiles that go through them.
    """
    size = {"float64": 8, "float32": 4}.get(problem.dtype, 2)
    columns = problem.head_dim + problem.v_head_dim * (2 if problem.dtype == "bfloat16" and amx() else 1)
    return max(1, second_level_cache() // 2 // max(1, columns * size) // tile) * tile


def keys_of_gradient_chunk(problem: Problem, taken: int, tasks: int, bytes_of_a_key: int) -> int:
    """Keys whose dk and dv, of so many bytes each, every task adds up at a time, in whole micro-kernels and vectors.

    As many as half of the keys' own size has room for beside what is taken: then the workspace, together with the output and
    the softmax state that were saved for it, is below one and a half times the keys, unless they are so few that tiles and
    `LEAST_SUMS` are more. But no more than half of the second-level cache holds, and all of the same length.
    """
    size = {"float64": 8, "float32": 4}.get(problem.dtype, 2)
    half = problem.batch * problem.kv_heads * problem.kv_len * problem.head_dim * size // 2
    saved = problem.batch * problem.q_heads * problem.q_len * 2 * max(size, 4)
    room = half - saved - taken
    most = min(room // max(1, tasks * bytes_of_a_key), second_level_cache() // 2 // bytes_of_a_key)
    chunks = -(-problem.kv_len // max(LEAST_SUMS, most // WHOLE * WHOLE))
    return -(-problem.kv_len // max(1, chunks) // WHOLE) * WHOLE


def _shape(problem: Problem) -> _Shape:
    kind = "float64" if problem.dtype == "float64" else "float32"
    unit = simd(kind).lanes
    width = MOST_VECTORS * unit
    lanes = problem.q_len * problem.group
    # Tiles may hold queries of several heads of a group; with a band that wastes what one sees and another does not.
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
    """What is computed with, and int16 where products take keys and values as they are, pairs of bfloat16 numbers."""
    return np.dtype(shape.kind).type, np.int16 if problem.dtype == "bfloat16" and has_bfloat16_products() else None


def _work_backward(problem: Problem, shape: _Shape, tile: int) -> int:
    """Bytes of a thread's workspace: see `backward.workspace`."""
    half = _kinds(problem, shape)[1] is not None  # Rows of pairs then lie where their columns were before these were pairs.
    widest = max(shape.d_rows, shape.dv_rows)
    panels = [shape.d_rows * shape.width, shape.dv_rows * shape.width] * (1 if half else 2)
    scores = [tile * shape.width] * (3 if problem.softcap else 2)
    spare = max(tile * widest // (2 if half else 1), shape.unit * (1 + widest))
    return _bytes([*panels, widest * shape.width, *scores, spare, *[shape.width] * 5], shape)


def _bytes(parts: list[int], shape: _Shape) -> int:
    """Of so many numbers in each part, every array within them at a multiple of a cache line."""
    return sum(-(-count * shape.size // LINE) * LINE for count in parts)


def _sizes(
    problem: Problem,
    shape: _Shape,
    tile: int,
    splits: int,
    work: int,
    threads: int,
    chunks: tuple[int, int, int] = (1, 1, 1),
    direct: bool = False,
    left: int = 0,
    transposed: int = 0,
) -> np.ndarray:
    low, high = problem.band
    sizes = [
        *(problem.batch, problem.q_heads, problem.kv_heads, problem.q_len, problem.kv_len),
        *(problem.head_dim, problem.v_head_dim, low, high, STORAGE[problem.dtype]),
        *(tile, shape.strip, shape.strips, shape.tiles, splits, *chunks),
        *(shape.d_rows, shape.dv_rows, work, direct, left, transposed, threads),
    ]
    assert len(sizes) == SIZES
    return np.array(sizes, np.int64)
