"""The products of a pass, C = Σ A B + bias: blocks of A and panels of B are packed, and the micro-kernel multiplies them.

Loops around a micro-kernel, as in Van Zee and van de Geijn, "BLIS", ACM TOMS 41(3) 2015. A task is a tile of C, whose sums
stay in the thread's memory until they are complete; then they are rounded once, and written row by row.
"""

from typing import NamedTuple

from ...attention.numba_flash.layout.packing import round_up
from ...attention.numba_flash.runtime.call import COUNTERS, Thread, call_at, next_task
from ...attention.numba_flash.runtime.deferred_codegen import deferred_codegen
from ...attention.numba_flash.runtime.memory import copy, size_of, view
from ...attention.numba_flash.simd.matrices import Form, Rows, Strided, Target
from ...attention.numba_flash.simd.microkernel import ROWS, product, product_row
from ...attention.numba_flash.simd.stored import bytes_of, store_row
from ...attention.numba_flash.simd.vectors import lanes_of
from .operands import PRODUCT_BYTES, TERM_BYTES, product_at, row_of, table_at, term_at
from .packing import Range, pack_a, pack_columns, packed_depth, packed_rows, packed_size, panel_of

STEPS_IN_CACHE = 256
"""Rows of a panel of B that stay in the first-level cache while the rows of A pass by: of three vectors, 48 KiB."""


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
def multiply_panel(block, b, sums, rows, vectors, kind, stored):
    """sums[r, c] += Σ_k A[r, k] B[k, c] for a packed block of A and a packed panel of B, both at addresses."""
    width, form = vectors * lanes_of(kind), Form(kind, stored)
    step, b_size = (2, 4) if stored is not None else (1, size_of(kind))
    steps = packed_depth(block.depth.count, stored) // step
    for k in range(0, steps, STEPS_IN_CACHE):
        count, right = min(STEPS_IN_CACHE, steps - k), Rows(b + k * width * b_size, width)
        for r in range(0, rows, ROWS):
            whole = packed_rows(block.transposed, block.depth, r, block.address, kind, stored)
            left = Strided(whole.address + k * whole.step * packed_size(kind, stored), whole.row, whole.step)
            target = Target(sums + r * width * size_of(kind), width, True)
            if rows == 1:
                product_row(vectors, count, left, right, target, form)
            else:
                product(vectors, count, left, right, target, form)


@deferred_codegen
def multiply_block(product, term, tile, block, work, storage, kind, stored):
    """Add the product of a packed block of A and the rows of B that it belongs to."""
    lanes, rows, sums = lanes_of(kind), round_up(tile.rows.count, ROWS), work.sums
    depth, height = block.depth, packed_depth(term.depth, stored)
    for n in range(tile.first, tile.last):
        panel, b = panel_of(product.c.columns, n, kind), work.b
        width = panel.vectors * lanes
        if term.panels:
            b = term.panels + (panel.vector * lanes * height + depth.first * width) * packed_size(kind, stored)
        else:
            columns = Range(panel.head * product.c.columns + panel.column, panel.columns)
            pack_columns(term.b, columns, depth, storage, b, width, kind, stored)
        multiply_panel(block, b, sums, tile.rows.count, panel.vectors, kind, stored)
        sums += rows * width * size_of(kind)


@deferred_codegen
def write_sums(product, tile, sums, storage, kind):
    """Round the sums of a tile and write them to C."""
    lanes, rows, c, size = lanes_of(kind), round_up(tile.rows.count, ROWS), product.c, bytes_of(storage, kind)
    for n in range(tile.first, tile.last):
        panel = panel_of(c.columns, n, kind)
        row, offset = panel.vectors * lanes * size_of(kind), panel.head * c.by_head + panel.column * size
        for r in range(tile.rows.count):
            address = row_of(c, tile.rows.first + r) + offset
            store_row(sums + r * row, panel.columns, storage, address, size, kind)
        sums += rows * row


@deferred_codegen
def multiply_tile(product, tile, work, packed, storage, kind, stored):
    """Compute a tile. `packed` is the tag of the block of A that is packed already; returns that of the one that is now.

    A tag is (address of A, first row, rows); the address is 0 if the block is not of the whole depth.
    """
    begin_sums(product, tile, work.sums, kind)
    for t in range(product.count):
        term = term_at(product.terms + t * TERM_BYTES)
        for k in range(0, term.depth, product.depth):
            depth = Range(k, min(product.depth, term.depth - k))
            whole = depth.count == term.depth
            tag = (term.a.address if whole else 0, tile.rows.first, tile.rows.count)
            if tag != packed or not whole:
                pack_a(term, tile.rows, depth, storage, work.a, kind, stored)
            packed = tag
            multiply_block(product, term, tile, Block(work.a, term.transposed, depth), work, storage, kind, stored)
    write_sums(product, tile, work.sums, storage, kind)
    return packed


@deferred_codegen
def multiply_tiles(arguments, thread_number, kind, stored):
    """The work of one thread: take the next tile of a product until none is left."""
    call = call_at(arguments)
    table = table_at(call.sizes)
    workspace = call.workspace + thread_number * table.workspace_bytes
    thread = Thread(thread_number, table.threads, arguments + COUNTERS * 8, workspace, call.states, call.pass_number)
    work = Workspace(workspace, workspace + table.a_bytes, workspace + table.a_bytes + table.b_bytes)
    packed = (0, 0, 0)
    while True:
        n = next_task(thread, table.tasks)
        if n == table.tasks:
            break
        address = table.products
        while n >= product_at(address).tasks:
            n -= product_at(address).tasks
            address += PRODUCT_BYTES
        product = product_at(address)
        packed = multiply_tile(product, tile_of(product, n), work, packed, table.storage, kind, stored)
