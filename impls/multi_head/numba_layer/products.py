"""Products of arrays: how they are cut into tiles, and what the kernel is told of them."""

from dataclasses import dataclass

import numpy as np

from ...attention.numba_flash.runtime.call import CALL, address, new_call
from ...attention.numba_flash.runtime.llvm import CACHE_LINE
from ...attention.numba_flash.runtime.parallel import run
from ...attention.numba_flash.runtime.processor import second_level_cache
from ...attention.numba_flash.simd.microkernel import MAX_VECTORS, ROWS
from ...attention.numba_flash.simd.stored import FORM_OF
from ...attention.numba_flash.simd.vectors import simd
from .gemm import STEPS_IN_CACHE, multiply_tiles
from .operands import MATRIX, PRODUCT, TABLE, TERM
from .weights import computed_in, is_paired, panels_of_head

MIN_ROWS = 64
"""Rows of a block of A, if there are so many: a panel of B is read from beyond the second-level cache for each block."""

SHORT_DEPTH = 512
"""Depth of a block of A, about, where tasks pack panels of B, or the whole depth leaves room for fewer rows."""

REPACKED_PANELS = 8
"""Panels of a task that packs its block of A anew, at most: as many columns as make packing a few percent."""


@dataclass(frozen=True)
class Term:
    """One product of a sum: A is (rows, depth), or its transpose; B is packed by `pack_weight`, or an array."""

    depth: int
    transposed: bool = False
    packed: bool = True


@dataclass(frozen=True)
class Product:
    """C = Σ A B + bias, with C (rows, heads · columns)."""

    rows: int
    heads: int
    columns: int
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Operands:
    """The arrays of a product: matrices (batch, head, row, column), packed weights and biases of one axis."""

    c: np.ndarray
    terms: tuple[tuple[np.ndarray, np.ndarray], ...]
    bias: np.ndarray | None = None
    chosen: np.ndarray | None = None
    """The numbers, int64, of the rows of A and C that are computed; all of them by default."""


class Products:
    """Products that do not depend on each other, in one pass over all threads.

    A thread's workspace is a block of A, of a quarter of the second-level cache at most; rows of a panel of B, where these
    are not packed beforehand in the type that is computed with; and the sums of a tile of C.
    """

    def __init__(self, products: list[Product], dtype: np.dtype, threads: int):
        self.products, self.threads = products, threads
        kind, paired = computed_in(dtype), is_paired(dtype)
        self.kinds = (kind.type, np.int16 if paired else None)
        lanes, size = simd(kind.name).lanes, 2 if paired else kind.itemsize
        tiles = [_tiles(product, size, lanes, threads) for product in products]
        panel = MAX_VECTORS * lanes * kind.itemsize
        a = max(t.rows * (t.depth * size + CACHE_LINE) for t in tiles)
        terms = [term for product in products for term in product.terms]
        in_place = all(term.packed for term in terms) and (paired or dtype == kind)
        b = 0 if in_place else STEPS_IN_CACHE * panel
        self.work = a + b + max(t.rows * t.panels * panel for t in tiles)
        tasks = [_tasks(product, t, lanes) for product, t in zip(products, tiles, strict=True)]
        self._words = np.concatenate(
            [
                _words(
                    TABLE,
                    threads=threads,
                    storage=FORM_OF[dtype.name],
                    workspace_bytes=self.work,
                    a_bytes=a,
                    b_bytes=b,
                ),
                *(_product_words(*each, lanes) for each in zip(products, tiles, tasks, strict=True)),
                *(
                    _words(TERM, depth=t.depth, height=t.depth + t.depth % (1 + paired), transposed=t.transposed)
                    for t in terms
                ),
            ]
        )

    def __call__(self, operands: list[Operands]) -> None:
        """Compute the products of these arrays, in the order of the products."""
        words = self._words.copy()
        base, at, term = words.ctypes.data, _TABLE_WORDS, _TABLE_WORDS + len(operands) * _PRODUCT_WORDS
        words[TABLE.word("products")] = base + at * 8
        for own in operands:
            _enter(words, at + _C, own.c)
            words[at + _TERMS] = base + term * 8
            words[at + _BIAS] = 0 if own.bias is None else address(own.bias)
            if own.chosen is not None:
                words[at + _CHOSEN], words[at + _ROWS] = address(own.chosen), own.chosen.size
                groups = -(-words[at + _PANELS_OF_C] // words[at + _TILE_PANELS])
                words[at + _TASKS] = -(-own.chosen.size // words[at + _TILE_ROWS]) * groups
            for a, b in own.terms:
                _enter(words, term + _A, a)
                if b.ndim == 1:
                    words[term + _PANELS] = address(b)
                else:
                    _enter(words, term + _B, b)
                term += _TERM_WORDS
            at += _PRODUCT_WORDS
        words[TABLE.word("tasks")] = words[_TABLE_WORDS + _TASKS : at : _PRODUCT_WORDS].sum()
        call = new_call(self.threads)
        call[CALL.word("sizes")] = base
        run([(multiply_tiles, self.kinds)], call, self.work, 0, self.threads)


_TABLE_WORDS, _PRODUCT_WORDS, _TERM_WORDS = (record.bytes // 8 for record in (TABLE, PRODUCT, TERM))
_C, _BIAS, _TERMS, _CHOSEN = (PRODUCT.word(name) for name in ("c", "bias", "terms", "chosen"))
_ROWS, _TASKS, _PANELS_OF_C = (PRODUCT.word(name) for name in ("rows", "tasks", "panels"))
_TILE_ROWS, _TILE_PANELS = (PRODUCT.word(name) for name in ("tile_rows", "tile_panels"))
_A, _B, _PANELS = (TERM.word(name) for name in ("a", "b", "panels"))


@dataclass(frozen=True)
class _Tiles:
    """How a product is cut: rows and panels of a task, and the depth of a block."""

    rows: int
    panels: int
    depth: int


def _tiles(product: Product, size: int, lanes: int, threads: int) -> _Tiles:
    """Tiles for packed numbers of `size` bytes: a block of A takes a quarter of the second-level cache.

    Tasks that pack a block anew are wide, but at least two for each thread.
    """
    room, strip = second_level_cache() // 4 // size, max(lanes, ROWS)
    packs = any(not term.packed for term in product.terms)
    depth = max(term.depth for term in product.terms)
    parts = -(-depth // SHORT_DEPTH) if packs or depth > room // MIN_ROWS else 1
    depth = -(-depth // max(parts, 1) // 2) * 2
    most = max(strip, room // max(depth, 1) // strip * strip)
    parts = -(-product.rows // most)
    rows = -(-product.rows // max(parts, 1) // strip) * strip
    repacks = packs or len(product.terms) > 1 or depth < product.terms[0].depth
    panels = min(REPACKED_PANELS, max(1, parts * _panels(product, lanes) // (2 * threads))) if repacks else 1
    return _Tiles(max(rows, strip), panels, max(depth, 2))


def _panels(product: Product, lanes: int) -> int:
    return product.heads * len(panels_of_head(product.columns, lanes))


def _tasks(product: Product, tiles: _Tiles, lanes: int) -> int:
    return -(-product.rows // tiles.rows) * -(-_panels(product, lanes) // tiles.panels)


def _product_words(product: Product, tiles: _Tiles, tasks: int, lanes: int) -> np.ndarray:
    return _words(
        PRODUCT,
        count=len(product.terms),
        rows=product.rows,
        panels=_panels(product, lanes),
        tile_rows=tiles.rows,
        tile_panels=tiles.panels,
        depth=tiles.depth,
        tasks=tasks,
    )


def _words(record, **values: int) -> np.ndarray:
    """A record as an array of words; those without a value are zero."""
    words = np.zeros(record.bytes // 8, np.int64)
    for name, value in values.items():
        words[record.word(name)] = value
    return words


def _enter(words: np.ndarray, at: int, x: np.ndarray) -> None:
    """Enter an array into the `MATRIX` that begins at a word."""
    _, _, rows, columns = x.shape
    by_batch, by_head, by_row, _ = x.strides
    words[at : at + MATRIX.bytes // 8] = address(x), by_batch, by_head, by_row, rows, columns
