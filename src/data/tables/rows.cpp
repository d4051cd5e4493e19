#include "data/tables/rows.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "data/bytes/source.hpp"
#include "data/tables/csv.hpp"
#include "data/tables/npy_rows.hpp"

namespace ae::data {
namespace {

constexpr FormatEntry kFormats[] = {
    {"csv", "text with a delimiter (comma, semicolon, tab or any other), RFC 4180 quoting; plain, gzip or Zstandard"},
    {"tsv", "the same with tabs"},
    {"npy", "one NumPy array, [rows, columns] or [rows]; columns are named f0, f1, ..."},
    {"npz", "one array of a NumPy archive, chosen by /data/array"},
};

void check_type(const std::string& type) {
  std::vector<std::string> names = {"auto"};
  for (const FormatEntry& entry : kFormats) names.emplace_back(entry.name);
  if (std::find(names.begin(), names.end(), type) == names.end())
    throw UsageError("/data/format: unknown format " + ae::quoted(type) + did_you_mean(type, names) +
                     "; expected one of " + ae::join(names));
}

// By the first bytes, then by the name, so that a damaged array is not read as text.
std::string detect_type(const std::string& head, const std::filesystem::path& path) {
  if (head.starts_with("\x93NUMPY")) return "npy";
  if (head.starts_with("PK\3\4") || head.starts_with("PK\5\6")) return "npz";
  const std::string extension = path.extension().string();
  if (extension == ".npy") return "npy";
  if (extension == ".npz") return "npz";
  return "csv";
}

}  // namespace

std::span<const FormatEntry> formats() { return kFormats; }

std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path, const TableFormat& format) {
  check_type(format.type);
  if (format.type == "npz") return open_npz(RandomAccess::open(path), format.array);
  auto source = ByteSource::open(path);
  std::string head(6, '\0');
  head.resize(read_fully(*source, head.data(), head.size()));
  const std::string type = format.type == "auto" ? detect_type(head, path) : format.type;
  if (type == "npz") return open_npz(RandomAccess::open(path), format.array);
  source = with_prefix(std::move(head), std::move(source));
  if (type == "npy") return open_npy(std::move(source));
  return open_csv(std::move(source), format);
}

InputError no_rows(const RowSource& source) {
  return InputError(source.name() + ": no data rows after the header; expected at least one");
}

}  // namespace ae::data
