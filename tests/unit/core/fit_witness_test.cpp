// A witness of imputation, against scipy 1.10 and by cells made so that the answer is known.
#include "fit/witness.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.hpp"
#include "base/random.hpp"
#include "support/errors.hpp"
#include "support/recording_reporter.hpp"
#include "support/temporary_folder.hpp"

namespace ae::fit::witness_test {
namespace {

using test::error_of;
using test::RecordingReporter;

TEST(Spearman, SharesRanksOfEqualValuesAsScipyDoes) {
  const std::vector<double> a{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8}, b{2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5};
  EXPECT_NEAR(spearman(a, b), 0.1415796863640157, 1e-14);
  EXPECT_TRUE(std::isnan(spearman(a, std::vector<double>(12, 1.0))));
  EXPECT_TRUE(std::isnan(spearman({}, {})));
}

class WitnessTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& text, const std::string& name = "w.csv") {
    write_file(folder_.path() / name, text);
    return folder_.path() / name;
  }
  Witness witness(const WitnessReading& how, std::vector<std::string> genes) {
    return Witness(how, std::move(genes), {}, reporter_);
  }
  std::string failure(const WitnessReading& how) {
    return error_of([&] { witness(how, {"CD4", "CD8A"}); });
  }
  test::TemporaryFolder folder_;
  RecordingReporter reporter_;
};

// 300 cells of three genes with a protein each: the second is spoiled, the third gets better.
struct Simulated {
  std::string csv = "id,P1,P2,P3\n";
  std::vector<std::string> ids;
  std::vector<std::vector<float>> before, after;
};
Simulated simulated() {
  Simulated made;
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    made.ids.push_back("c" + std::to_string(i));
    made.csv += made.ids.back();
    std::vector<float> before, after;
    for (int g = 0; g < 3; ++g) {
      const double protein = random.uniform();
      made.csv += ',' + std::to_string(protein);
      const auto near = static_cast<float>(protein + 0.3 * random.uniform());
      const auto far = static_cast<float>(protein + 3 * random.uniform());
      before.push_back(g == 2 ? far : near);
      after.push_back(g == 1 ? far : near);
    }
    made.csv += '\n';
    made.before.push_back(before);
    made.after.push_back(after);
  }
  return made;
}

TEST_F(WitnessTest, NamesTheGeneThatIsSpoiled) {
  const auto made = simulated();
  auto with = witness({.path = file(made.csv), .pairs = witness_pairs({"A=P1", "B=P2", " C = P3"})}, {"A", "B", "C"});
  for (std::size_t i = made.ids.size(); i-- > 0;) with.add(made.ids[i], made.before[i], made.after[i]);
  with.add("unknown", made.before[0], made.after[0]);
  const auto result = with.finish({.seed = 3, .resamples = 200}, reporter_);
  EXPECT_EQ(result.cells, 300);
  EXPECT_EQ(result.not_in_witness, 1);
  EXPECT_EQ(result.spoiled(), std::vector<std::string>{"B"});
  EXPECT_TRUE(result.genes[2].improved());
  EXPECT_EQ(result.genes[0].difference, 0);
  EXPECT_EQ(result.genes[0].interval.low, 0);
  EXPECT_EQ(result.genes[0].interval.high, 0);
  EXPECT_EQ(result.gained, 1);
  EXPECT_EQ(result.lost, 1);
  EXPECT_EQ(result.sign_test, 1);
  const auto& spoiled = result.genes[1];
  EXPECT_LT(spoiled.interval.low, spoiled.difference);
  EXPECT_GT(spoiled.interval.high, spoiled.difference);
  EXPECT_NE(witness_text(result).find("spoiled: B, 0."), std::string::npos) << witness_text(result);
  const auto json = witness_json(result);
  EXPECT_EQ(json["spoiled"], nlohmann::ordered_json::array({"B"}));
  EXPECT_EQ(json["genes"][2]["verdict"], "improved");
  EXPECT_EQ(witness_csv(result), witness_csv(with.finish({.seed = 3, .resamples = 200}, reporter_)));
  EXPECT_NE(witness_csv(result), witness_csv(with.finish({.seed = 4, .resamples = 200}, reporter_)));
}

// The standard error of a correlation of independent values is 1 / sqrt(n - 1), that of a difference of two such ones
// sqrt(2) times that.
TEST_F(WitnessTest, HasIntervalsAsWideAsChanceIs) {
  Random random(11);
  std::string csv = "id,A\n";
  std::vector<std::vector<float>> rows;
  for (int i = 0; i < 500; ++i) {
    csv += std::to_string(i) + ',' + std::to_string(random.uniform()) + '\n';
    rows.push_back({static_cast<float>(random.uniform()), static_cast<float>(random.uniform())});
  }
  auto with = witness({.path = file(csv)}, {"A"});
  for (std::size_t i = 0; i < rows.size(); ++i)
    with.add(std::to_string(i), std::span(rows[i]).first(1), std::span(rows[i]).last(1));
  const auto interval = with.finish({}, reporter_).genes[0].interval;
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 * std::sqrt(2.0 / 499), 0.05);
}

TEST_F(WitnessTest, CountsOnlyCellsAndGenesThatHaveSomething) {
  auto with = witness({.path = file("cell,CD4,CD8A,x\na,1,,2\nb,2,NA,1\nc,3,5,0\n")}, {"CD8A", "CD4"});
  EXPECT_EQ(reporter_.infos.size(), 1u);  // which column the ids are
  for (const auto* id : {"a", "b", "c"}) {
    const float at = id[0];
    with.add(id, std::vector<float>{at, 0}, std::vector<float>{at, -at});
  }
  const auto result = with.finish({.resamples = 50}, reporter_);
  EXPECT_EQ(witness_csv(result),
            "gene,column,cells,before,after,difference,low,high\n"
            "CD4,CD4,3,,-1,,,\n"
            "CD8A,CD8A,1,,,,,\n");
  EXPECT_EQ(result.gained + result.lost, 0);
  EXPECT_TRUE(std::isnan(result.mean_before));
}

TEST_F(WitnessTest, RefusesWhatDoesNotFit) {
  const auto good = file("id,CD4,x\na,1,2\n", "good.csv");
  EXPECT_NE(failure({.path = good, .pairs = {{"CD9", "x"}}}).find("no gene \"CD9\" was imputed; did you mean \"CD4\"?"),
            std::string::npos);
  EXPECT_NE(failure({.path = good, .pairs = {{"CD4", "y"}}}).find("no column \"y\""), std::string::npos);
  EXPECT_NE(failure({.path = file("id,x,y\na,1,2\n")}).find("pair them as GENE=COLUMN"), std::string::npos);
  EXPECT_NE(failure({.path = file("id,CD4\na,1\na,2\n")}).find(":3:1: id \"a\" occurs a second time"),
            std::string::npos);
  EXPECT_NE(failure({.path = file("id,CD4\na,much\n")}).find("\"much\" is not a number; expected what was measured"),
            std::string::npos);
  EXPECT_NE(failure({.path = good, .id = "cells"}).find("no column \"cells\" for the ids"), std::string::npos);
  auto with = witness({.path = good}, {"CD4"});
  const std::vector<float> one{1};
  with.add("b", one, one);
  EXPECT_NE(
      error_of([&] { with.finish({}, reporter_); }).find("none of its 1 ids is an id of a cell (\"a\" there, \"b\""),
      std::string::npos);
  with.add("a", one, one);
  EXPECT_NE(error_of([&] { with.add("a", one, one); }).find("id \"a\" occurs a second time"), std::string::npos);
}

TEST_F(WitnessTest, TakesPairsFromAFile) {
  const auto pairs = read_witness_pairs(file("# proteins\n\nCD4=CD4_TotalSeqB\r\nCD3E = CD3=x\n", "pairs.txt"));
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pairs[0].column, "CD4_TotalSeqB");
  EXPECT_EQ(pairs[1].gene, "CD3E");
  EXPECT_EQ(pairs[1].column, "CD3=x");
  const auto bad = file("CD4\n", "bad.txt");
  EXPECT_EQ(error_of([&] { read_witness_pairs(bad); }),
            bad.string() + ":1: \"CD4\" pairs no gene with a column; expected GENE=COLUMN");
  EXPECT_NE(error_of([&] { read_witness_pairs(file("\n", "none.txt")); }).find("expected lines"), std::string::npos);
}

TEST_F(WitnessTest, ReadsMatricesOfCounts) {
  file("%%MatrixMarket matrix coordinate integer general\n2 3 3\n1 1 4\n2 3 7\n1 3 1\n", "matrix.mtx");
  file("g1\tCD4\tGene Expression\ng2\tother\tGene Expression\n", "features.tsv");
  file("a\nb\nc\n", "barcodes.tsv");
  const std::array<const data::CountReader*, 1> readers{&data::kMatrixMarketFolder};
  Witness with({.path = folder_.path()}, {"CD4"}, readers, reporter_);
  const std::vector<float> values{9, 1, 5};  // ranks 3, 1, 2 and counts 4, 0, 1
  for (std::size_t i = 0; i < 3; ++i)
    with.add(std::string(1, static_cast<char>('a' + i)), std::span(values).subspan(i, 1),
             std::span(values).subspan(2 - i, 1));
  const auto result = with.finish({.resamples = 0}, reporter_);
  EXPECT_NEAR(result.genes[0].before, 1, 1e-12);
  EXPECT_NEAR(result.genes[0].after, 0.5, 1e-12);
  EXPECT_TRUE(std::isnan(result.genes[0].interval.low));
  EXPECT_EQ(result.lost, 1);
}

// Of a format that keeps them; the numbers may be any, and missing.
TEST_F(WitnessTest, ReadsWhatWasMeasuredBesideCounts) {
  const data::CountReader reader{
      "measured", "", [](const std::filesystem::path&, std::string_view) { return true; }, nullptr,
      [](const std::filesystem::path& path, const std::string& name) {
        return data::MeasuredCells{
            path.string() + " of " + name, {"a", "b", "c"}, {"P", "Q"}, [](std::size_t column) {
              return column == 0 ? std::vector<double>{-1, std::nan(""), 2.5} : std::vector<double>{3, 2, 1};
            }};
      }};
  const std::array<const data::CountReader*, 1> readers{&reader};
  const WitnessReading how{.path = file(""), .obsm = "proteins", .pairs = {{"CD4", "Q"}, {"CD8A", "P"}}};
  Witness with(how, {"CD8A", "CD4"}, readers, reporter_);
  for (const float at : {0.0f, 1.0f, 2.0f})
    with.add(std::string(1, static_cast<char>('a' + static_cast<int>(at))), std::vector<float>{at, at},
             std::vector<float>{-at, at});
  const auto result = with.finish({.resamples = 0}, reporter_);
  EXPECT_EQ(result.name, how.path.string() + " of proteins");
  EXPECT_EQ(witness_csv(result),
            "gene,column,cells,before,after,difference,low,high\n"
            "CD4,Q,3,-1,-1,0,,\n"
            "CD8A,P,2,1,-1,-2,,\n");
  const std::array<const data::CountReader*, 1> others{&data::kMatrixMarketFile};
  using Readers = std::span<const data::CountReader* const>;
  for (const auto& without : {Readers(others), Readers()})
    EXPECT_NE(error_of([&] {
                Witness({.path = file("%%MatrixMarket"), .obsm = "x"}, {"CD4"}, without, reporter_);
              }).find("has no obsm to take \"x\" from; expected an .h5ad file of AnnData"),
              std::string::npos);
}

TEST_F(WitnessTest, SaysNothingOfNoCells) {
  const auto result = witness({.path = file("id,CD4\na,1\n")}, {"CD4"}).finish({}, reporter_);
  EXPECT_EQ(result.cells, 0);
  EXPECT_EQ(witness_csv(result), "gene,column,cells,before,after,difference,low,high\nCD4,CD4,0,,,,,\n");
}

}  // namespace
}  // namespace ae::fit::witness_test
