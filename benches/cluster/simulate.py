"""How long a study takes on many nodes that fail, and what it writes: a simulation of `luna cluster`.

usage: simulate.py [--cells N] [--cell-seconds S] [--spread X] [--nodes M] [--minutes T] [--failures-per-hour F] [--seed K]

Elements are stretches of the plan of about `minutes` each, as `luna cluster submit` cuts them. The cells of an element run one
after the other; their seconds are drawn around the mean (lognormal, `spread` is the standard deviation of the logarithm:
predicted costs are right to an order of magnitude only). Failures hit a node at random (a Poisson process over all
nodes): the cell in work is lost, the node comes back after ten minutes, and the element waits `requeue` seconds for the next
free node, where it reads its journal and goes on. An element that reaches the time limit (twice `minutes`) stops at once, loses the
cell in work, and waits as well. Prints the makespan beside the ideal one, what was lost, files and bytes.
"""
import argparse
import heapq
import random

ap = argparse.ArgumentParser()
ap.add_argument("--cells", type=int, default=270 * 8)
ap.add_argument("--cell-seconds", type=float, default=240.0)
ap.add_argument("--spread", type=float, default=0.5)
ap.add_argument("--nodes", type=int, default=1000)
ap.add_argument("--minutes", type=float, default=30.0)
ap.add_argument("--failures-per-hour", type=float, default=1.0)
ap.add_argument("--start-seconds", type=float, default=20.0, help="opening the model, once a start")
ap.add_argument("--requeue", type=float, default=120.0)
ap.add_argument("--cell-bytes", type=float, default=12_000.0)
ap.add_argument("--seed", type=int, default=0)
a = ap.parse_args()
rng = random.Random(a.seed)
mean = a.cell_seconds / pow(2.718281828459045, a.spread**2 / 2)
cells = [mean * pow(2.718281828459045, rng.gauss(0, a.spread)) for _ in range(a.cells)]
elements = max(1, min(a.cells, round(a.cells * a.cell_seconds / (60 * a.minutes) + 0.5)))
queues = [cells[i * a.cells // elements : (i + 1) * a.cells // elements] for i in range(elements)]

now, lost, starts, failures = 0.0, 0.0, 0, 0
waiting = [(0.0, i) for i in range(elements)]  # (not before, element)
heapq.heapify(waiting)
free = [(0.0, n) for n in range(a.nodes)]  # (free from, node)
heapq.heapify(free)
end = 0.0
rate = a.failures_per_hour / 3600 / a.nodes  # of one node, a second
while waiting:
    ready, element = heapq.heappop(waiting)
    at, node = heapq.heappop(free)
    begin = max(ready, at)
    starts += 1
    dies = begin + (rng.expovariate(rate) if rate > 0 else float("inf"))
    # No element would ever finish a cell that is longer.
    limit = begin + max(120 * a.minutes, 1.2 * max(cells) + a.start_seconds)
    t = begin + a.start_seconds
    queue = queues[element]
    while queue and t + queue[0] <= min(dies, limit):
        t += queue.pop(0)
    if not queue:
        end = max(end, t)
        heapq.heappush(free, (t, node))
        continue
    stop = max(min(dies, limit), begin)
    lost += max(stop - t, 0.0)
    failed = dies < limit
    failures += failed
    heapq.heappush(free, (stop + 600 * failed, node))
    heapq.heappush(waiting, (stop + a.requeue, element))
work = sum(cells)
ideal = max(work / a.nodes, max(cells))
print(f"{a.cells} cells, {work / 3600:.0f} h of work, {elements} elements on {a.nodes} nodes, {failures} failures, {starts} starts")
print(f"makespan {end / 60:.1f} min, ideal {ideal / 60:.1f} min; lost {lost / 3600:.2f} h ({100 * lost / work:.2f} % of the work)")
files = 3 * elements + 12
print(f"{files} files, {a.cells * a.cell_bytes / 1e6:.0f} MB of journals")
