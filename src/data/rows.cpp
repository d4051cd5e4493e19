#include "data/rows.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "data/csv.hpp"
#include "data/source.hpp"

namespace ae::data {
namespace {

constexpr FormatEntry kFormats[] = {
    {"csv", "text with a delimiter (comma, semicolon, tab or any other), RFC 4180 quoting; plain, gzip or Zstandard"},
    {"tsv", "the same with tabs"},
};

void check_type(const std::string& type) {
  std::vector<std::string> names = {"auto"};
  for (const FormatEntry& entry : kFormats) names.emplace_back(entry.name);
  if (std::find(names.begin(), names.end(), type) == names.end())
    throw UsageError("/data/format: unknown format " + ae::quoted(type) + did_you_mean(type, names) +
                     "; expected one of " + ae::join(names));
}

}  // namespace

std::span<const FormatEntry> formats() { return kFormats; }

std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path, const TableFormat& format) {
  check_type(format.type);
  return open_csv(ByteSource::open(path), format);
}

InputError no_rows(const RowSource& source) {
  return InputError(source.name() + ": no data rows after the header; expected at least one");
}

}  // namespace ae::data
