"""How calls really run: threads, kernels, dtypes, and what is said of them."""

import dataclasses
import hashlib
import threading
import time
from types import SimpleNamespace

import pytest

from harness.analysis.quality import differences
from harness.frameworks.base import Kernel, most_of
from harness.frameworks.library_logs import library_kernels, printed
from harness.frameworks.xla import library_calls
from harness.measure.observation import observe
from harness.records.cell import Cell
from harness.records.execution import Execution
from tests.unit import factories

NO_PATTERN = SimpleNamespace(fast_kernel="")


def bound(call, told=(), own=None):
    """What is looked at of a bound call."""
    return SimpleNamespace(
        call=call, call_and_synchronize=call, kernels=own, framework=SimpleNamespace(kernels=lambda call: told)
    )


def hashing():
    """Some milliseconds of work for which Python's lock is released."""
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 20_000)


def in_threads(count):
    def call():
        threads = [threading.Thread(target=hashing) for _ in range(count)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):  # The clock of a thread that has ended cannot be read.
            time.sleep(0.0001)

    return call


def test_the_thread_that_works_is_counted():
    found = observe(bound(hashing), NO_PATTERN)
    assert found.threads == 1
    assert 0 < found.processors < 1.5


def test_threads_that_wait_are_not_counted():
    waiting = threading.Event()
    idle = threading.Thread(target=waiting.wait)
    idle.start()
    try:
        assert observe(bound(hashing), NO_PATTERN).threads == 1
    finally:
        waiting.set()
        idle.join()
    assert observe(bound(lambda: time.sleep(0.02)), NO_PATTERN).threads == 0


def test_every_thread_of_a_pool_is_counted():
    stop, threads = threading.Event(), []

    def work():
        while not stop.is_set():
            hashing()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        # Two CPUs or one, each works for more than a twentieth of the time.
        assert observe(bound(lambda: time.sleep(0.3)), NO_PATTERN).threads == 2
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_the_implementations_own_word_comes_before_the_librarys():
    library = [Kernel("bmm", "float32"), Kernel("softmax", "float32")]
    found = observe(bound(hashing, library), NO_PATTERN)
    assert (found.kernels, found.dtypes) == (("bmm", "softmax"), ("float32",))
    found = observe(bound(hashing, library, own=lambda: [Kernel("mine")]), NO_PATTERN)
    assert (found.kernels, found.dtypes) == (("mine",), ())


def test_a_library_that_fails_to_tell_says_nothing():
    def broken():
        raise RuntimeError("no profiler here")

    assert observe(bound(hashing, own=broken), NO_PATTERN).kernels == ()


@pytest.mark.parametrize(
    "name, kept", [("two\nlines\r", "two lines"), ("half \ud800", "half ?"), (3, "3"), ("x" * 1000, "x" * 200)]
)
def test_a_name_is_kept_as_a_line_of_text(name, kept):
    assert observe(bound(hashing, own=lambda: [Kernel(name, None)]), NO_PATTERN).kernels == (kept,)


@pytest.mark.parametrize(
    "pattern, said",
    [
        ("", ""),
        ("flash|efficient", ""),
        ("cudnn|efficient", "it ran flash_attention, softmax, and nothing that is called cudnn or efficient"),
    ],
)
def test_another_kernel_than_the_one_it_is_about_is_a_fallback(pattern, said):
    told = [Kernel("flash_attention"), Kernel("softmax")]
    assert observe(bound(hashing, told), SimpleNamespace(fast_kernel=pattern)).fallback == said
    assert observe(bound(hashing), SimpleNamespace(fast_kernel=pattern)).fallback == ""


def test_a_fallback_and_a_narrower_dtype_are_remarks():
    assert differences(Execution(1, 1.0), "float32") == []
    assert differences(Execution(1, 1.0, dtypes=("float32", "float64")), "float32") == []
    assert differences(Execution(1, 1.0, fallback="it ran math"), "float32") == ["fallback: it ran math"]
    (said,) = differences(Execution(1, 1.0, dtypes=("float32", "bfloat16")), "float32")
    assert said == "narrower: the library says that it computed in bfloat16"


def test_a_record_keeps_how_it_ran():
    cell = dataclasses.replace(
        factories.measured("a", 1.0), execution=Execution(2, 1.9, ("flash", "copy"), ("float32",), "it ran others")
    )
    assert Cell.from_json(cell.to_json()).execution == cell.execution


def test_kernels_of_less_than_a_twentieth_of_the_time_are_left_out():
    a, b, c = Kernel("a"), Kernel("b"), Kernel("c")
    assert most_of({a: 10.0, b: 86.0, c: 4.0}) == [b, a]
    assert most_of({}) == most_of({a: 0.0}) == []


ONEDNN = (
    "onednn_verbose,v1,info,cpu,isa:Intel AVX-512\n"
    "onednn_verbose,v1,primitive,exec,cpu,matmul,brg_matmul:avx512_core_amx,undef,"
    "src:a:bf16::blocked:abc::f0 wei:a:bf16::blocked:abc::f0 dst:a:bf16::blocked:abc::f0,,,8x64x64:8x64x64,0.5\n"
    "onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,"
    "src:f:f32::blocked:ab::f0 dst:f:bf16::blocked:ab::f0,,,64x64,0.001\n"
    "onednn_verbose,v1,primitive,create:cache_miss,cpu,matmul,brg_matmul:avx512_core_amx,undef,src:a:bf16,,,1x1,9.5"
)
MKL = (
    "MKL_VERBOSE oneMKL 2024.0 Update 2 Product build 20240605 for Intel(R) 64 architecture, Lnx 2.60GHz lp64 gnu_thread\n"
    "MKL_VERBOSE SGEMM(T,N,64,64,64,0x7ffd,0x55,64,0x66,64,0x77,0x88,64) 12.50us CNR:OFF Dyn:1 FastMM:1 TID:0  NThr:2\n"
    "MKL_VERBOSE DGEMM(T,N,64,64,64,0x7ffd,0x55,64,0x66,64,0x77,0x88,64) 2.50ms CNR:OFF Dyn:1 FastMM:1 TID:0  NThr:2\n"
    "MKL_VERBOSE GEMM_BF16BF16F32(N,N,64,64,64,0x7ffd) 1.00ms CNR:OFF Dyn:1 FastMM:1 TID:0  NThr:2"
)


def test_kernels_of_onednn_and_mkl_are_read_from_what_they_print():
    assert library_kernels(ONEDNN.splitlines()) == [Kernel("oneDNN matmul brg_matmul:avx512_core_amx", "bfloat16")]
    assert library_kernels(MKL.splitlines()) == [Kernel("MKL DGEMM", "float64"), Kernel("MKL GEMM_BF16BF16F32", "bfloat16")]
    assert library_kernels(["hello, world", "", "onednn_verbose,exec", "MKL_VERBOSE"]) == []


def test_what_libraries_print_is_caught_and_the_rest_goes_on(capfd):
    import ctypes

    libc = ctypes.CDLL(None)
    libc.puts(b"before")
    with printed() as lines:
        libc.puts(b"within")
    libc.puts(b"after")
    libc.fflush(None)
    assert lines == ["within"]
    assert capfd.readouterr().out.split() == ["before", "after"]


HLO = """HloModule jit_attention, entry_computation_layout={(f32[1,2,8,4]{3,2,1,0})->f32[1,2,8,4]{3,2,1,0}}
  %dot.1 = f32[2,8,8]{2,1,0} dot(f32[2,8,4]{2,1,0} %a, f32[2,8,4]{2,1,0} %b), lhs_batch_dims={0}
  %dot.2 = f32[2,8,4]{2,1,0} dot(f32[2,8,8]{2,1,0} %c, f32[2,8,4]{2,1,0} %d), lhs_batch_dims={0}
  %add = f32[2,8,4]{2,1,0} fusion(f32[2,8,4]{2,1,0} %e), kind=kLoop, calls=%fused
  %call = bf16[2,8,4]{2,1,0} custom-call(bf16[2,8,4]{2,1,0} %f), custom_call_target="__onednn$matmul", backend_config={}
  %custom = f32[2,8,4]{2,1,0} fusion(%g), kind=kCustom, backend_config={"fusion_config":{"kind":"__ynn_fusion"}}
"""


def test_products_and_calls_of_libraries_are_read_from_xlas_text():
    assert library_calls([HLO]) == [
        Kernel("XLA dot", "float32"),
        Kernel("XLA __onednn$matmul", "bfloat16"),
        Kernel("XLA __ynn_fusion", "float32"),
    ]


def test_threads_that_end_during_a_call_do_not_disturb():
    assert observe(bound(in_threads(2)), NO_PATTERN).processors > 0
