#include "data/counts/thinning.hpp"

#include <cmath>
#include <string>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

void add(CellCounts& to, std::int32_t gene, std::int64_t count) {
  if (count == 0) return;
  to.genes.push_back(gene);
  to.counts.push_back(static_cast<float>(count));
}

}  // namespace

std::int64_t held_out_molecules(std::uint64_t seed, std::int64_t cell, std::int32_t gene, std::int64_t count,
                                double share) {
  Random random(stream_key(seed, "thinning", static_cast<std::uint64_t>(cell), static_cast<std::uint64_t>(gene)));
  std::int64_t taken = 0;
  for (std::int64_t molecule = 0; molecule < count; ++molecule) taken += random.uniform() < share;
  return taken;
}

ThinnedCounts thin(const CountView& counts, std::int64_t first_cell, std::uint64_t seed, double share) {
  ThinnedCounts parts;
  for (std::int64_t cell = 0; cell < counts.cells; ++cell) {
    throw_if_stopped("thinning");
    const auto genes = counts.genes_of(cell);
    const auto of_cell = counts.counts_of(cell);
    for (std::size_t e = 0; e < genes.size(); ++e) {
      const float count = of_cell[e];
      if (count < 0 || count != std::floor(count))
        throw InputError("cell " + std::to_string(first_cell + cell) + ", gene " + std::to_string(genes[e]) +
                         ": found " + number_text(count) +
                         "; thinning deals out single molecules and needs whole numbers: give raw counts (/data/layer "
                         "may name them), or evaluate by masked entries");
      if (count > kLargestExactCount)
        throw InputError("cell " + std::to_string(first_cell + cell) + ", gene " + std::to_string(genes[e]) +
                         ": found " + number_text(count) +
                         " molecules, which cannot be dealt out one by one; expected " +
                         number_text(kLargestExactCount) + " at most");
      const auto taken = held_out_molecules(seed, first_cell + cell, genes[e], static_cast<std::int64_t>(count), share);
      add(parts.kept, genes[e], static_cast<std::int64_t>(count) - taken);
      add(parts.held_out, genes[e], taken);
    }
    parts.kept.begins.push_back(std::ssize(parts.kept.genes));
    parts.held_out.begins.push_back(std::ssize(parts.held_out.genes));
  }
  return parts;
}

}  // namespace ae::data
