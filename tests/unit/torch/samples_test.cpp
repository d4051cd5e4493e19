#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>
#include <vector>

#include "model/batch.hpp"

namespace ae::model::samples_test {
namespace {

// Samples that are nowhere whole: they are made when they are asked for.
class Made final : public Samples {
 public:
  std::int64_t size() const override { return 50; }
  Batch batch(const std::vector<std::int64_t>& indices) const override {
    auto values = torch::empty({3, std::ssize(indices)});
    for (std::int64_t e = 0; e < 3; ++e) {
      for (std::size_t i = 0; i < indices.size(); ++i) {
        values[e][static_cast<std::int64_t>(i)] = static_cast<float>(100 * e + indices[i]);
      }
    }
    return {values.t(), (values.t() > 100).to(torch::kFloat32)};  // not contiguous
  }
  Batch range(std::int64_t, std::int64_t) const override { return {}; }
  bool has_missing() const override { return true; }
};

const std::vector<std::int64_t> kIndices{7, 0, 49, 7};

TEST(Samples, AreGatheredAsTheirBatchIs) {
  std::vector<float> values(12, -1), observed(12, -1);
  Made().gather(kIndices, values.data(), observed.data());
  EXPECT_EQ(values, (std::vector<float>{7, 107, 207, 0, 100, 200, 49, 149, 249, 7, 107, 207}));
  EXPECT_EQ(observed, (std::vector<float>{0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 1}));
}

TEST(Samples, AreGatheredWithoutMasksWhereNobodyAsks) {
  std::vector<float> values(12, -1);
  Made().gather(kIndices, values.data(), nullptr);
  EXPECT_EQ(values, (std::vector<float>{7, 107, 207, 0, 100, 200, 49, 149, 249, 7, 107, 207}));
}

// Of 50 rows and 3 elements: in memory, mapped, and as a view that is not contiguous.
std::vector<std::unique_ptr<TableSamples>> tables(std::vector<float>& values, std::vector<float>& observed) {
  for (int i = 0; i < 150; ++i) {
    values.push_back(static_cast<float>(i));
    observed.push_back(i % 4 > 0 ? 1.0f : 0.0f);
  }
  const auto mapped = mapped_batch(values.data(), observed.data(), 50, 3, nullptr);
  std::vector<std::unique_ptr<TableSamples>> tables;
  tables.push_back(std::make_unique<TableSamples>(mapped));
  tables.push_back(std::make_unique<TableSamples>(Batch{mapped.values.clone(), mapped.observed.clone()}));
  tables.push_back(
      std::make_unique<TableSamples>(Batch{mapped.values.t().contiguous().t(), mapped.observed.t().contiguous().t()}));
  return tables;
}

TEST(Samples, OfTablesAreGatheredFromWhereTheyLie) {
  std::vector<float> all_values, all_observed;
  for (const auto& table : tables(all_values, all_observed)) {
    std::vector<float> values(12, -1), observed(12, -1), alone(12, -1);
    table->gather(kIndices, values.data(), observed.data());
    table->gather(kIndices, alone.data(), nullptr);
    EXPECT_EQ(values, (std::vector<float>{21, 22, 23, 0, 1, 2, 147, 148, 149, 21, 22, 23}));
    EXPECT_EQ(observed, (std::vector<float>{1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1}));
    EXPECT_EQ(alone, values);
    table->gather({}, nullptr, nullptr);
  }
}

TEST(Blocks, AreWholePiecesWithinABudgetOfCells) {
  for (std::int64_t elements = 1; elements < 3'000'000; elements += 1 + elements / 7) {
    const std::int64_t piece = piece_rows(elements), block = block_rows(elements, elements, 1);
    EXPECT_EQ(block % piece, 0) << elements;
    EXPECT_EQ(256 % piece, 0) << elements;
    EXPECT_LE(block, 4096);
    EXPECT_GE(block, piece);
    if (elements <= 4096) {
      EXPECT_EQ(piece, 256) << elements;
    } else if (piece > 1) {
      EXPECT_LE(piece * elements, 1 << 19) << elements;
      EXPECT_GT(2 * piece * elements, 1 << 19) << elements;
    }
    if (block > 1) {
      EXPECT_LE(block * elements, 1 << 20) << elements;
    }
    if (block < 4096) {
      EXPECT_GT((block + piece) * elements, 1 << 20) << elements;
    }
  }
}

TEST(Blocks, OfNarrowTablesAreAsLargeAsEver) {
  for (const std::int64_t elements : {1, 20, 200, 256}) EXPECT_EQ(block_rows(elements, elements, 2), 4096);
}

TEST(Blocks, AreSmallerWhereCategoriesHaveManyLevels) {
  EXPECT_EQ(block_rows(20, 20'000, 1), 256);
  EXPECT_EQ(block_rows(20, 1000, 1), 1024);
}

TEST(Blocks, GiveEveryThreadAPiece) {
  EXPECT_EQ(block_rows(4000, 4000, 1), 256);
  EXPECT_EQ(block_rows(4000, 4000, 3), 3 * 256);
  EXPECT_EQ(block_rows(20'000, 20'000, 1), 48);
  EXPECT_EQ(block_rows(20'000, 20'000, 8), 8 * 16);
  EXPECT_EQ(block_rows(20, 20, 64), 4096);
}

}  // namespace
}  // namespace ae::model::samples_test
