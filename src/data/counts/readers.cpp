#include "data/counts/readers.hpp"

#include <algorithm>
#include <set>
#include <system_error>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {

std::unique_ptr<CountSource> open_counts(const std::filesystem::path& path, std::span<const CountReader* const> readers,
                                         const CountFormat& format, Reporter& reporter) {
  if (path == "-") {
    throw UsageError(
        "/data/path: a matrix of counts is not read from standard input; give the name of a file or folder");
  }
  std::error_code ignored;
  std::string head;
  std::unique_ptr<ByteSource> file;
  if (!std::filesystem::is_directory(path, ignored)) {
    file = ByteSource::open(path);
    head = read_head(*file);
  }
  for (const auto* reader : readers) {
    if (reader->reads(path, head)) return reader->open(path, format, reporter);
  }
  constexpr std::string_view kExpected = "a 10x folder, an .h5ad, .h5, .mtx or .csv file of counts";
  if (begins_npy(head)) {
    const auto header = read_npy_header(*with_prefix(head, std::move(file)));
    const std::string what = "an NPY array of shape " + npy_shape_text(header.shape);
    throw wrong_kind(path.string(), {what, npy_kind(header.shape), "save it as [rows, columns], which is a table"},
                     "counts", kExpected);
  }
  if (const auto* found = recognise(head)) throw wrong_kind(path.string(), *found, "counts", kExpected);
  throw InputError(path.string() + ": found neither by its beginning nor by its name what it is, expected " +
                   std::string(kExpected));
}

std::vector<std::int32_t> wanted_features(const std::string& file, const Features& features, const CountFormat& format,
                                          Reporter& reporter) {
  std::vector<std::int32_t> places(features.ids.size(), -1);
  std::int32_t next = 0;
  std::set<std::string> others;
  const bool several = std::ranges::any_of(features.types, [&](const auto& type) { return type != format.other_than; });
  const auto wanted = [&](const std::string& type) {
    if (!format.other_than.empty()) return !several || type != format.other_than;
    return format.feature_type.empty() || type == format.feature_type;
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (features.types.empty() || wanted(features.types[i])) {
      places[i] = next++;
    } else {
      others.insert(features.types[i]);
    }
  }
  if (others.empty()) return places;
  const std::vector<std::string> names(others.begin(), others.end());
  if (next == 0) {
    throw UsageError("/data/feature_type: no feature of " + file + " is of type " + ae::quoted(format.feature_type) +
                     "; its types are: " + join(names) + "; name one of them, or \"\" for all");
  }
  reporter.info(file + ": " + std::to_string(next) + " of " + std::to_string(places.size()) + " features are of " +
                (format.other_than.empty() ? "type " + ae::quoted(format.feature_type) : "other types") +
                "; these are not read: " + join(names));
  return places;
}

std::vector<std::string> wanted_names(Features features, const std::vector<std::int32_t>& places,
                                      const CountFormat& format) {
  auto& all = format.gene_names == "id" ? features.ids : features.symbols;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (places[i] >= 0) names.push_back(std::move(all[i]));
  return names;
}

CountsInMemory::CountsInMemory(std::string name, CellCounts counts, std::vector<std::string> cell_names,
                               std::vector<std::string> genes, bool genes_are_rows, Reporter& reporter)
    : CountSource(std::move(name)), counts_(std::move(counts)) {
  set_names(counts_.cells(), std::move(cell_names), std::move(genes), reporter);
  set_genes_are_rows(genes_are_rows);
}

void CountsInMemory::append(std::int64_t begin, std::int64_t end, CellCounts& counts) {
  counts.append(counts_.view(), begin, end);
}

}  // namespace ae::data
