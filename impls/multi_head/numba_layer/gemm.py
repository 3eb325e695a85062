"""The products of a pass, C = Σ A B + bias: blocks of A and panels of B are packed, and the micro-kernel multiplies them.

Loops around a micro-kernel, as in Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3) 2015. A task is a tile of C, whose sums
stay in the thread's memory until they are complete; then they are rounded once, and written row by row.
"""

from typing import NamedTuple

from ...attention.numba_flash.layout.packing import round_up
from ...attention.numba_flash.runtime.call import COUNTERS, Thread, call_at, next_task, part
from ...attention.numba_flash.runtime.deferred_codegen import deferred_codegen
from ...attention.numba_flash.runtime.llvm import CACHE_LINE
from ...attention.numba_flash.runtime.memory import copy, prefetch_second_level, size_of, view
from ...attention.numba_flash.simd.matrices import Form, Rows, Strided, Target
from ...attention.numba_flash.simd.microkernel import ROWS, product, product_row, product_row_stored
from ...attention.numba_flash.simd.stored import NATIVE, bytes_of, store_row
from ...attention.numba_flash.simd.vectors import lanes_of
from .copies import copy_vectors
from .operands import PRODUCT_BYTES, TERM_BYTES, product_at, row_of, table_at, term_at
from .packing import Number, Range, pack_a, pack_columns, packed_rows, packed_size, panel_of, row_number

STEPS_IN_CACHE = 256
"""Rows of a panel of B, or pairs of rows, that are multiplied with all rows of A in turn: of three vectors, 48 KiB."""


class Tile(NamedTuple):
    """What a task computes of a product: some rows of some panels."""

    rows: Range
    first: int
    last: int


class Workspace(NamedTuple):
    """A thread's memory: addresses."""

    a: int
    b: int
    sums: int


class Block(NamedTuple):
    """A packed block of A."""

    address: int
    transposed: int
    depth: Range


class Right(NamedTuple):
    """Rows of a panel of B, as the micro-kernel reads them."""

    address: int
    depth: int
    vectors: int
    storage: int
    """How they are stored."""
    behind: Range
    """The memory behind them, as many bytes as they take; none if a task has packed them."""


@deferred_codegen
def tile_of(product, n):
    """Tile n of a product: along the columns first, so that tasks that follow each other have the rows of A in common."""
    groups = (product.panels + product.tile_panels - 1) // product.tile_panels
    row, first = n // groups * product.tile_rows, n % groups * product.tile_panels
    rows = Range(row, min(product.tile_rows, product.rows - row))
    return Tile(rows, first, min(first + product.tile_panels, product.panels))


@deferred_codegen
def begin_sums(product, tile, sums, kind):
    """The bias, or zeros, for all rows of a tile, panel after panel."""
    lanes, rows = lanes_of(kind), round_up(tile.rows.count, ROWS)
    for n in range(tile.first, tile.last):
        panel = panel_of(product.c.columns, n, kind)
        width = panel.vectors * lanes
        out = view(sums, rows * width, kind)
        if product.bias:
            bias = view(product.bias + panel.vector * lanes * size_of(kind), width, kind)
            for r in range(rows):
                copy(bias, out[r * width : (r + 1) * width])
        else:
            out[:] = 0
        sums += out.nbytes


@deferred_codegen
def right_rows(product, term, panel, depth, b, number, stored):
    """Some rows of a panel of B: where they lie, if that is packed, or else packed at the address `b`."""
    lanes, storage, kind = lanes_of(number.kind), number.storage, number.kind
    width = panel.vectors * lanes
    if term.panels == 0:
        columns = Range(panel.head * product.c.columns + panel.column, panel.columns)
        pack_columns(term.b, columns, depth, number, b, width, stored)
        return Right(b, depth.count, panel.vectors, NATIVE, Range(0, 0))
    size = bytes_of(storage, kind)
    address = term.panels + (panel.vector * lanes * term.height + depth.first * width) * size
    count = depth.count * width * size
    return Right(address, depth.count, panel.vectors, storage, Range(address + count, count))


@deferred_codegen
def converted(right, b, kind):
    """Rows of a panel, converted at the address `b` to the type that is computed with, if they are stored otherwise."""
    if right.storage == NATIVE:
        return right
    source = (right.address, right.vectors * lanes_of(kind) * 2)
    copy_vectors(source, right.depth, right.vectors, b, right.storage, kind)
    return Right(b, right.depth, right.vectors, NATIVE, right.behind)


@deferred_codegen
def prefetch_share(memory, n, parts):
    """Prefetch part n of a `Range` of bytes."""
    first, last = part(0, memory.count // CACHE_LINE, n, parts)
    for line in range(first, last):
        prefetch_second_level(memory.first + line * CACHE_LINE)


@deferred_codegen
def multiply_row(left, right, target, kind, stored):
    """`multiply_rows` for a block of one row, which is bound by memory: B is converted in registers."""
    b = Rows(right.address, right.vectors * lanes_of(kind))
    if stored is not None:
        product_row(right.vectors, (right.depth + 1) // 2, left, b, target, Form(kind, stored))
    else:
        product_row_stored(right.vectors, right.depth, left, b, target, right.storage, kind)


@deferred_codegen
def multiply_rows(block, at, right, sums, rows, kind, stored):
    """sums[r, c] += Σ_k A[r, k] B[k, c] for a packed block of A, from number `at` of its rows on, and rows of B."""
    width, step = right.vectors * lanes_of(kind), 2 if stored is not None else 1
    parts, b = (rows + ROWS - 1) // ROWS, Rows(right.address, width)
    for n in range(parts):
        whole = packed_rows(block.transposed, block.depth, n * ROWS, block.address, kind, stored)
        left = Strided(whole.address + at // step * whole.step * packed_size(kind, stored), whole.row, whole.step)
        target = Target(sums + n * ROWS * width * size_of(kind), width, True)
        if rows == 1:
            multiply_row(left, right, target, kind, stored)
        else:
            prefetch_share(right.behind, n, parts)  # What is multiplied next.
            product(right.vectors, (right.depth + step - 1) // step, left, b, target, Form(kind, stored))


@deferred_codegen
def multiply_block(product, term, tile, block, work, number, stored):
    """Add the product of a packed block of A and the rows of B that it belongs to."""
    kind, sums = number.kind, work.sums
    rows = round_up(tile.rows.count, ROWS)
    most = STEPS_IN_CACHE * (2 if stored is not None else 1)
    for n in range(tile.first, tile.last):
        panel = panel_of(product.c.columns, n, kind)
        for k in range(0, block.depth.count, most):
            depth = Range(block.depth.first + k, min(most, block.depth.count - k))
            right = right_rows(product, term, panel, depth, work.b, number, stored)
            if stored is None and tile.rows.count > 1:
                right = converted(right, work.b, kind)
            multiply_rows(block, k, right, sums, tile.rows.count, kind, stored)
        sums += rows * panel.vectors * lanes_of(kind) * size_of(kind)


@deferred_codegen
def write_sums(product, tile, sums, number):
    """Round the sums of a tile and write them to C."""
    (storage, kind), c, rows = number, product.c, round_up(tile.rows.count, ROWS)
    lanes, size = lanes_of(kind), bytes_of(storage, kind)
    for n in range(tile.first, tile.last):
        panel = panel_of(c.columns, n, kind)
        row, offset = panel.vectors * lanes * size_of(kind), panel.head * c.by_head + panel.column * size
        for r in range(tile.rows.count):
            address = row_of(c, row_number(product.chosen, tile.rows.first + r)) + offset
            store_row(sums + r * row, panel.columns, storage, address, size, kind)
        sums += rows * row


@deferred_codegen
def multiply_tile(product, tile, work, packed, number, stored):
    """Compute a tile. `packed` is the tag of the block of A that is packed already; returns that of the one that is now.

    A tag is (address of A, that of the chosen rows, first row, rows), with 0 for A if the block is not of the whole depth.
    """
    begin_sums(product, tile, work.sums, number.kind)
    for t in range(product.count):
        term = term_at(product.terms + t * TERM_BYTES)
        for k in range(0, term.depth, product.depth):
            depth = Range(k, min(product.depth, term.depth - k))
            whole = depth.count == term.depth
            tag = (term.a.address if whole else 0, product.chosen, tile.rows.first, tile.rows.count)
            if tag != packed or not whole:
                pack_a(term, tile.rows, product.chosen, depth, work.a, number, stored)
            packed = tag
            multiply_block(product, term, tile, Block(work.a, term.transposed, depth), work, number, stored)
    write_sums(product, tile, work.sums, number)
    return packed


@deferred_codegen
def multiply_tiles(arguments, thread_number, kind, stored):
    """The work of one thread: take the next tile of a product until none is left."""
    call = call_at(arguments)
    table = table_at(call.sizes)
    workspace = call.workspace + thread_number * table.workspace_bytes
    thread = Thread(thread_number, table.threads, arguments + COUNTERS * 8, workspace, call.states, call.pass_number)
    work = Workspace(workspace, workspace + table.a_bytes, workspace + table.a_bytes + table.b_bytes)
    number, packed = Number(table.storage, kind), (0, 0, 0, 0)
    while True:
        n = next_task(thread, table.tasks)
        if n == table.tasks:
            break
        address = table.products
        while n >= product_at(address).tasks:
            n -= product_at(address).tasks
            address += PRODUCT_BYTES
        product = product_at(address)
        packed = multiply_tile(product, tile_of(product, n), work, packed, number, stored)
