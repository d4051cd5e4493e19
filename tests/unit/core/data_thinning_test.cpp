// Molecules dealt out to two parts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/counts/thinning.hpp"
#include "support/errors.hpp"

namespace ae::data::thinning_test {
namespace {

CellCounts sample(std::int64_t cells) {
  CellCounts counts;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    for (std::int32_t gene = 0; gene < 50; ++gene) {
      const auto count = (cell * 7 + gene * 3) % 11;
      if (count == 0) continue;
      counts.genes.push_back(gene);
      counts.counts.push_back(static_cast<float>(count));
    }
    counts.begins.push_back(std::ssize(counts.genes));
  }
  return counts;
}

float at(const CellCounts& counts, std::int64_t cell, std::int32_t gene) {
  const auto genes = counts.view().genes_of(cell);
  const auto found = std::find(genes.begin(), genes.end(), gene);
  return found == genes.end() ? 0 : counts.view().counts_of(cell)[static_cast<std::size_t>(found - genes.begin())];
}

TEST(Thinning, LosesNoMolecule) {
  const auto counts = sample(40);
  const auto parts = thin(counts.view(), 0, 1, 0.1);
  for (std::int64_t cell = 0; cell < 40; ++cell)
    for (std::int32_t gene = 0; gene < 50; ++gene)
      EXPECT_EQ(at(parts.kept, cell, gene) + at(parts.held_out, cell, gene), at(counts, cell, gene));
  for (const float count : parts.kept.counts) EXPECT_GT(count, 0);
}

TEST(Thinning, DependsOnNoBlocks) {
  const auto counts = sample(40);
  const auto whole = thin(counts.view(), 0, 1, 0.1);
  CellCounts joined, piece;
  for (std::int64_t begin = 0; begin < 40; begin += 7) {
    piece.clear();
    piece.append(counts.view(), begin, std::min<std::int64_t>(begin + 7, 40));
    const auto part = thin(piece.view(), begin, 1, 0.1).held_out;
    joined.append(part.view(), 0, part.cells());
  }
  EXPECT_EQ(joined.begins, whole.held_out.begins);
  EXPECT_EQ(joined.genes, whole.held_out.genes);
  EXPECT_EQ(joined.counts, whole.held_out.counts);
  EXPECT_NE(thin(counts.view(), 0, 2, 0.1).held_out.genes, whole.held_out.genes);
}

TEST(Thinning, IsBinomial) {
  constexpr std::int64_t kCount = 20, kDraws = 20'000;
  constexpr double kShare = 0.1;
  double sum = 0, squares = 0;
  for (std::int64_t cell = 0; cell < kDraws; ++cell) {
    const auto taken = static_cast<double>(held_out_molecules(4, cell, 3, kCount, kShare));
    sum += taken;
    squares += taken * taken;
  }
  const double mean = sum / kDraws, variance = squares / kDraws - mean * mean;
  EXPECT_NEAR(mean, 2, 5 * std::sqrt(1.8 / kDraws));
  EXPECT_NEAR(variance, 1.8, 5 * 1.8 * std::sqrt(2.0 / kDraws));
}

TEST(Thinning, NeedsWholeMolecules) {
  auto counts = sample(2);
  counts.counts[3] = 1.5f;
  EXPECT_NE(test::error_of<InputError>([&] { thin(counts.view(), 10, 1, 0.1); }).find("cell 10, gene 4: found 1.5"),
            std::string::npos);
}

}  // namespace
}  // namespace ae::data::thinning_test
