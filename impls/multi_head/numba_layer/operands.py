"""What the kernel of the products reads: matrices, and a table of the products of a pass."""

from ...attention.numba_flash.runtime.deferred_codegen import deferred_codegen
from ...attention.numba_flash.runtime.records import Field, Record
from ...attention.numba_flash.simd.stored import bytes_of

MATRIX = Record(
    "matrix",
    Field("address", "address", "of element [0, 0]; 0 if the matrix is absent"),
    Field("by_batch", "bytes", "from one batch element to the next"),
    Field("by_head", "bytes", "from one head to the next"),
    Field("by_row", "bytes", "from one row to the next"),
    Field("rows", "rows", "of a batch element"),
    Field("columns", "columns", "of a head"),
)
"""An array (batch, head, row, column) as a matrix: row b `rows` + i, column h `columns` + c. Columns of a head adjoin."""

TERM = Record(
    "term",
    Field("a", "matrix", "the left operand, (rows, depth), or its transpose", MATRIX),
    Field("b", "matrix", "the right operand, (depth, columns); absent if it is packed", MATRIX),
    Field("panels", "address", "of the right operand, packed (`panels`)"),
    Field("depth", "numbers", "that are multiplied and added for an element of the product"),
    Field("height", "rows", "of a packed panel: depth, up to pairs"),
    Field("transposed", "0 or 1", "whether the matrix `a` is the transpose of the left operand"),
)
"""A product that is one of the terms of a sum."""

PRODUCT = Record(
    "product",
    Field("c", "matrix", "the sum of the terms and the bias", MATRIX),
    Field("bias", "address", "a number for each column of the panels of a row, in the type that is computed with, or 0"),
    Field("terms", "address", "the first term"),
    Field("count", "terms", "of the sum"),
    Field("rows", "rows", "that are computed"),
    Field("chosen", "address", "of the numbers, int64, of the rows of a and c that are computed; 0 if all are"),
    Field("panels", "panels", "of all columns of c"),
    Field("tile_rows", "rows", "of a task"),
    Field("tile_panels", "panels", "of a task"),
    Field("depth", "numbers", "that are packed at a time"),
    Field("tasks", "tasks", "of this product"),
)

TABLE = Record(
    "table",
    Field("products", "address", "the first product"),
    Field("tasks", "tasks", "of all products"),
    Field("threads", "threads", "that share the tasks"),
    Field("storage", "form", "how matrices are stored (`simd.stored`)"),
    Field("workspace_bytes", "bytes", "of one thread's workspace"),
    Field("a_bytes", "bytes", "of a packed block of a"),
    Field("b_bytes", "bytes", "of the packed rows of a panel of b"),
)

term_at, product_at, table_at = TERM.at, PRODUCT.at, TABLE.at
TERM_BYTES, PRODUCT_BYTES = TERM.bytes, PRODUCT.bytes


@deferred_codegen
def row_of(matrix, row):
    """The address of a row of a matrix: of its first head."""
    batch = row // matrix.rows
    return matrix.address + batch * matrix.by_batch + (row - batch * matrix.rows) * matrix.by_row


@deferred_codegen
def piece_of(matrix, column, count, storage, kind):
    """(offset in a row, length) of those of `count` columns, from `column` on, that are of one head and so contiguous."""
    head = column // matrix.columns
    at = column - head * matrix.columns
    return head * matrix.by_head + at * bytes_of(storage, kind), min(count, matrix.columns - at)
