"""The interpreter while work runs: signals, threads, processes, progress; and the command that is installed."""

import importlib.metadata
import inspect
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import luna_attention as luna_py
import numpy as np
import pytest
from conftest import LUNA, probabilities

LONG = """
import numpy as np, luna_attention
a = np.broadcast_to((1 / 200 + np.eye(200, dtype=np.float32)) / 2, (60, 200, 200))
try:
    print("begun", flush=True)
    luna_attention.spectrum(a, nulls=["gaussian", "shuffled"], null_draws=1000)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def interrupted(command, cwd, ready):
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready(process)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    out, said = process.communicate(timeout=60)
    return process.returncode, out, time.monotonic() - start, said


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_stops_a_call(tmp_path):
    def ready(process):
        assert process.stdout.readline() == "begun\n"
        time.sleep(1)

    code, out, seconds, said = interrupted([sys.executable, "-c", LONG], tmp_path, ready)
    assert (code, out) == (0, "interrupted\n"), said
    assert seconds < 30


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_stops_the_command_as_it_stops_the_program(tmp_path):
    command = [LUNA, "svd-spectrum", "--synthetic", "gaussian:logit_sd=1,d_h=8", "--seq-len", "200", "--null-draws", "100000"]
    code, _, seconds, said = interrupted(command, tmp_path, lambda _: time.sleep(2))
    assert code == 130 and seconds < 30, said


def test_an_exception_of_progress_stops_the_work():
    class Stop(Exception):
        pass

    def progress(done, total, message):
        raise Stop

    a = probabilities((40, 64, 64))
    with pytest.raises(Stop):
        luna_py.spectrum(a, nulls="gaussian", null_draws=1000, progress=progress)


def test_progress_ends_where_the_work_does():
    seen = []
    luna_py.spectrum(probabilities((40, 64, 64)), progress=lambda done, total, message: seen.append((done, total, message)))
    assert seen and seen[-1][:2] == (40, 40) and seen == sorted(seen)


def test_a_bar_of_tqdm(monkeypatch):
    class Bar:
        n, total, closed = 0, None, False

        def update(self, steps):
            self.n += steps

        def set_description(self, text, refresh):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.closed = True

    bar, module = Bar(), types.ModuleType("tqdm.auto")
    module.tqdm = lambda: bar
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    luna_py.spectrum(probabilities((40, 64, 64)), progress=True)
    assert (bar.n, bar.total, bar.closed) == (40, 40, True)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ValueError, match="'True' needs tqdm; accepted: a function"):
        luna_py.spectrum(probabilities((2, 8, 8)), progress=True)


def test_other_threads_run_meanwhile():
    done = threading.Event()
    thread = threading.Thread(target=lambda: (luna_py.spectrum(probabilities((60, 128, 128)), nulls="gaussian"), done.set()))
    thread.start()
    ticks = 0
    while not done.is_set():
        time.sleep(0.001)
        ticks += 1
    thread.join()
    assert ticks > 20


def effective_rank(seed):
    return luna_py.spectrum(probabilities((2, 16, 16), seed))["effective_rank"].tolist()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_can_measure():
    expected = [effective_rank(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(effective_rank, range(4)).get(timeout=60) == expected


def test_threads_change_no_bit():
    a = probabilities((5, 40, 40))
    one, four = (luna_py.spectrum(a, nulls="gaussian", threads=threads) for threads in (1, 4))
    assert all(np.array_equal(one[name], four[name], equal_nan=one[name].dtype.kind == "f") for name in one)


def test_the_command_is_the_program(luna):
    version = importlib.metadata.version("luna-attention")
    assert luna("--version").stdout == f"luna {version}\n"
    assert luna_py.__version__ == version
    wrong = luna("list", "--formt", "json")
    assert wrong.returncode == 2 and "--format" in wrong.stderr
    refused = luna("svd-spectrum", "--attention", "absent.npy")
    assert (refused.returncode, refused.stdout) == (1, "") and refused.stderr.startswith("luna: 'absent.npy': ")


def test_the_command_starts_itself_again(luna, rows):
    """Shards in processes of their own."""
    study = ["svd-spectrum", "--synthetic", "gaussian:logit_sd=1,d_h=8", "--seq-len", "16", "--windows", "2", "--at", "4"]
    whole = rows(*study)
    assert rows(*study, "--jobs", "2", "--out", "jobs") == whole


def test_stubs_have_the_signatures_of_the_module():
    import ast

    folder = Path(luna_py.__file__).parent
    assert (folder / "py.typed").is_file()
    nodes = ast.parse((folder / "__init__.pyi").read_text()).body
    stubs = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    functions = {name: getattr(luna_py, name) for name in luna_py.__all__ if inspect.isfunction(getattr(luna_py, name))}
    assert set(stubs) == set(functions)
    for name, function in functions.items():
        arguments = stubs[name].args
        named = [one.arg for one in arguments.args + arguments.kwonlyargs]
        kinds = inspect.signature(function).parameters.values()
        assert named == [one.name for one in kinds if one.kind is not inspect.Parameter.VAR_KEYWORD], name
        assert (arguments.kwarg is not None) == any(one.kind is inspect.Parameter.VAR_KEYWORD for one in kinds), name
        assert function.__doc__ and "Returns" in function.__doc__
