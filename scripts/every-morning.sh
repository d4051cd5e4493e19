#!/usr/bin/env bash
# Scores the day's table by a model, writes its scores, a page and a summary, raises an alarm when there is a reason,
# and removes what is old. Made for cron: one instance at a time, and silent when all is well.
set -euo pipefail

usage() {
  cat <<'END'
usage: every-morning.sh --model DIR --in FILE --out FOLDER [options] [-- OPTIONS OF ae-score]

  --model DIR      what ae-train wrote
  --in FILE        the day's table; its name without folder and extension names the outputs
  --out FOLDER     for NAME.scores.csv, NAME.page.html, NAME.summary.json and NAME.log; made if it is not there
  --alpha A        flag rows with a p-value of at most this (default 0.001)
  --alarm COMMAND  is given the alarm's text on standard input, for example 'mail -s "pump 7" ops@example.com' (default:
                   the text goes to standard error, which cron sends by mail)
  --days N         remove outputs older than so many days (default 60)

Further options go to ae-score, for example: -- --keep time,machine --missing -999

An alarm is raised when rows are flagged, when rows cannot be read, when the day drifted, and when anything fails. Ends
with the code of ae-score: 0 all is well (or only drift), 3 rows are flagged, 4 rows or the file cannot be read, others as
ever.
END
}

fail() {
  echo "every-morning.sh: error: $1" >&2
  exit 2
}

model='' input='' out='' alpha=0.001 alarm='' days=60
while (($# > 0)); do
  case $1 in
    --) shift && break ;;
    -h | --help) usage && exit 0 ;;
    --*) [[ ${2:-} ]] || fail "$1: its value is missing; --help tells more" ;;
  esac
  case $1 in
    --model) model=$2 ;;
    --in) input=$2 ;;
    --out) out=$2 ;;
    --alpha) alpha=$2 ;;
    --alarm) alarm=$2 ;;
    --days) days=$2 ;;
    *) fail "unknown option \"$1\"; --help tells those there are" ;;
  esac
  shift 2
done
[[ $model && $input && $out ]] || fail "--model, --in and --out are needed; --help tells more"
[[ $days =~ ^[0-9]+$ ]] || fail "--days: found \"$days\", expected a number of days"

mkdir -p "$out"
exec 9> "$out/.every-morning.lock"
flock -n 9 || fail "$out: another instance is at work there"

name=$(basename "$input")
name=${name%.gz} && name=${name%.zst} && name=${name%.*}
base=$out/$name

rm -f "$base.scores.csv" "$base.summary.json" "$base.page.html" # of an earlier try
code=0
ae-score "$model" "$input" -o "$base.scores.csv" --page "$base.page.html" --summary "$base.summary.json" \
  --alpha "$alpha" --explain 3 --reasons --bad-rows report --allow-empty --fail-on-anomaly --force "$@" \
  2> "$base.log" || code=$?

drifted=no
# The first of the summary is the day's, the others are columns'.
if [[ -f $base.summary.json ]] && grep -m1 '"drifted"' "$base.summary.json" | grep -q true; then
  drifted=yes
fi
case $code in
  0) what=$([[ $drifted == yes ]] && echo "the day drifted" || echo "all is well") ;;
  3) what="rows are flagged$([[ $drifted == yes ]] && echo ", and the day drifted" || true)" ;;
  4) what=$([[ -f $base.summary.json ]] && echo "not all of the table can be read" || echo "nothing was scored") ;;
  *) what="scoring failed" ;;
esac

if [[ $code != 0 || $drifted == yes ]]; then
  text=$(
    echo "$name: $what"
    echo
    tail -n 20 "$base.log"
    if [[ -f $base.page.html ]]; then
      echo
      echo "page: $base.page.html"
    fi
  )
  if [[ $alarm ]]; then
    bash -c "$alarm" <<< "$text" || printf 'every-morning.sh: the alarm command failed; its text was:\n%s\n' "$text" >&2
  else
    echo "$text" >&2
  fi
fi

find "$out" -maxdepth 1 -type f -mtime "+$days" \
  \( -name '*.scores.csv' -o -name '*.page.html' -o -name '*.summary.json' -o -name '*.log' \) -delete
exit "$code"
