"""What cells, their journal and the files of a result cost: runs with and without `--out`, and with `--jobs 2` in the place of
`--threads 2`, in turn.

usage: overhead.py LUNA [--pairs N] [--model DIR --text FILE] [--folder DIR]

Each pair runs both, one right after the other and in alternating order; the ratio of a pair is that of their seconds (of
the clock, and of the processors, on which other work on the machine has less influence). Prints the median of the ratios and
their quartiles.

On two cores with nothing else to do, nine pairs (median of the ratios, and quartiles):

                              seconds   ratio of the clock       ratio of the processors
    spectra of a model, --out     9.3   1.016 (1.005 to 1.085)   1.025 (0.985 to 1.082)
    errors, --out                 4.0   0.971 (0.930 to 1.050)   0.976 (0.953 to 1.043)
    spectra, --jobs 2             2.8   1.014 (0.978 to 1.043)   0.997 (0.950 to 1.033)
    errors, --jobs 2              4.3   1.313 (1.216 to 1.407)   1.049 (0.984 to 1.083)

By the clock, cells and journals cost less than 2 % in the medians, in runs of seconds that also write the files of a result;
the quartiles reach from -7 to 8 %, and processor time was 2.5 % more in one of the cases. The last row
is not their cost: two processes have a part of the cells each, and one of the two is done before the other.

On two cores with a load of 8 to 10 by other work:

                              pairs  seconds   ratio of the clock       ratio of the processors
    spectra of a model, --out     7    30.2    0.775 (0.593 to 0.884)   0.929 (0.906 to 1.018)
    errors, --out                 7    16.7    0.981 (0.919 to 1.260)   0.953 (0.939 to 1.142)   twice the windows
    errors, --out                11    10.5    0.960 (0.843 to 1.092)   0.960 (0.865 to 1.027)
    spectra, --jobs 2             7    18.4    0.881 (0.866 to 1.059)   0.976 (0.960 to 1.002)   16 windows
    spectra, --jobs 2            11    11.6    1.011 (0.881 to 1.038)   0.978 (0.923 to 1.022)
    errors, --jobs 2              7    17.1    1.013 (0.898 to 1.259)   1.053 (0.993 to 1.163)   twice the windows

No run can be faster by its journal: the ratios below 1 are noise.
"""
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

ap = argparse.ArgumentParser()
ap.add_argument("luna")
ap.add_argument("--pairs", type=int, default=9)
ap.add_argument("--model")
ap.add_argument("--text")
ap.add_argument("--folder", help="where results are written [default: the folder of temporary files]")
a = ap.parse_args()
folder = tempfile.mkdtemp(prefix="luna-overhead.", dir=a.folder)
out = os.path.join(folder, "out")


def seconds(words):
    """Of the clock, and of the processors."""
    shutil.rmtree(out, ignore_errors=True)
    before, watch = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([os.path.abspath(a.luna), *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    clock, after = time.monotonic() - watch, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


errors = (
    "approx-error --synthetic gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=4 --seq-len 256 --windows 32 "
    "--l 16,64 --mechanism luna:p=fitted,nystrom,linear,local"
).split()
spectra = "svd-spectrum --synthetic gaussian:logit_sd=1,gaussian:logit_sd=2,iid --seq-len 256 --windows 12 --null-draws 2".split()
model = ["svd-spectrum", "--model", a.model, "--text", a.text, "--windows", "2"] if a.model else None
to = ["--out", out]
cases = [
    *([("spectra of a model, --out", model + to, model)] if model else []),
    ("errors, --out", errors + to, errors),
    ("spectra, --jobs 2", spectra + to + ["--jobs", "2"], spectra + to + ["--threads", "2"]),
    ("errors, --jobs 2", errors + to + ["--jobs", "2"], errors + to + ["--threads", "2"]),
]
print(f"{'':26} {'seconds':>8} {'ratio of the clock':>26} {'ratio of the processors':>26}")
for name, with_it, without in cases:
    ratios, base = [], []
    for pair in range(a.pairs):
        first, second = (with_it, without) if pair % 2 == 0 else (without, with_it)
        found = {}
        for words in (first, second):
            found[words is with_it] = seconds(words)
        base.append(found[False][0])
        ratios.append([found[True][k] / found[False][k] for k in (0, 1)])
    shown = []
    for k in (0, 1):
        low, middle, high = statistics.quantiles([ratio[k] for ratio in ratios], n=4)
        shown.append(f"{middle:.3f} ({low:.3f} to {high:.3f})")
    print(f"{name:26} {statistics.median(base):8.2f} {shown[0]:>26} {shown[1]:>26}", flush=True)
shutil.rmtree(folder)
