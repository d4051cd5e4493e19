// What counts and other cells tell of genes, of simulated cells whose true amounts are known.
#include "recipe/gene_support.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "base/random.hpp"
#include "data/counts/matrix.hpp"

namespace ae::recipe::gene_support_test {
namespace {

struct Simulated {
  data::PreparedCounts prepared;
  std::vector<std::vector<double>> truth;  // [gene][cell]: log(1 + true amount)
  std::vector<std::vector<double>> seen;   // [gene][cell]: log(1 + count)
};

// `rate`: molecules to be expected of a gene in a cell.
Simulated simulate(std::int64_t cells, std::int64_t genes,
                   const std::function<double(std::int64_t, std::int64_t)>& rate, double scale = 1) {
  std::mt19937_64 random(3);
  Simulated made;
  made.truth.resize(static_cast<std::size_t>(genes));
  made.seen.resize(static_cast<std::size_t>(genes));
  auto counts = std::make_shared<data::CellCounts>();
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    for (std::int64_t gene = 0; gene < genes; ++gene) {
      const double mean = rate(cell, gene);
      const double count = static_cast<double>(std::poisson_distribution<int>(mean)(random)) * scale;
      made.truth[static_cast<std::size_t>(gene)].push_back(std::log1p(mean));
      made.seen[static_cast<std::size_t>(gene)].push_back(std::log1p(count));
      if (count == 0) continue;
      counts->genes.push_back(static_cast<std::int32_t>(gene));
      counts->counts.push_back(static_cast<float>(std::log1p(count)));
    }
    counts->begins.push_back(std::ssize(counts->genes));
    made.prepared.training.push_back(cell);
    made.prepared.factors.push_back(1);
  }
  for (std::int64_t gene = 0; gene < genes; ++gene)
    made.prepared.schema.selected.push_back(static_cast<std::int32_t>(gene));
  made.prepared.schema.scale.log1p = true;
  made.prepared.cells = counts->view();
  made.prepared.owner = counts;
  return made;
}

double squared_correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    ma += a[i] / static_cast<double>(a.size()), mb += b[i] / static_cast<double>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
  }
  return ab * ab / (aa * bb);
}

// Two types of cells. Genes 0-9 follow the type and are read seldom, 10-19 are in a fifth of the cells, each in others,
// and read well, 20-59 follow the type and are read well, so that cells alike are found.
double two_types(std::int64_t cell, std::int64_t gene) {
  const bool second = cell % 2 == 1;
  if (gene < 10) return second ? 0.9 : 0.05;
  if (gene < 20) return mix64(static_cast<std::uint64_t>(cell * 64 + gene)) % 5 == 0 ? 12 : 0.05;
  return (gene % 2 == 0) == second ? 8 : 2;
}

TEST(GeneSupport, IsTheSquaredCorrelationWithWhatIsThere) {
  auto made = simulate(1000, 60, two_types);
  SilentReporter silent;
  tell_gene_support(made.prepared, {}, 1, silent);
  const auto& schema = made.prepared.schema;
  ASSERT_EQ(schema.reliability.size(), 60u);
  for (std::size_t gene = 0; gene < 60; ++gene) {
    EXPECT_NEAR(schema.reliability[gene], squared_correlation(made.seen[gene], made.truth[gene]), 0.1) << gene;
    // Cells alike tell the type: all of what follows it, nothing of what does not.
    if (gene < 10) {
      EXPECT_GT(schema.told[gene], 0.6) << gene;
      EXPECT_GT(schema.told[gene], schema.reliability[gene]) << gene;
    } else if (gene < 20) {
      EXPECT_LT(schema.told[gene], 0.1) << gene;
      EXPECT_GT(schema.reliability[gene], 0.8) << gene;
    }
  }
  auto again = simulate(1000, 60, two_types);
  tell_gene_support(again.prepared, {}, 1, silent);
  EXPECT_EQ(again.prepared.schema.told, schema.told);
}

TEST(GeneSupport, IsNotToldWhereItCannotBe) {
  SilentReporter silent;
  const auto told = [&](Simulated made, const data::CountOptions& options) {
    tell_gene_support(made.prepared, options, 1, silent);
    return !made.prepared.schema.told.empty();
  };
  data::CountOptions options;
  EXPECT_TRUE(told(simulate(60, 30, two_types), options));
  EXPECT_FALSE(told(simulate(40, 30, two_types), options));       // few cells
  EXPECT_FALSE(told(simulate(60, 30, two_types, 0.3), options));  // no whole numbers
  options.zero_as_missing = true;
  EXPECT_FALSE(told(simulate(60, 30, two_types), options));
}

}  // namespace
}  // namespace ae::recipe::gene_support_test
