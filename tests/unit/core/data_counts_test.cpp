// Matrices of counts: the readers of text formats, and what becomes of counts before a network sees them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/files.hpp"
#include "base/random.hpp"
#include "data/counts/matrix_market.hpp"
#include "data/counts/normalise.hpp"
#include "data/counts/options.hpp"
#include "data/counts/readers.hpp"
#include "support/byte_sources.hpp"
#include "support/deflate.hpp"
#include "support/errors.hpp"
#include "support/recording_reporter.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::counts_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using Dense = std::vector<std::vector<double>>;

constexpr std::array kReaders{&kMatrixMarketFolder, &kMatrixMarketFile, &kCountTable};

Dense dense(const CountView& counts, std::int64_t genes) {
  Dense all(static_cast<std::size_t>(counts.cells), std::vector<double>(static_cast<std::size_t>(genes), 0));
  for (std::int64_t cell = 0; cell < counts.cells; ++cell) {
    const auto numbers = counts.genes_of(cell);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_TRUE(i == 0 || numbers[i] > numbers[i - 1]);
      EXPECT_NE(counts.counts_of(cell)[i], 0);
      all[static_cast<std::size_t>(cell)][static_cast<std::size_t>(numbers[i])] = counts.counts_of(cell)[i];
    }
  }
  return all;
}

Dense market(const std::string& text, bool genes_are_rows = false) {
  SilentReporter silent;
  MatrixMarket matrix(std::make_unique<test::MemorySource>(text));
  const std::int64_t genes = genes_are_rows ? matrix.rows() : matrix.columns();
  std::vector<std::int32_t> places(static_cast<std::size_t>(genes));
  std::iota(places.begin(), places.end(), 0);
  return dense(matrix.read(genes_are_rows, places, silent).view(), genes);
}

std::string market_error(const std::string& text) {
  return test::error_of<InputError>([&] { market(text); });
}

const std::string kGeneral = "%%MatrixMarket matrix coordinate integer general\n";

TEST(MatrixMarket, EntriesStandWhereTheyAreSaidTo) {
  const std::string text = kGeneral + "% a comment\n\n3 2 4\n1 1 5\n3 1 2\n2 2 7\n1 2 1\n";
  EXPECT_THAT(market(text), ElementsAre(ElementsAre(5, 1), ElementsAre(0, 7), ElementsAre(2, 0)));
  EXPECT_THAT(market(text, true), ElementsAre(ElementsAre(5, 0, 2), ElementsAre(1, 7, 0)));
}

TEST(MatrixMarket, ReadsWhatOtherProgramsWrite) {
  const Dense expected{{1.5, 0}, {3, 2}};
  EXPECT_EQ(market("%%MatrixMarket MATRIX Coordinate REAL General\r\n2 2 3\r\n1 1 1.5000000000000000E+00\r\n2 1 "
                   "3\r\n 2\t2 2.\r\n"),
            expected);
  EXPECT_EQ(market("%%MatrixMarket matrix array real general\n2 2\n1.5\n3\n0\n2\n"), expected);
  EXPECT_EQ(market("%%MatrixMarket matrix coordinate unsigned-integer general\n1 1 1\n1 1 4"), Dense{{4}});
  EXPECT_EQ(market("%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 2\n2 1\n"), (Dense{{0, 1}, {1, 0}}));
}

TEST(MatrixMarket, HalvesOfSymmetricMatricesAreMirrored) {
  EXPECT_EQ(market("%%MatrixMarket matrix coordinate integer symmetric\n3 3 3\n1 1 9\n2 1 4\n3 2 5\n"),
            (Dense{{9, 4, 0}, {4, 0, 5}, {0, 5, 0}}));
  EXPECT_EQ(market("%%MatrixMarket matrix array integer symmetric\n2 2\n1\n2\n3\n"), (Dense{{1, 2}, {2, 3}}));
}

TEST(MatrixMarket, RepeatedEntriesAddUpAndZerosVanish) {
  EXPECT_EQ(market(kGeneral + "2 2 5\n2 2 1\n1 1 2\n2 2 3\n1 2 0\n1 1 2\n"), (Dense{{4, 0}, {0, 4}}));
}

TEST(MatrixMarket, EntriesInAnyOrderGiveTheSameMatrix) {
  std::vector<std::string> entries;
  for (int i = 1; i <= 20; ++i)
    for (int j = 1; j <= 7; ++j)
      if ((i * 31 + j * 17) % 3 == 0) {
        entries.push_back(std::to_string(i) + " " + std::to_string(j) + " " + std::to_string(i * j) + "\n");
      }
  const auto text = [&] {
    std::string all = kGeneral + "20 7 " + std::to_string(entries.size()) + "\n";
    for (const auto& entry : entries) all += entry;
    return all;
  };
  const Dense expected = market(text());
  shuffle(std::span(entries), Random(1));
  EXPECT_EQ(market(text()), expected);
  EXPECT_EQ(market(text(), true).size(), 7u);
}

TEST(MatrixMarket, ErrorsNameTheLine) {
  EXPECT_THAT(market_error(""), HasSubstr("table.csv: is empty"));
  EXPECT_THAT(market_error("1,2\n"), HasSubstr("table.csv:1: found \"1,2\", expected \"%%MatrixMarket"));
  EXPECT_THAT(market_error("%%MatrixMarket matrix coordinate complex general\n"), HasSubstr("\"complex\" numbers"));
  EXPECT_THAT(market_error("%%MatrixMarket matrix coordinate real skew-symmetric\n"), HasSubstr("skew-symmetric"));
  EXPECT_THAT(market_error(kGeneral), HasSubstr("ends before the line with its sizes"));
  EXPECT_THAT(market_error(kGeneral + "3 2\n"), HasSubstr("table.csv:2: found \"3 2\", expected three whole"));
  EXPECT_THAT(market_error(kGeneral + "3 -2 1\n"), HasSubstr(":2: found"));
  EXPECT_THAT(market_error(kGeneral + "2 2 1\n3 1 1\n"), HasSubstr(":3: found \"3 1 1\", expected a row from 1 to 2"));
  EXPECT_THAT(market_error(kGeneral + "2 2 1\n0 1 1\n"), HasSubstr(":3: found"));
  EXPECT_THAT(market_error(kGeneral + "2 2 1\n1 1 x\n"), HasSubstr("expected a number as the third word"));
  EXPECT_THAT(market_error(kGeneral + "2 2 1\n1 1\n"), HasSubstr("expected a number as the third word"));
  EXPECT_THAT(market_error(kGeneral + "2 2 1\n1 1 1 1\n"), HasSubstr("a word too many"));
  EXPECT_THAT(market_error(kGeneral + "2 2 2\n1 1 1\n"), HasSubstr("ends after 1 of 2 entries"));
  EXPECT_THAT(market_error(kGeneral + "2 2 1\n1 1 1\n2 2 2\n"), HasSubstr(":4: found \"2 2 2\" behind the last of 1"));
  EXPECT_THAT(market_error(kGeneral + "2000000000 2 1\n1 1 1\n"), HasSubstr("larger than this file can be"));
}

class CountFiles : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) { write_file(folder_.path() / name, text); }
  void write_folder(const std::string& features_name = "features.tsv", bool types = true) {
    write("matrix.mtx", kGeneral + "3 2 4\n1 1 5\n3 1 2\n2 2 7\n1 2 1\n");
    const std::string type = types ? "\tGene Expression" : "";
    write(features_name, "E1\tCD3" + type + "\nE2\tCD4" + type + "\nE3\tCD3" + type + "\n");
    write("barcodes.tsv", "AAA-1\nCCC-1\n");
  }
  std::unique_ptr<CountSource> open(const std::string& name = "") {
    return open_counts(folder_.path() / name, kReaders, format_, reporter_);
  }
  Dense read(CountSource& source) {
    CellCounts counts;
    source.read(0, source.cells(), counts);
    return dense(counts.view(), std::ssize(source.genes()));
  }
  std::string error(const std::string& name = "") {
    return test::error_of([&] { read(*open(name)); });
  }

  test::TemporaryFolder folder_;
  CountFormat format_;
  test::RecordingReporter reporter_;
  const Dense expected_{{5, 0, 2}, {1, 7, 0}};
};

TEST_F(CountFiles, FoldersOfBothVersionsAreReadAndRepeatedSymbolsTold) {
  for (const bool third : {true, false}) {
    std::filesystem::remove(folder_.path() / "features.tsv");
    write_folder(third ? "features.tsv" : "genes.tsv", third);
    const auto source = open();
    EXPECT_EQ(read(*source), expected_);
    EXPECT_THAT(source->genes(), ElementsAre("CD3", "CD4", "CD3-1"));
    EXPECT_THAT(source->cell_names(), ElementsAre("AAA-1", "CCC-1"));
    ASSERT_EQ(reporter_.warnings.size(), 1u);
    EXPECT_THAT(reporter_.warnings[0], HasSubstr("1 gene has a name that was there before, as \"CD3\""));
    reporter_.warnings.clear();
  }
  format_.gene_names = "id";
  EXPECT_THAT(open()->genes(), ElementsAre("E1", "E2", "E3"));
  EXPECT_TRUE(reporter_.warnings.empty());
}

TEST_F(CountFiles, MembersMayBeCompressedAlsoInSeveralParts) {
  write_folder();
  for (const std::string name : {"matrix.mtx", "features.tsv", "barcodes.tsv"}) {
    const std::string text = read_file(folder_.path() / name, FileKind::data);
    std::string parts;  // as bgzip writes them, and an empty one at the end
    for (std::size_t at = 0; at < text.size(); at += 10) parts += test::gzip(text.substr(at, 10));
    write(name + ".gz", parts + test::gzip(""));
    std::filesystem::remove(folder_.path() / name);
  }
  EXPECT_EQ(read(*open()), expected_);
}

TEST_F(CountFiles, OtherTypesOfFeaturesAreLeftOutAndTold) {
  write_folder();
  write("features.tsv", "E1\tCD3\tAntibody Capture\nE2\tCD4\tGene Expression\nE3\tCD5\tGene Expression\n");
  const auto source = open();
  EXPECT_EQ(read(*source), (Dense{{0, 2}, {7, 0}}));
  EXPECT_THAT(source->genes(), ElementsAre("CD4", "CD5"));
  ASSERT_EQ(reporter_.infos.size(), 1u);
  EXPECT_THAT(reporter_.infos[0], HasSubstr("2 of 3 features are of type \"Gene Expression\""));
  format_.feature_type = "Peaks";
  EXPECT_THAT(error(), HasSubstr("its types are: Antibody Capture, Gene Expression"));
  format_.feature_type = "";
  EXPECT_EQ(read(*open()), expected_);
}

TEST_F(CountFiles, SizesMustFitTheNames) {
  write_folder();
  write("barcodes.tsv", "AAA-1\n");
  EXPECT_THAT(error(), HasSubstr("is 3 x 2, but beside it are 3 genes and 1 barcodes; these files do not belong"));
  write("barcodes.tsv", "AAA-1\nB\n");
  write("matrix.mtx", kGeneral + "2 3 0\n");
  EXPECT_THAT(error(), HasSubstr("set /data/orientation to \"cells_by_genes\""));
  format_.orientation = "cells_by_genes";
  EXPECT_EQ(read(*open()), (Dense{{0, 0, 0}, {0, 0, 0}}));
  std::filesystem::remove(folder_.path() / "barcodes.tsv");
  EXPECT_THAT(error(), HasSubstr("beside it is features.tsv but no barcodes.tsv"));
  std::filesystem::remove(folder_.path() / "matrix.mtx");
  EXPECT_THAT(error(), HasSubstr("has no matrix.mtx"));
  write("a_matrix.mtx", "");
  write("b_matrix.mtx.gz", "");
  EXPECT_THAT(error(), HasSubstr("has several matrices: a_matrix.mtx, b_matrix.mtx.gz"));
}

TEST_F(CountFiles, FilesWithAPrefixBelongTogether) {
  write_folder();
  for (const std::string name : {"matrix.mtx", "features.tsv", "barcodes.tsv"})
    std::filesystem::rename(folder_.path() / name, folder_.path() / ("GSM1_" + name));
  EXPECT_EQ(read(*open()), expected_);
  EXPECT_EQ(read(*open("GSM1_matrix.mtx")), expected_);
}

TEST_F(CountFiles, AMatrixAloneAndATableNeedTheirOrientation) {
  write("counts.mtx", kGeneral + "2 3 4\n1 1 5\n1 3 2\n2 2 7\n2 1 1\n");
  write("cells.csv", ",CD3,CD4,CD5\nAAA-1,5,0,2\nCCC-1,1,7,0\n");
  write("by_genes.tsv.gz", test::gzip("gene\tAAA-1\tCCC-1\nCD3\t5\t1\nCD4\t0\t7\nCD5\t2\t0\n"));
  EXPECT_THAT(error("counts.mtx"), AllOf(HasSubstr("/data/orientation"), HasSubstr("barcodes.tsv beside it")));
  EXPECT_THAT(error("cells.csv"), HasSubstr("/data/orientation"));
  format_.orientation = "cells_by_genes";
  EXPECT_EQ(read(*open("counts.mtx")), expected_);
  EXPECT_THAT(reporter_.infos, ElementsAre(HasSubstr("its genes are called f0, f1 and so on")));
  EXPECT_THAT(open("counts.mtx")->genes(), ElementsAre("f0", "f1", "f2"));
  const auto cells = open("cells.csv");
  EXPECT_EQ(read(*cells), expected_);
  EXPECT_THAT(cells->genes(), ElementsAre("CD3", "CD4", "CD5"));
  EXPECT_THAT(cells->cell_names(), ElementsAre("AAA-1", "CCC-1"));
  format_.orientation = "genes_by_cells";
  const auto genes = open("by_genes.tsv.gz");
  EXPECT_EQ(read(*genes), expected_);
  EXPECT_EQ(genes->genes(), cells->genes());
  EXPECT_EQ(genes->cell_names(), cells->cell_names());
  EXPECT_EQ(open("counts.mtx")->cells(), 3);
}

TEST_F(CountFiles, AModelThatKnowsGenesByNameReadsNoMatrixWithoutNames) {
  write("matrix.mtx", kGeneral + "2 3 4\n1 1 5\n1 3 2\n2 2 7\n2 1 1\n");
  const std::vector<std::string> named{"CD3", "CD4", "CD5"}, numbered{"f0", "f1", "f2"};
  for (const char* orientation : {"auto", "cells_by_genes"}) {
    format_.orientation = orientation;
    format_.known_genes = named;
    for (const char* name : {"", "matrix.mtx"})
      EXPECT_THAT(error(name), AllOf(HasSubstr("matrix.mtx: has no names beside it"), HasSubstr("(\"CD3\", \"CD4\")"),
                                     HasSubstr("features.tsv (or genes.tsv) and barcodes.tsv")));
  }
  format_.known_genes = numbered;
  EXPECT_EQ(read(*open()), expected_);
}

TEST_F(CountFiles, ATableLiesAsTheGenesThatTheModelKnowsStand) {
  const std::vector<std::string> known{"CD3", "CD4", "CD5", "CD8"};
  format_.known_genes = known;
  const auto genes_of = [&](const std::string& name) { return open(name)->genes(); };
  write("cells.csv", "cell,CD3,X1,X2,X3,X4,X5,X6,X7,X8,X9,X10,X11\na,5,0,2,0,0,0,0,0,0,0,0,0\n");
  std::string by_genes = "gene,a,b\n";
  for (int i = 0; i < 1500; ++i) by_genes += "X" + std::to_string(i) + ",1,0\n";
  write("late.csv", by_genes + "CD4,5,7\n");
  for (const char* orientation : {"auto", "cells_by_genes", "genes_by_cells"}) {
    format_.orientation = orientation;
    EXPECT_EQ(genes_of("cells.csv").size(), 12u) << orientation;
    EXPECT_EQ(genes_of("late.csv").size(), 1501u) << orientation;
    EXPECT_EQ(open("late.csv")->cells(), 2) << orientation;
    write("none.csv", "gene\nCD3\nCD4\n");
    EXPECT_EQ(open("none.csv")->cells(), 0) << orientation;
    write("other.csv", "cell,Cd3,Cd4,Cd8a\nm1,1,2,3\nm2,0,0,1\n");
    EXPECT_THAT(error("other.csv"),
                AllOf(EndsWith("(symbols or identifiers, /data/gene_names)?"), Not(HasSubstr("orientation")),
                      HasSubstr("neither its columns (\"Cd3\", \"Cd4\") nor its lines (\"m1\", \"m2\") have names of "
                                "genes that the model knows (\"CD3\", \"CD4\")")));
    write("column.csv", "gene\nX1\nX2\n");
    EXPECT_THAT(error("column.csv"), HasSubstr("has one column"));
  }
  format_.orientation = "auto";
  write("both.csv", "x,CD3,CD4\nCD5,1,2\nCD8,0,1\n");
  EXPECT_THAT(error("both.csv"), HasSubstr("/data/orientation: "));
}

TEST_F(CountFiles, WhatIsNoCountIsRefusedOrTold) {
  format_.orientation = "cells_by_genes";
  write("negative.csv", "cell,CD3,CD4\na,1,2\nb,-1,0\n");
  EXPECT_THAT(error("negative.csv"), HasSubstr("negative.csv: cell \"b\", gene \"CD3\" holds -1, expected a count"));
  write("infinite.csv", "cell,CD3,CD4\na,1,inf\nb,1,0\n");
  EXPECT_THAT(error("infinite.csv"), HasSubstr("holds inf, expected a count"));
  write("text.csv", "cell,CD3,CD4\na,1,2\nb,low,0\n");
  EXPECT_THAT(error("text.csv"), HasSubstr("text.csv:3:3: found \"low\", expected a count"));
  write("scaled.csv", "cell,CD3,CD4\na,1,2.5\nb,1.5,20000000\n");
  const auto source = open("scaled.csv");
  read(*source);
  source->report(reporter_);
  ASSERT_EQ(reporter_.warnings.size(), 2u);
  EXPECT_THAT(reporter_.warnings[0], HasSubstr("cell \"a\", gene \"CD4\" holds 2.5 (and 1 more), which are no whole"));
  EXPECT_THAT(reporter_.warnings[1], HasSubstr("holds 20000000, which is above 16777216"));
}

TEST_F(CountFiles, OtherFilesAreToldWhatTheyAre) {
  write("x.bin", std::string("\x89PNG\r\n\x1a\n\0\0", 10));
  EXPECT_THAT(error("x.bin"), HasSubstr("found a PNG image"));
  write("y.bin", "who knows");
  EXPECT_THAT(error("y.bin"), HasSubstr("expected a 10x folder, an .h5ad"));
  EXPECT_THAT(test::error_of<UsageError>([&] { open_counts("-", kReaders, format_, reporter_); }),
              HasSubstr("standard input"));
}

TEST(GeneNames, BecomeUniqueAsAnnDataMakesThem) {
  std::vector<std::string> names{"a", "b", "a", "a-1", "a", "b"};
  const auto renamed = make_unique(names);
  EXPECT_THAT(names, ElementsAre("a", "b", "a-2", "a-1", "a-3", "b-1"));
  EXPECT_EQ(renamed.count, 3);
  EXPECT_EQ(renamed.first, "a");
}

// --- transforms ------------------------------------------------------------------------------------------------------

TEST(CountScale, IsTheTextbookFormulaAndItsInverse) {
  const CountScale scale{true, true, 100};
  EXPECT_DOUBLE_EQ(scale.factor(250), 2.5);
  EXPECT_DOUBLE_EQ(scale.factor(0), 1);
  EXPECT_DOUBLE_EQ(scale.value(5, 2.5), std::log(3.0));
  for (const bool size_factors : {false, true})
    for (const bool log1p : {false, true}) {
      const CountScale any{size_factors, log1p, 2000};
      for (const double total : {1.0, 1999.0, 54321.0})
        for (const double count : {0.0, 1.0, 17.0, 999.0})
          EXPECT_NEAR(any.count(any.value(count, any.factor(total)), any.factor(total)), count, 1e-10);
    }
  EXPECT_EQ(median_total(std::vector<double>{4, 0, 1, 3}), 3);
  EXPECT_EQ(median_total(std::vector<double>{4, 1, 3, 0, 5}), 3.5);
  EXPECT_EQ(median_total(std::vector<double>{0, 0}), 1);
}

// Genes of different means, some of them in two groups of cells; cells of different depths.
CellCounts simulated(std::int64_t cells, std::int64_t genes, std::uint64_t seed) {
  Random random(seed);
  CellCounts counts;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const double depth = std::exp(random.uniform() * 2 - 1);
    for (std::int64_t gene = 0; gene < genes; ++gene) {
      double mean = depth * 0.02 * static_cast<double>(gene % 50);
      if (gene % 7 == 0) mean *= cell % 2 == 0 ? 4 : 0.25;
      double left = mean;
      int count = -1;
      for (; left >= 0; ++count) left += std::log(1 - random.uniform());  // Poisson by its waiting times
      if (count <= 0) continue;
      counts.genes.push_back(static_cast<std::int32_t>(gene));
      counts.counts.push_back(static_cast<float>(count));
    }
    counts.end_cell();
  }
  return counts;
}

TEST(PearsonResiduals, VaryAsTheDenseFormulaSays) {
  SilentReporter silent;
  const std::int64_t genes = 120;
  const CellCounts counts = simulated(400, genes, 3);
  std::vector<std::int64_t> cells;
  for (std::int64_t cell = 0; cell < 400; ++cell)
    if (cell % 9 != 0) cells.push_back(cell);
  const auto variances = residual_variances(counts.view(), cells, genes, silent);

  const Dense all = dense(counts.view(), genes);
  double sum = 0;
  std::map<std::int64_t, double> row;
  std::vector<double> column(static_cast<std::size_t>(genes), 0);
  for (const auto cell : cells)
    for (std::size_t gene = 0; gene < column.size(); ++gene) {
      const double count = all[static_cast<std::size_t>(cell)][gene];
      sum += count;
      row[cell] += count;
      column[gene] += count;
    }
  const double n = static_cast<double>(cells.size());
  for (std::size_t gene = 0; gene < column.size(); ++gene) {
    std::vector<double> residuals;
    for (const auto cell : cells) {
      const double mu = row[cell] * column[gene] / sum;
      const double r = mu == 0 ? 0 : (all[static_cast<std::size_t>(cell)][gene] - mu) / std::sqrt(mu + mu * mu / 100);
      residuals.push_back(std::min(std::max(r, -std::sqrt(n)), std::sqrt(n)));
    }
    const double mean = std::accumulate(residuals.begin(), residuals.end(), 0.0) / n;
    double variance = 0;
    for (const double r : residuals) variance += (r - mean) * (r - mean) / n;
    EXPECT_NEAR(variances[gene], variance, 1e-9 * (1 + variance)) << gene;
  }
  EXPECT_EQ(variances[0], 0);  // never seen

  // The genes that differ between groups are the ones that vary.
  for (const auto gene : largest(variances, 6)) EXPECT_EQ(gene % 7, 0) << gene;
}

TEST(LargestVariances, AreChosenInTheGenesOrder) {
  const std::vector<double> variances{1, 3, 0, 3, 2, 0};
  EXPECT_THAT(largest(variances, 3), ElementsAre(1, 3, 4));
  EXPECT_THAT(largest(variances, 1), ElementsAre(1));
  EXPECT_THAT(largest(variances, 9), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(largest(variances, 0), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(CountSchema, SurvivesItsTextAndTrustsNothing) {
  CountSchema schema{{"a", "b", "c"}, {0, 2}, {true, false}, {true, false, 12.5}};
  const auto json = schema.to_json();
  const auto back = CountSchema::from_json(json);
  EXPECT_EQ(back.genes, schema.genes);
  EXPECT_EQ(back.selected, schema.selected);
  EXPECT_EQ(back.constant, schema.constant);
  EXPECT_EQ(back.scale.median_total, 12.5);
  EXPECT_EQ(back.scale.log1p, false);
  const std::map<std::string, nlohmann::ordered_json> damages{{"median_total", 0},  {"genes", {"a", "a", "b"}},
                                                              {"selected", {2, 0}}, {"selected", {3}},
                                                              {"constant", {2}},    {"log1p", "yes"}};
  for (const auto& [key, value] : damages) {
    auto damaged = json;
    damaged[key] = value;
    EXPECT_THAT(test::error_of<InputError>([&] { CountSchema::from_json(damaged); }), testing::StartsWith("/" + key));
    damaged.erase(key);
    EXPECT_THAT(test::error_of<InputError>([&] { CountSchema::from_json(damaged); }), testing::StartsWith("/" + key));
  }
}

}  // namespace
}  // namespace ae::data::counts_test
