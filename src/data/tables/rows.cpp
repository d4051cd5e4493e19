#include "data/tables/rows.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/tables/colvar_rows.hpp"
#include "data/tables/csv.hpp"
#include "data/tables/npy_rows.hpp"

namespace ae::data {
namespace {

using Bytes = std::unique_ptr<ByteSource>;

// Other comments and blank lines may stand above the names.
bool begins_colvar(std::string_view head) {
  while (!head.empty()) {
    auto line = head.substr(0, head.find('\n'));
    head.remove_prefix(std::min(line.size() + 1, head.size()));
    line = trimmed(line.substr(0, line.find('\r')));
    if (line.empty()) continue;
    if (!line.starts_with('#')) return false;
    if (line.starts_with("#!") && trimmed(line.substr(2)).starts_with("FIELDS")) return true;
  }
  return false;
}
bool begins_npz(std::string_view head) { return head.starts_with("PK\3\4") || head.starts_with("PK\5\6"); }

std::unique_ptr<RowSource> open_text(Bytes source, const std::filesystem::path&, const TableFormat& format) {
  return open_csv(std::move(source), format);
}
std::unique_ptr<RowSource> open_simulation(Bytes source, const std::filesystem::path&, const TableFormat&) {
  return open_colvar(std::move(source));
}
std::unique_ptr<RowSource> open_array(Bytes source, const std::filesystem::path&, const TableFormat&) {
  return open_npy(std::move(source));
}
// A ZIP archive begins at its end.
std::unique_ptr<RowSource> open_archive(Bytes, const std::filesystem::path& path, const TableFormat& format) {
  return open_npz(RandomAccess::open(path), format.array);
}

// The first one is what a file that looks like none of them is read as.
constexpr FormatEntry kFormats[] = {
    {"csv", "text with a delimiter (comma, semicolon, tab or any other), RFC 4180 quoting; plain, gzip or Zstandard",
     nullptr, "", open_text},
    {"tsv", "the same with tabs", nullptr, "", open_text},
    {"colvar", "what PLUMED prints of a simulation: names behind \"#! FIELDS\", numbers between blanks", begins_colvar,
     "", open_simulation},
    {"npy", "one NumPy array, [rows, columns] or [rows]; columns are named f0, f1, ...", begins_npy, ".npy",
     open_array},
    {"npz", "one array of a NumPy archive, chosen by /data/array", begins_npz, ".npz", open_archive},
};

const FormatEntry& named_format(const std::string& name) {
  const auto* found = std::ranges::find(kFormats, name, &FormatEntry::name);
  if (found != std::end(kFormats)) return *found;
  std::vector<std::string> names = {"auto"};
  for (const FormatEntry& entry : kFormats) names.emplace_back(entry.name);
  throw UsageError("/data/format: unknown format " + ae::quoted(name) + did_you_mean(name, names) +
                   "; expected one of " + ae::join(names));
}

// By the first bytes, then by the name, so that a damaged array is not read as text.
const FormatEntry& detect_format(std::string_view head, const std::filesystem::path& path) {
  for (const FormatEntry& entry : kFormats)
    if (entry.begins && entry.begins(head)) return entry;
  const std::string extension = path.extension().string();
  for (const FormatEntry& entry : kFormats)
    if (!entry.extension.empty() && entry.extension == extension) return entry;
  return kFormats[0];
}

void refuse_folder(const std::filesystem::path& path) {
  std::error_code ignored;
  if (path == "-" || !std::filesystem::is_directory(path, ignored)) return;
  std::vector<std::string> files;
  for (auto file = std::filesystem::directory_iterator(path, ignored);
       !ignored && file != std::filesystem::directory_iterator(); file.increment(ignored)) {
    files.push_back(file->path().filename().string());
  }
  if (const FileType* const type = recognise_folder(files)) throw wrong_kind(path.string(), *type, "table", "a table");
  throw InputError(path.string() + ": cannot read: Is a directory, expected a table; if it holds images, " +
                   for_type("images"));
}

}  // namespace

std::span<const FormatEntry> formats() { return kFormats; }

std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path, const TableFormat& format) {
  const FormatEntry* const given = format.type == "auto" ? nullptr : &named_format(format.type);
  refuse_folder(path);
  auto source = ByteSource::open(path);
  if (given) return given->open(std::move(source), path, format);
  std::string head = read_head(*source);
  const FileType* const type = recognise(head);
  if (type && type->kind != "table") throw wrong_kind(source->name(), *type, "table", "a table");
  const FormatEntry& detected = detect_format(head, path);
  return detected.open(with_prefix(std::move(head), std::move(source)), path, format);
}

InputError no_rows(const RowSource& source) {
  return InputError(source.name() + ": no data rows after the header; expected at least one");
}

}  // namespace ae::data
