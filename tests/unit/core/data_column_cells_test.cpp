#include "data/tables/column_cells.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace ae::data::column_cells_test {
namespace {

class Cells : public testing::TestWithParam<bool> {
 protected:
  CellRoom room(std::size_t piece) {
    if (GetParam()) scratch_ = std::make_unique<ScratchFile>(std::filesystem::temp_directory_path());
    return {scratch_.get(), piece};
  }
  std::unique_ptr<ScratchFile> scratch_;
};

TEST_P(Cells, ComeBackInOrder) {
  for (const int count : {0, 1, 9, 10, 11, 20, 95}) {
    const CellRoom shared = room(10);
    ColumnCells<double> a(shared);
    ColumnCells<std::int32_t> b(shared);
    for (int i = 0; i < count; ++i) {
      a.push_back(i / 7.0);
      b.push_back(-i);
    }
    ASSERT_EQ(a.size(), static_cast<std::size_t>(count));
    int seen = 0;
    a.for_each([&](std::size_t index, double cell) {
      EXPECT_EQ(index, static_cast<std::size_t>(seen));
      EXPECT_EQ(cell, seen++ / 7.0);
    });
    EXPECT_EQ(seen, count);
    std::vector<std::int32_t> buffer;
    for (int begin = 0, p = 0; begin < count; begin += 10, ++p) {
      const auto piece = b.piece(static_cast<std::size_t>(p), buffer);
      ASSERT_EQ(piece.size(), static_cast<std::size_t>(std::min(10, count - begin)));
      EXPECT_EQ(piece[0], -begin);
      EXPECT_EQ(piece.back(), -begin - static_cast<int>(piece.size()) + 1);
      b.release(static_cast<std::size_t>(p));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ColumnCells, Cells, testing::Bool());

}  // namespace
}  // namespace ae::data::column_cells_test
