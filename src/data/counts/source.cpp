#include "data/counts/source.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

namespace ae::data {
namespace {

// How many names were there before, and the first of them.
Renamed repeated(const std::vector<std::string>& names) {
  Renamed found;
  std::unordered_set<std::string_view> seen;
  for (const auto& name : names) {
    if (seen.insert(name).second) continue;
    if (found.count++ == 0) found.first = name;
  }
  return found;
}

void check_text(const std::string& file, const std::vector<std::string>& names, const char* what) {
  for (const auto& name : names) {
    if (is_utf8(name)) continue;
    throw InputError(file + ": a " + what + " is named " + ae::quoted(name) +
                     ", which is not UTF-8; convert the file, for example with: iconv -f latin1 -t utf-8");
  }
}

}  // namespace

std::vector<std::string> numbered_names(std::int64_t count) {
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) names.push_back("f" + std::to_string(i));
  return names;
}

std::string examples_of(std::span<const std::string> names) {
  constexpr std::size_t kShown = 2;
  std::vector<std::string> shown;
  for (const auto& name : names.first(std::min(kShown, names.size()))) shown.push_back(ae::quoted(name));
  return shown.empty() ? "none" : join(shown);
}

Renamed make_unique(std::vector<std::string>& names) {
  const Renamed twice = repeated(names);
  if (twice.count == 0) return twice;
  std::unordered_set<std::string> taken(names.begin(), names.end()), seen;
  std::unordered_map<std::string, std::int64_t> next;
  for (auto& name : names) {
    if (seen.insert(name).second) continue;
    auto& number = next.try_emplace(name, 1).first->second;
    std::string unique;
    do unique = name + "-" + std::to_string(number++);
    while (!taken.insert(unique).second);
    seen.insert(unique);
    name = std::move(unique);
  }
  return twice;
}

CellTexts CountSource::annotation(const std::string& column) {
  throw UsageError("/data/label: " + name_ + " says nothing of its cells but their names, so there is no column " +
                   ae::quoted(column) + "; leave it out, or give an .h5ad file whose obs has it");
}

void CountSource::set_names(std::int64_t cells, std::vector<std::string> cell_names, std::vector<std::string> genes,
                            Reporter& reporter) {
  check_text(name_, cell_names, "cell");
  check_text(name_, genes, "gene");
  cells_ = cells;
  cell_names_ = std::move(cell_names);
  genes_ = std::move(genes);
  if (const auto twice = repeated(cell_names_); twice.count > 0) {
    reporter.warning(name_ + ": " + std::to_string(twice.count) + (twice.count == 1 ? " cell has" : " cells have") +
                     " a name that was there before, as " + ae::quoted(twice.first) +
                     "; they stay as they are, told apart by "
                     "their order alone");
  }
  if (const auto renamed = make_unique(genes_); renamed.count > 0) {
    reporter.warning(name_ + ": " + std::to_string(renamed.count) + (renamed.count == 1 ? " gene has" : " genes have") +
                     " a name that was there before, as " + ae::quoted(renamed.first) +
                     "; from the second on they are called " + ae::quoted(renamed.first + "-1") + " and so on");
  }
}

std::string CountSource::place(std::int64_t cell, std::int32_t gene) const {
  const auto i = static_cast<std::size_t>(cell);
  return name_ + ": cell " + (i < cell_names_.size() ? ae::quoted(cell_names_[i]) : std::to_string(cell)) + ", gene " +
         ae::quoted(genes_[static_cast<std::size_t>(gene)]);
}

void CountSource::check(const CellCounts& counts, std::int64_t first_cell, std::int64_t of_file) {
  for (std::int64_t cell = first_cell; cell < counts.cells(); ++cell) {
    for (auto i = counts.begins[static_cast<std::size_t>(cell)]; i < counts.begins[static_cast<std::size_t>(cell) + 1];
         ++i) {
      const float count = counts.counts[static_cast<std::size_t>(i)];
      const bool fits = count > 0 && count < kLargestExactCount;
      if (fits && count == static_cast<float>(static_cast<std::int32_t>(count))) [[likely]]
        continue;
      const auto where = [&] { return place(of_file + cell - first_cell, counts.genes[static_cast<std::size_t>(i)]); };
      if (!(count > 0) || std::isinf(count)) {
        throw InputError(where() + " holds " + number_text(static_cast<double>(count)) +
                         ", expected a count, 0 or more; give the counts as they were before they were scaled, in "
                         "AnnData with /data/layer");
      }
      auto& number = fits ? fractions_ : inexact_;
      if (number++ == 0)
        (fits ? first_fraction_ : first_inexact_) = where() + " holds " + number_text(static_cast<double>(count));
    }
  }
}

void CountSource::read(std::int64_t begin, std::int64_t end, CellCounts& counts) {
  const std::int64_t before = counts.cells();
  append(begin, end, counts);
  check(counts, before, begin);
}

void CountSource::report(Reporter& reporter) const {
  const auto tell = [&](std::int64_t count, const std::string& first, const char* one, const char* several) {
    if (count == 0) return;
    reporter.warning(count == 1 ? first + ", " + one
                                : first + " (and " + std::to_string(count - 1) + " more), " + several);
  };
  tell(fractions_, first_fraction_,
       "which is no whole number: was it scaled already? Raw counts are expected; in AnnData /data/layer chooses them",
       "which are no whole numbers: were they scaled already? Raw counts are expected; in AnnData /data/layer chooses "
       "them");
  tell(inexact_, first_inexact_, "which is above 16777216, beyond which counts are rounded",
       "which are above 16777216, beyond which counts are rounded");
}

}  // namespace ae::data
