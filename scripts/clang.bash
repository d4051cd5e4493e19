# What the scripts of Clang's tools share; read by them, not run.

# .clang-format and .clang-tidy are written for version 14: another one formats and finds other things, which is no
# fault of the sources. Ends the script with 77, as skipped, where that is what is installed.
skip_unless_14() {  # skip_unless_14 TOOL
  local major
  major=$("$1" --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
  [ "$major" = 14 ] && return
  echo "$1: version ${major:-?} is installed, 14 (Debian 12) is needed: skipped"
  exit 77
}
