// Matrices of cells x genes as text and arrays: what stands in the files, byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "base/files.hpp"
#include "data/bytes/npy.hpp"
#include "data/counts/matrix_market.hpp"
#include "data/counts/readers.hpp"
#include "data/counts/writer.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::count_writers_test {
namespace {

using testing::HasSubstr;
using Rows = std::vector<std::vector<float>>;

constexpr std::array kWriters{&kCsvMatrix, &kTsvMatrix, &kMatrixMarket, &kNpyMatrix};
const Rows kRows{{0.5f, 0, 0.1f}, {0, 0, 0}, {1e20f, 3, 0}};

class CountWriters : public ::testing::Test {
 protected:
  // Three cells without a count: what is written is given.
  static CountsInMemory cells(bool genes_are_rows = false,
                              std::vector<std::string> names = {"c0", "say \"c1\"", "c2"}) {
    CellCounts counts;
    for (int i = 0; i < 3; ++i) counts.end_cell();
    SilentReporter silent;
    return CountsInMemory("in.mtx", std::move(counts), std::move(names), {"A", "B,2", "C\t3"}, genes_are_rows, silent);
  }

  // The file's bytes.
  std::string written(const std::string& name, CountSource& counts, const Rows& rows, bool sparse = false,
                      bool whole = false) const {
    const auto path = folder_.path() / name;
    Output output = Output::open(path, true);
    MatrixAbout about{counts, "in.mtx", ""};
    about.whole = whole;
    about.sparse = sparse;
    const auto writer = make_matrix_writer(output, about, kWriters);
    for (const auto& row : rows) {
      if (!sparse) {
        writer->add(row);
        continue;
      }
      std::vector<std::int32_t> genes;
      std::vector<float> values;
      for (std::size_t gene = 0; gene < row.size(); ++gene) {
        if (row[gene] == 0) continue;
        genes.push_back(static_cast<std::int32_t>(gene));
        values.push_back(row[gene]);
      }
      writer->add_sparse(genes, values);
    }
    writer->finish();
    output.commit();
    return read_file(path, FileKind::data);
  }

  const test::TemporaryFolder folder_;
};

TEST_F(CountWriters, TablesHaveALineForEachCell) {
  auto counts = cells();
  const std::string lines = "c0,0.5,0,0.1\n\"say \"\"c1\"\"\",0,0,0\nc2,1e+20,3,0\n";
  EXPECT_EQ(written("x.csv", counts, kRows), "cell,A,\"B,2\",C\t3\n" + lines);
  EXPECT_EQ(written("x.csv", counts, kRows, true), "cell,A,\"B,2\",C\t3\n" + lines);
  std::string tabs = lines;
  std::ranges::replace(tabs, ',', '\t');
  EXPECT_EQ(written("X.TSV", counts, kRows), "cell\tA\tB,2\t\"C\t3\"\n" + tabs);
  auto nameless = cells(false, {});
  EXPECT_THAT(written("x.csv", nameless, kRows), HasSubstr("\n0,0.5,0,0.1\n1,0,0,0\n2,"));
}

TEST_F(CountWriters, MatrixMarketStandsAsTheInputDoes) {
  auto counts = cells(), turned = cells(true);
  const std::string head = "%%MatrixMarket matrix coordinate real general\n% rows are ";
  const std::string by_cells = head +
                               "cells, columns are genes, in the order of the input\n3 3 4\n1 1 0.5\n1 3 0.1\n"
                               "3 1 1e+20\n3 2 3\n",
                    by_genes = head +
                               "genes, columns are cells, in the order of the input\n3 3 4\n1 1 0.5\n3 1 0.1\n"
                               "1 3 1e+20\n2 3 3\n";
  EXPECT_EQ(written("x.mtx", counts, kRows), by_cells);
  EXPECT_EQ(written("x.mtx", counts, kRows, true), by_cells);
  EXPECT_EQ(written("x.mtx", turned, kRows), by_genes);
  EXPECT_EQ(
      written("x.mtx", counts, {{0, 16777216, 0}, {1000000, 0, 0}, {0, 0, 0}}, false, true),
      "%%MatrixMarket matrix coordinate integer general\n% rows are cells, columns are genes, in the order of the "
      "input\n3 3 2\n1 2 16777216\n2 1 1000000\n");
}

TEST_F(CountWriters, CompressedMatricesReadBack) {
  auto counts = cells();
  const std::string bytes = written("x.mtx.gz", counts, kRows);
  EXPECT_TRUE(bytes.starts_with("\x1f\x8b"));
  MatrixMarket matrix(ByteSource::open(folder_.path() / "x.mtx.gz"));
  const std::vector<std::int32_t> places{0, 1, 2};
  SilentReporter silent;
  const auto back = matrix.read(false, places, silent);
  EXPECT_EQ(back.genes, (std::vector<std::int32_t>{0, 2, 0, 1}));
  EXPECT_EQ(back.counts, (std::vector<float>{0.5f, 0.1f, 1e20f, 3}));
  EXPECT_EQ(back.begins, (std::vector<std::int64_t>{0, 2, 2, 4}));
  EXPECT_EQ(written("x.mtx.gz", counts, kRows), bytes);  // no time, no name
}

TEST_F(CountWriters, ArraysAreNumPys) {
  auto counts = cells();
  const std::vector<float> values{0.5f, 0, 0.1f, 0, 0, 0, 1e20f, 3, 0};
  EXPECT_EQ(written("x.npy", counts, kRows), to_npy(values, 3, 3));
  EXPECT_EQ(written("x.npy", counts, kRows, true), to_npy(values, 3, 3));
}

TEST_F(CountWriters, WhatCannotBeWrittenIsTold) {
  auto counts = cells();
  const auto nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(test::error_of<RunError>([&] {
              written("x.csv", counts, {{0, 0, 0}, {0, nan, 0}});
            }),
            "in.mtx: cell \"say \\\"c1\\\"\", gene \"B,2\" would get nan; the model is not usable for such counts");
  EXPECT_THAT(test::error_of<RunError>([&] {
                written("x.csv", counts, {{0, 0, -inf}}, true);
              }),
              HasSubstr("gene \"C\\t3\" would get -inf"));
  EXPECT_THROW(written("x.csv", counts, {{0, 0, 0}}), std::logic_error);
  EXPECT_THROW(written("x.csv", counts, {{0, 0}, {0, 0}, {0, 0}}), std::logic_error);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "x.csv"));
  for (const char* name : {"x.h5", "x", "x.npy.gz", "csv"}) {
    EXPECT_THAT(test::error_of<UsageError>([&] { matrix_format(name, kWriters); }),
                HasSubstr("use .csv[.gz] or .tsv[.gz] or .mtx[.gz] or .npy"))
        << name;
  }
  EXPECT_EQ(&matrix_format("-", kWriters), &kCsvMatrix);
}

}  // namespace
}  // namespace ae::data::count_writers_test
