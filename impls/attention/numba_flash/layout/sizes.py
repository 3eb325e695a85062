"""The sizes that a kernel reads."""

(
    BATCH, Q_HEADS, KV_HEADS, Q_LEN, KV_LEN, HEAD_DIM, V_HEAD_DIM, LOW, HIGH, STORAGE,
    TILE_KEYS, STRIP, STRIPS, TILES, SPLITS, TILES_PER_TASK, TILES_AT_ONCE, CHUNK, D_ROWS, DV_ROWS,
    WORKSPACE_BYTES, DIRECT, SPILL_BYTES, TRANSPOSED_ROW, THREADS, SIZES,
) = range(26)  # fmt: skip
"""Places in the array of sizes. LOW and HIGH are the band: query i may see key j when LOW <= j - i <= HIGH. From
TILE_KEYS on they are the plan: see `plan`."""
