# What the benchmark scripts share; read by them, not run.
#
# A script that calls check_common(), check_output() or find_programs() reads its options first, by read_options().
# Everything that fails ends the script by fail().
export LC_ALL=C
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
script=$(basename "$0")

fail() {  # fail CODE MESSAGE
  echo "$script: error: $2" >&2
  exit "$1"
}
warn() { echo "$script: warning: $1" >&2; }

show_help() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }  # the comment at the script's beginning

# Reads a command line "[options] DIR" into variables: folder, the options below, and those that only the script knows,
# by own_option NAME VALUE, which returns 1 for one that it does not know. What "config" is by default, the script says.
read_options() {
  settings=() seeds=0,1,2 alpha=0.05 threads=() output='' keep='' bin='' force='' folder=''
  while [ $# -gt 0 ]; do
    case "$1" in
      -h | --help)
        show_help
        exit 0
        ;;
      --force) force=--force ;;
      -*)
        common_option "$1" "${2-}" || own_option "$1" "${2-}" || fail 2 "unknown option $1; --help lists them"
        [ $# -gt 1 ] || fail 2 "$1 needs a value"
        shift
        ;;
      *)
        [ -z "$folder" ] || fail 2 "one folder at a time; found $folder and $1"
        folder=${1%/}
        ;;
    esac
    shift
  done
}
common_option() {
  case "$1" in
    --config) config=$2 ;;
    --set) settings+=(--set "$2") ;;
    --seeds) seeds=$2 ;;
    --alpha) alpha=$2 ;;
    --threads) threads=(--threads "$2") ;;
    -o | --output) output=$2 ;;
    --keep) keep=$2 ;;
    --bin) bin=$2 ;;
    *) return 1 ;;
  esac
}

is_share() { [[ $1 =~ ^(0|[0-9]*\.?[0-9]+)$ ]] && awk "BEGIN { exit !($1 <= 1) }"; }  # a number from 0 to 1

check_common() {
  [ -n "$folder" ] || fail 2 "no folder given; expected $script [options] DIR"
  [[ $seeds =~ ^[0-9]+(,[0-9]+)*$ ]] || fail 2 "--seeds $seeds: expected numbers with commas between, as 0,1,2"
  [ -r "$config" ] || fail 2 "$config: no such config; give one with --config"
}

check_output() {
  if [ -n "$output" ] && [ "$output" != - ] && [ -e "$output" ] && [ -z "$force" ]; then
    fail 2 "$output exists; --force overwrites it"
  fi
}

find_programs() {
  local program
  if [ -z "$bin" ]; then
    if [ -n "${AETOOLS_BIN:-}" ]; then
      bin=$AETOOLS_BIN
    elif [ -x "$source_folder/build/release/apps/ae-train" ]; then
      bin=$source_folder/build/release/apps
    fi
  fi
  [ -z "$bin" ] || PATH=$(cd "$bin" 2>/dev/null && pwd || echo "$bin"):$PATH
  for program in ae-train ae-score ae-roc; do
    command -v "$program" >/dev/null ||
      fail 2 "$program not found${bin:+ in $bin}; build it (scripts/quickstart.sh) or name its folder with --bin"
  done
}

seconds_since() { awk "BEGIN { printf \"%.3f\", $EPOCHREALTIME - $1 }"; }

# The runs' lines of CSV, to the file that --output names, if any: whole or not at all.
save_runs() { [ -z "$output" ] || { cp "$1" "$output.part" && mv "$output.part" "$output"; }; }
