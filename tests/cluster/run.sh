#!/usr/bin/env bash
# Two studies on a Slurm cluster of the nodes n1 and n2: one node dies in the middle, elements run into their time limit, and
# merged, the results are the bytes of one machine. Runs on a node from which jobs are submitted:
#   run.sh LUNA DIR   (DIR is on a disk that all nodes see; `kill-node n2` and `start-node n2` stop and start a node)
set -euo pipefail
luna=$(realpath "$1")
cd "$2"
[[ $(sinfo --noheader --Node --format=%T | grep -c idle) == 2 ]]
touch up

spectra=(svd-spectrum --synthetic "gaussian:logit_sd=1,gaussian:logit_sd=2,iid" --seq-len 800 --windows 8 --at 64
  --null-draws 2 --threads 1 --quiet)
errors=(approx-error --synthetic "gaussian:logit_sd=1,gaussian:logit_sd=2,gaussian:logit_sd=4" --seq-len 512 --windows 32
  --l 16,64 --mechanism "luna:p=fitted,nystrom,linear,local" --threads 1 --quiet)

"$luna" "${spectra[@]}" --out spectra.one >/dev/null
start=$SECONDS
"$luna" "${errors[@]}" --out errors.one >/dev/null
alone=$((SECONDS - start))

# A minute is the shortest limit. Two elements that may work for a sixth of the whole cannot end at their first start, however
# fast the machine is: they stop, are put back into the queue, and go on.
worked=$((alone / 6 > 2 ? alone / 6 : 2))
stop_before=$((worked < 40 ? 60 - worked : 20))
echo "alone: $alone s; elements of errors may work for $((60 - stop_before)) s"
"$luna" cluster submit --out spectra --elements 6 --cpus 1 --time 10 -- "${spectra[@]}"
"$luna" cluster submit --out errors --elements 2 --cpus 1 --time 1 --stop-before "$stop_before" -- "${errors[@]}"
for _ in $(seq 60); do
  sleep 1
  [[ $(cat spectra/parts/*/journal.jsonl 2>/dev/null | wc -l) -gt 4 ]] && break
done
kill-node n2
echo "n2 was killed"
sleep 5
start-node n2

again=0
for try in $(seq 120); do
  sleep 5
  left=0
  for run in spectra errors; do
    "$luna" cluster status "$run" >"$run.status"
    # What is neither done nor in the queue (out of time too often, for example) is submitted again, with more of it.
    if grep -q '^not done and not in the queue' "$run.status"; then
      echo "$run is submitted again"
      again=1
      "$luna" cluster resubmit "$run" --time 10
    fi
    [[ -e $run/result/result.json ]] || left=1
  done
  [[ $left == 0 ]] && break
  ((try % 12 == 0)) && cat spectra.status errors.status && squeue
done

for run in spectra errors; do
  cat "$run.status"
  grep -h . "$run"/parts/*/done
  for file in "$run.one"/*; do
    name=$(basename "$file")
    case $name in
    journal.jsonl | manifest.json) ;;
    result.json) diff <(grep -v '"date":' "$file") <(grep -v '"date":' "$run/result/$name") ;;
    *) cmp "$file" "$run/result/$name" ;;
    esac
  done
done
restarts=$(cat spectra/parts/*/done errors/parts/*/done | grep -o '"restarts":[1-9]' | wc -l)
echo "elements that were started again: $restarts"
# Without one, nothing was shown.
[[ $restarts -gt 0 || $again == 1 ]]
stops=$(cat errors/logs/*.log | grep -c -e 'luna: stopping' -e 'it is not begun' || true)
echo "stopped before their time limit: $stops"
[[ $stops -gt 0 ]]
echo "the merged results are those of one machine"
