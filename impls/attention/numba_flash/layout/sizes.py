"""The sizes that a kernel reads: the problem, and the plan that cuts it up (`plan`).

A strip is a run of queries of a key/value head whose tiles are cut from it: the queries of one query head, or those of the
whole group, one query head after the other. A lane is the place of a query in its strip, or in a tile.
"""

import numpy as np

from ..runtime.records import Field, Record

PROBLEM = (
    Field("batch", "sequences", "of the batch"),
    Field("q_heads", "heads", "of queries"),
    Field("kv_heads", "heads", "of keys and values"),
    Field("q_len", "queries", "of a head"),
    Field("kv_len", "keys", "of a head"),
    Field("head_dim", "elements", "of a query or key"),
    Field("v_head_dim", "elements", "of a value"),
    Field("low", "keys", "the band: query i may see key j if low <= j - i <= high"),
    Field("high", "keys", "see low"),
    Field("storage", "form", "how operands are stored: NATIVE, BFLOAT16 or FLOAT16 (`simd.stored`)"),
    Field("scale", "number", "the factor of the scores", np.float64),
    Field("softcap", "number", "the bound of the scores; 0 for none", np.float64),
)

PLAN = (
    Field("threads", "threads", "that share the tasks"),
    Field("workspace_bytes", "bytes", "of one thread's workspace"),
    Field("tile_keys", "keys", "of a tile of scores, at most"),
    Field("strip_lanes", "queries", "of a strip"),
    Field("strips", "strips", "of a key/value head"),
    Field("strip_tiles", "tiles", "of a strip"),
    Field("splits", "parts", "of a head's keys (forward, decode) or of its tiles of queries (backward)"),
    Field("task_tiles", "tiles", "of one task"),
    Field("chunk_tiles", "tiles", "of a task that go through a chunk of keys together"),
    Field("chunk_keys", "keys", "that are read before the next ones are: by several tiles, or for sums of dk and dv"),
    Field("d_rows", "rows", "head_dim, up to whole vectors and micro-kernels"),
    Field("dv_rows", "rows", "v_head_dim, up to whole vectors and micro-kernels"),
    Field("old_keys", "keys", "in k and v; the others are in k_new and v_new (decode)"),
    Field("in_place", "0 or 1", "whether dk and dv are summed in the arrays that will have them"),
    Field("spill_bytes", "bytes", "that a tile of queries keeps from one chunk of keys to the next, beside dq"),
    Field("packed", "bytes", "at the end of a workspace for a chunk of keys and values; 0 if they are read where they lie"),
    Field("transposed_row", "bytes", "of a row of values transposed for AMX; 0 if they are not"),
)

SIZES = Record("sizes", *PROBLEM, *PLAN)

sizes_at = SIZES.at
