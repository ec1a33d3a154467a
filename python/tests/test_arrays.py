"""Arrays of every type, order and shape: the right figures, or a ValueError that says what is accepted."""

import threading

import luna_attention as luna_py
import numpy as np
import pytest
from conftest import heads, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

TYPES = "f2 f4 f8 >f2 >f4 >f8 g i1 i4 >i8 u2 ? c8 c16 S3 U3 O M8[s] V4".split()


def laid_out(array, layout):
    """The same values in another layout of memory."""
    if layout == "columns first":
        return np.asfortranarray(array)
    if layout == "every second":
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if layout == "reversed":
        return array[..., ::-1].copy()[..., ::-1]
    if layout == "unaligned":
        raw = np.zeros(array.nbytes + 1, np.uint8)
        moved = raw[1:].view(array.dtype).reshape(array.shape)
        moved[...] = array
        return moved
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout == "transposed":
        return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2)
    return array


LAYOUTS = ["plain", "columns first", "every second", "reversed", "unaligned", "read-only", "transposed"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 5), max_size=6),
    st.sampled_from(LAYOUTS),
    st.sampled_from([None, np.nan, np.inf, -np.inf]),
)
def test_any_array_has_its_singular_values_or_is_refused(dtype, shape, layout, wrong):
    values = heads(shape, 1, np.float64)
    with np.errstate(all="ignore"):
        array = (values * 100).astype(np.int64).astype(dtype) if dtype[-2:] in ("[s]", "V4") else values.astype(dtype)
    is_float = array.dtype.kind == "f" and array.dtype.itemsize <= 8
    if wrong is not None and is_float and array.size:
        array.flat[array.size // 2] = wrong
    if array.dtype.kind != "O" and array.ndim >= 2 and array.size:
        array = laid_out(array, layout)
    before = array.copy()
    accepted = is_float and array.ndim >= 2 and array.size and (wrong is None)
    if not accepted:
        with pytest.raises(ValueError) as raised:
            luna_py.singular_values(array)
        assert "expected" in str(raised.value) or "accepted" in str(raised.value), raised.value
    else:
        found = luna_py.singular_values(array)
        expected = np.linalg.svd(array.astype(np.float64), compute_uv=False)
        assert found.shape == expected.shape
        assert np.allclose(found, expected, atol=1e-5 * max(1, expected.max()))
    assert array.tobytes() == before.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f2", ">f4", ">f8"])
def test_the_layout_changes_no_bit(dtype, layout):
    a = probabilities((2, 12, 12)).astype(dtype)
    q, k, v = (heads((2, 12, 4), seed).astype(dtype) for seed in range(3))
    other = [laid_out(x, layout) for x in (a, q, k, v)]
    native = [x.astype(x.dtype.newbyteorder("=")) for x in (a, q, k, v)]
    same(luna_py.spectrum(other[0]), luna_py.spectrum(native[0]))
    same(luna_py.spectrum(*other[1:3]), luna_py.spectrum(*native[1:3]))
    same(luna_py.errors(*other[1:], attention="linear"), luna_py.errors(*native[1:], attention="linear"))
    assert np.array_equal(luna_py.attention("softmax", *other[1:]), luna_py.attention("softmax", *native[1:]))


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name


REFUSED = [
    (lambda: luna_py.spectrum(np.float32(1)), "'a': shape []; expected (n, m), (h, n, m)"),
    (lambda: luna_py.spectrum([]), "'a': shape [0]; expected"),
    (lambda: luna_py.spectrum(np.zeros((0, 3, 3), np.float32)), "'a': shape [0, 3, 3]; expected"),
    (lambda: luna_py.spectrum(np.zeros((1,) * 6, np.float32)), "'a': shape [1, 1, 1, 1, 1, 1]; expected"),
    (lambda: luna_py.spectrum(np.eye(3, dtype=int)), "a: 'int64' is not accepted; accepted: float16, float32 or float64"),
    (lambda: luna_py.spectrum(None), "a: 'object' is not accepted"),
    (lambda: luna_py.spectrum([[1.0, 2.0], [3.0]]), "a: cannot be read as an array"),
    (lambda: luna_py.spectrum(np.full((3, 3), np.nan)), "attention matrix of layer 0, head 0: NaN at row 0, column 0"),
    (lambda: luna_py.spectrum(-np.eye(3), nulls="gaussian"), "'a': -1 in layer 0, head 0, row 0, column 0: a negative entry"),
    (lambda: luna_py.spectrum(np.eye(3), nulls="gausian"), "unknown null model 'gausian' (did you mean 'gaussian'?)"),
    (lambda: luna_py.spectrum(np.eye(3), at=[0]), "--at: '0' is not accepted; accepted: 1 or more"),
    (lambda: luna_py.spectrum(np.eye(3), method="exat"), "invalid value 'exat'"),
    (lambda: luna_py.spectrum(np.eye(3), colour="red"), "unexpected argument '--colour'"),
    (lambda: luna_py.spectrum(np.eye(3), scale=1.0), "scale is not accepted beside attention matrices"),
    (lambda: luna_py.spectrum(np.eye(3), model="byte-luna"), "cannot be used with"),
    (lambda: luna_py.spectrum(np.eye(3), seed=-1), "seed: '-1' is not accepted"),
    (lambda: luna_py.spectrum(np.eye(3), threads=5000), "threads: '5000' is not accepted"),
    (lambda: luna_py.spectrum(np.eye(4), np.eye(3)), "array 'k': shape [1, 1, 1, 3, 3]; expected"),
    (lambda: luna_py.spectrum(np.ones((3, 2)), np.ones((4, 2)), mask="causal"), "--qkv-mask: 'causal' is not accepted"),
    (lambda: luna_py.errors(np.ones((3, 2)), np.ones((3, 2)), np.ones((2, 2))), "array 'v': shape"),
    (lambda: luna_py.errors(*[np.ones((3, 2))] * 3, attention="lunar"), "unknown attention 'lunar'"),
    (lambda: luna_py.cost("luna", n=0), "--seq-len: '0' is not accepted; accepted: 1 or more"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_what_is_refused_is_told_in_a_sentence(call, said):
    with pytest.raises(ValueError) as raised:
        call()
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_other_arrays_are_taken_by_their_protocols():
    class Array:
        def __init__(self, array):
            self.array = array

        def __array__(self, dtype=None, copy=None):
            return self.array

    a = probabilities((2, 12, 12))
    for other in (Array(a), a.tolist()):
        same(luna_py.spectrum(other), luna_py.spectrum(np.asarray(a, np.asarray(other).dtype)))
    torch = pytest.importorskip("torch")
    same(luna_py.spectrum(torch.from_numpy(a)), luna_py.spectrum(a))


def test_dlpack_alone_is_enough():
    a = probabilities((2, 12, 12))

    class Tensor:
        def __dlpack__(self, **options):
            return a.__dlpack__(**options)

        def __dlpack_device__(self):
            return a.__dlpack_device__()

    same(luna_py.spectrum(Tensor()), luna_py.spectrum(a))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contiguous_arrays_are_not_copied(dtype):
    a = probabilities((2, 3, 8, 8), dtype=dtype)
    for array in (a, a[1], a[0, :2]):
        _, prepared, _ = luna_py._calls.prepared("a", array)
        assert prepared.ctypes.data == array.ctypes.data


def test_an_array_that_another_thread_changes_is_measured_or_refused():
    a = probabilities((8, 64, 64))
    stop = threading.Event()

    def write():
        other = np.random.default_rng(0)
        while not stop.is_set():
            a[other.integers(8), other.integers(64)] = other.choice([np.nan, np.inf, -1e30, 0.5, 1e-40])
            a[other.integers(8)] = 1 / 64

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            for call in (luna_py.spectrum, lambda a: luna_py.attention("softmax", a, a, a)):
                try:
                    call(a)
                except ValueError:
                    pass
    finally:
        stop.set()
        thread.join()
