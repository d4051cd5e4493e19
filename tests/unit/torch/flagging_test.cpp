#include "apply/flagging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

namespace ae::apply::flagging_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Recorder final : Reporter {
  std::vector<std::string> infos, warnings;
  void info(std::string_view line) override { infos.emplace_back(line); }
  void detail(std::string_view) override {}
  void warning(std::string_view line) override { warnings.emplace_back(line); }
  void progress(std::string_view, std::uint64_t, std::uint64_t, std::string_view) override {}
  void progress_done() override {}
};

// What became of some samples.
struct Told {
  std::vector<std::string> lines;
  FlagTotals totals;
  Recorder said;
  // Cells of a column, without the header.
  std::vector<std::string> column(const std::string& name) const {
    const auto names = cells(lines.front());
    const auto at = std::find(names.begin(), names.end(), name) - names.begin();
    std::vector<std::string> found;
    for (std::size_t i = 1; i < lines.size(); ++i) found.push_back(cells(lines[i]).at(static_cast<std::size_t>(at)));
    return found;
  }
  static std::vector<std::string> cells(const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
    return cells;
  }
};

class FlaggingTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Told tell(const FlagOptions& options, const stats::ConformalCalibration& calibration,
            const std::vector<ScoredSample>& samples, bool labels = false,
            const std::vector<std::string>& columns = {}) {
    Told told;
    auto output = Output::open(folder_ / "scores.csv", true);
    Flagging flagging(options, calibration, "a.safetensors", "0a1b2c3d", "images", output, told.said);
    flagging.begin(labels, columns);
    for (const auto& sample : samples) {
      EXPECT_EQ(flagging.add(sample), calibration.p_value(sample.score));
      if (flagging.scored() % 7 == 0) flagging.flush();
    }
    told.totals = flagging.finish();
    output.commit();
    std::istringstream in(read_file(folder_ / "scores.csv", FileKind::data));
    for (std::string line; std::getline(in, line);) told.lines.push_back(line);
    return told;
  }
  Told tell(const FlagOptions& options, const stats::ConformalCalibration& calibration,
            const std::vector<double>& scores) {
    std::vector<ScoredSample> samples;
    for (const double score : scores) samples.push_back({"x", score, {}, {}});
    return tell(options, calibration, samples);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("flagging_test_" + std::to_string(::getpid()));
};

std::vector<double> exponentials(std::uint64_t key, std::size_t count) {
  Random random(stream_key(key, "test"));
  std::vector<double> scores(count);
  for (double& score : scores) score = -std::log(1 - random.uniform());
  return scores;
}

FlagOptions by_threshold(double value) { return {value, {}, {}, false}; }
FlagOptions by_alpha(double value) { return {{}, value, {}, false}; }
FlagOptions by_fdr(double value) { return {{}, {}, value, false}; }

TEST_F(FlaggingTest, WritesEverySampleWithWhatItsKindAdds) {
  const stats::ConformalCalibration calibration({1, 2, 3});
  const auto told =
      tell(by_threshold(2), calibration,
           {{"a,b", 2, "good", ",7"}, {"c", 1.5, "", ",8"}, {"d", 4, "odd \"one\"", ",\"9,5\""}}, true, {"top"});
  EXPECT_THAT(told.lines, ElementsAre("id,score,p_value,flag,label,top,model",  //
                                      "\"a,b\",2,0.75,1,good,7,0a1b2c3d",       // 2 and 3 are as large
                                      "c,1.5,0.75,0,,8,0a1b2c3d",               //
                                      "d,4,0.25,1,\"odd \"\"one\"\"\",\"9,5\",0a1b2c3d"));
  EXPECT_EQ(told.totals.scored, 3);
  EXPECT_EQ(told.totals.flagged, 2);
  EXPECT_EQ(totals_text(told.totals, "images", by_threshold(2)), "3 images scored, 2 flagged");
  EXPECT_EQ(totals_text(told.totals, "images", {}), "3 images scored");
}

TEST_F(FlaggingTest, WithoutARuleThereAreNoFlags) {
  const stats::ConformalCalibration calibration({1, 2, 3});
  const auto told = tell({}, calibration, std::vector<double>{5, 0});
  EXPECT_THAT(told.lines, ElementsAre("id,score,p_value,model", "x,5,0.25,0a1b2c3d", "x,0,1,0a1b2c3d"));
  EXPECT_EQ(told.totals.flagged, 0);
}

// Benjamini and Hochberg 1995: of the ordered p-values the largest k with p(k) <= k q / n, by trying every k.
std::vector<std::string> benjamini_hochberg(const std::vector<double>& p_values, double q) {
  auto sorted = p_values;
  std::sort(sorted.begin(), sorted.end());
  double cut = -1;
  for (std::size_t k = 1; k <= sorted.size(); ++k) {
    if (sorted[k - 1] * static_cast<double>(sorted.size()) <= q * static_cast<double>(k)) cut = sorted[k - 1];
  }
  std::vector<std::string> flags;
  for (const double p : p_values) flags.push_back(p <= cut ? "1" : "0");
  return flags;
}

TEST_F(FlaggingTest, FalseDiscoveryRateIsThatOfTheNaiveProcedure) {
  const auto known = exponentials(1, 200);
  const stats::ConformalCalibration calibration(known);
  auto scores = exponentials(2, 150);
  for (std::size_t i = 0; i < scores.size(); i += 5) scores[i] += 4;
  scores[11] = scores[10];  // two equal ones
  std::vector<double> p_values;
  for (const double score : scores) {
    const auto as_large = std::count_if(known.begin(), known.end(), [&](double other) { return other >= score; });
    p_values.push_back(static_cast<double>(1 + as_large) / 201);
  }
  std::int64_t before = -1;
  for (const double q : {0.001, 0.05, 0.2, 0.6, 1.0}) {
    const auto told = tell(by_fdr(q), calibration, scores);
    const auto flags = told.column("flag");
    EXPECT_EQ(flags, benjamini_hochberg(p_values, q)) << q;
    EXPECT_EQ(told.totals.flagged, std::count(flags.begin(), flags.end(), "1"));
    EXPECT_GE(told.totals.flagged, before);
    before = told.totals.flagged;
  }
  EXPECT_EQ(before, 150);
}

TEST_F(FlaggingTest, LinesThatWaitedAreThoseThatDidNot) {
  const stats::ConformalCalibration calibration(exponentials(1, 50));
  std::vector<ScoredSample> samples;
  for (int i = 0; i < 300; ++i) samples.push_back({i % 3 ? "a" : "b,c", i * 0.02, i % 2 ? "good" : "", ",1,\"2,3\""});
  auto waited = tell(by_fdr(1), calibration, samples, true, {"u", "v"}).lines;
  auto at_once = tell(by_alpha(1), calibration, samples, true, {"u", "v"}).lines;
  EXPECT_EQ(waited.size(), 301u);
  EXPECT_EQ(waited, at_once);  // both flag everything
}

TEST_F(FlaggingTest, AlphasBeyondCountingGoByTheTail) {
  const stats::ConformalCalibration calibration(exponentials(3, 100));
  const double largest = calibration.sorted().back();
  const std::vector<double> scores = {0.1, largest, 2 * largest, 1e6};
  const auto counted = tell(by_alpha(0.01), calibration, scores);  // 1 / 101 is below
  EXPECT_EQ(counted.lines.front(), "id,score,p_value,flag,model");
  EXPECT_THAT(counted.column("flag"), ElementsAre("0", "0", "1", "1"));
  EXPECT_THAT(counted.said.infos, IsEmpty());

  const auto by_tail = tell(by_alpha(1e-4), calibration, scores);
  EXPECT_EQ(by_tail.lines.front(), "id,score,p_value,tail_p_value,flag,model");
  EXPECT_EQ(by_tail.column("flag").front(), "0");
  EXPECT_EQ(by_tail.column("flag").back(), "1");
  const auto tails = by_tail.column("tail_p_value"), p_values = by_tail.column("p_value");
  for (std::size_t i = 0; i < scores.size(); ++i) {
    EXPECT_EQ(std::stod(tails[i]), calibration.tail_p_value(scores[i]));
    EXPECT_LE(std::stod(tails[i]), std::stod(p_values[i]));
    EXPECT_EQ(by_tail.column("flag")[i], std::stod(tails[i]) <= 1e-4 ? "1" : "0");
  }
  EXPECT_THAT(by_tail.said.infos, ElementsAre(AllOf(HasSubstr("100 calibration images"), HasSubstr("30 largest"))));
  EXPECT_THAT(by_tail.said.warnings, IsEmpty());
}

TEST_F(FlaggingTest, TellsWhatACalibrationIsTooSmallFor) {
  const auto told = tell(by_alpha(0.01), stats::ConformalCalibration(exponentials(4, 59)), std::vector<double>{1e9});
  EXPECT_EQ(told.lines.back(), "x,1000000000,0.016666666666666666,0,0a1b2c3d");
  EXPECT_THAT(told.said.warnings, ElementsAre(AllOf(HasSubstr("--alpha 0.01 flags nothing"),
                                                    HasSubstr("59 held-out images"), HasSubstr("raise alpha"))));
  const auto none = tell(by_alpha(0.5), {}, std::vector<double>{1e9});
  EXPECT_EQ(none.lines.back(), "x,1000000000,1,0,0a1b2c3d");
  EXPECT_THAT(none.said.warnings,
              ElementsAre(AllOf(HasSubstr("a.safetensors"), HasSubstr("trained without held-out images"))));
}

TEST_F(FlaggingTest, AScoreIsFlaggedExactlyFromTheThresholdOn) {
  const stats::ConformalCalibration calibration(exponentials(5, 99));
  std::vector<double> scores;
  for (const double known : calibration.sorted()) {
    for (const double score : {std::nextafter(known, 0.0), known, std::nextafter(known, HUGE_VAL)}) {
      scores.push_back(score);
    }
  }
  for (double score = calibration.sorted().back(); score < 1e4; score *= 1.5) scores.push_back(score);
  for (const double alpha : {0.9, 0.25, 0.1, 0.02, 0.01, 0.003, 1e-4}) {
    auto output = Output::open("-", true);
    Recorder silent;
    const Flagging flagging(by_alpha(alpha), calibration, "a", "0a1b2c3d", "images", output, silent);
    const auto threshold = flagging.score_threshold();
    ASSERT_TRUE(threshold.has_value()) << alpha;
    auto with_it = scores;
    with_it.push_back(*threshold);
    with_it.push_back(std::nextafter(*threshold, 0.0));
    const auto flags = tell(by_alpha(alpha), calibration, with_it).column("flag");
    for (std::size_t i = 0; i < with_it.size(); ++i) {
      EXPECT_EQ(flags[i], with_it[i] >= *threshold ? "1" : "0") << alpha << ": " << with_it[i] - *threshold;
    }
    EXPECT_THAT(flagging.threshold_rule(), AllOf(HasSubstr("99 held-out good images"), HasSubstr("of at most")));
  }
}

TEST_F(FlaggingTest, NoThresholdIsShownWhereThereIsNone) {
  auto output = Output::open("-", true);
  Recorder silent;
  const stats::ConformalCalibration few(exponentials(6, 20)), none;
  const auto threshold = [&](const FlagOptions& options, const stats::ConformalCalibration& calibration) {
    return Flagging(options, calibration, "a", "0a1b2c3d", "images", output, silent).score_threshold();
  };
  EXPECT_EQ(threshold(by_threshold(2.5), few), 2.5);
  EXPECT_EQ(threshold(by_threshold(2.5), none), 2.5);
  EXPECT_EQ(threshold(by_fdr(0.1), few), std::nullopt);
  EXPECT_EQ(threshold(by_alpha(0.1), none), std::nullopt);
  EXPECT_EQ(threshold(by_alpha(0.01), few), std::nullopt);
  EXPECT_EQ(threshold({}, few), std::nullopt);
  const stats::ConformalCalibration many(exponentials(6, 300));
  EXPECT_EQ(threshold({}, many), threshold(by_alpha(0.01), many));
}

TEST_F(FlaggingTest, SamplesThatDoNotScoreAsTheCalibrationRaiseTheAlarm) {
  const stats::ConformalCalibration calibration(exponentials(7, 200));
  auto fresh = exponentials(8, 100), moved = fresh;
  for (double& score : moved) score += 3;
  for (auto options : {by_alpha(0.05), by_fdr(0.1), by_threshold(5), FlagOptions{{}, {}, {}, true}}) {
    const auto calm = tell(options, calibration, fresh);
    EXPECT_FALSE(calm.totals.drifted);
    EXPECT_THAT(calm.said.warnings, IsEmpty());
    const auto stale = tell(options, calibration, moved);
    EXPECT_TRUE(stale.totals.drifted);
    EXPECT_THAT(stale.said.warnings, ElementsAre(AllOf(HasSubstr("these images do not score as the 200 normal images"),
                                                       HasSubstr("0.0 % of them"))));
  }
  const auto told = tell({}, calibration, moved);
  EXPECT_TRUE(told.totals.drifted);
  EXPECT_THAT(told.said.warnings, IsEmpty());
  EXPECT_THAT(told.said.infos, ElementsAre(HasSubstr("train again on recent normal images")));
}

TEST_F(FlaggingTest, SamplesOfWhichNothingWasSeenAreCountedAndProveNoDrift) {
  const stats::ConformalCalibration calibration(exponentials(9, 200));
  std::vector<ScoredSample> samples;
  for (const double score : exponentials(10, 100)) samples.push_back({"x", score, {}, {}});
  for (int i = 0; i < 100; ++i) samples.push_back({"y", 0, {}, {}, false});
  const auto told = tell(by_alpha(0.05), calibration, samples);
  EXPECT_FALSE(told.totals.drifted);
  EXPECT_EQ(told.totals.scored, 200);
  EXPECT_THAT(told.said.warnings, ElementsAre(HasSubstr("100 of 200 images have no observed cell")));
  for (auto& sample : samples) sample.observed = true;
  EXPECT_TRUE(tell(by_alpha(0.05), calibration, samples).totals.drifted);
}

TEST_F(FlaggingTest, OnlyTheStrangestOrFlaggedLinesAreWrittenAndAllAreCounted) {
  const stats::ConformalCalibration calibration(exponentials(11, 99));
  const std::vector<double> scores = {1, 9, 3, 9, 0.5, 7};
  std::vector<ScoredSample> samples;
  const std::vector<std::string> ids = {"a", "b", "c", "d", "e", "f"};
  for (std::size_t i = 0; i < scores.size(); ++i) samples.push_back({ids[i], scores[i], {}, {}});
  for (auto options : {by_threshold(3), by_fdr(1)}) {
    options.top = 3;
    const auto told = tell(options, calibration, samples);
    EXPECT_THAT(told.column("id"), ElementsAre("b", "d", "f"));  // equal scores in their order
    EXPECT_EQ(told.totals.scored, 6);
    EXPECT_EQ(told.totals.flagged, options.fdr ? 6 : 4);
    EXPECT_EQ(told.totals.threshold, options.fdr ? 0.5 : 3);
    options.top = 0;
    EXPECT_EQ(tell(options, calibration, samples).lines.size(), 1u);
  }
  auto flagged = by_threshold(3);
  flagged.flagged_only = true;
  EXPECT_THAT(tell(flagged, calibration, samples).column("id"), ElementsAre("b", "c", "d", "f"));
  flagged.top = 10;
  EXPECT_THAT(tell(flagged, calibration, samples).column("id"), ElementsAre("b", "d", "f", "c"));
}

TEST_F(FlaggingTest, LinesAreJsonObjectsOnRequest) {
  const stats::ConformalCalibration calibration({1, 2, 3});
  auto options = by_threshold(3);
  options.format = LineFormat::jsonl;
  Cells own(options.format, {"say \"x\"", "gone"});
  own.text("a,\n\xff");
  own.nothing_left();
  const auto told = tell(options, calibration, {{"one", 5, "odd", own.written()}}, true, {"say \"x\"", "gone"});
  EXPECT_THAT(told.lines, ElementsAre("{\"id\":\"one\",\"score\":5,\"p_value\":0.25,\"flag\":1,\"label\":\"odd\","
                                      "\"say \\\"x\\\"\":\"a,\\n\uFFFD\",\"gone\":null,\"model\":\"0a1b2c3d\"}"));
}

TEST_F(FlaggingTest, ASampleThatCannotBeReadHasALineWithoutScore) {
  const stats::ConformalCalibration calibration({1, 2, 3});
  for (const auto& options : {by_threshold(3), by_fdr(1), FlagOptions{}}) {
    auto output = Output::open(folder_ / "scores.csv", true);
    Recorder said;
    Flagging flagging(options, calibration, "a.safetensors", "0a1b2c3d", "rows", output, said);
    flagging.begin(true);
    flagging.add({"good", 5, "x", {}});
    flagging.add_bad({"bad", 0, "y", {}});
    flagging.add({"next", 6, "x", {}});
    const auto totals = flagging.finish();
    output.commit();
    EXPECT_EQ(totals.scored, 2);
    EXPECT_EQ(totals.bad, 1);
    const auto text = read_file(folder_ / "scores.csv", FileKind::data);
    EXPECT_THAT(text, HasSubstr(options.any() ? "\nbad,,,,y,0a1b2c3d\nnext,6," : "\nbad,,,y,0a1b2c3d\nnext,6,"));
  }
}

TEST_F(FlaggingTest, AThresholdBelongsToItsModel) {
  const auto summary = folder_ / "summary.json";
  const auto threshold = [&](const std::string& text, bool force, Recorder& said) {
    write_file(summary, text);
    return threshold_of_summary(summary, "0a1b2c3d", force, said);
  };
  Recorder own, unknown, insisted, refused;
  EXPECT_EQ(threshold(R"({"model": "0a1b2c3d", "chosen": {"threshold": 2.5}})", false, own), 2.5);
  EXPECT_THAT(own.warnings, IsEmpty());
  for (const auto* text : {R"({"chosen": {"threshold": 1}})", R"({"model": null, "chosen": {"threshold": 1}})"}) {
    EXPECT_EQ(threshold(text, false, unknown), 1);
  }
  EXPECT_THAT(unknown.warnings, ElementsAre(HasSubstr("which model"), HasSubstr("which model")));
  const auto* other = R"({"model": "ffffffff", "chosen": {"threshold": 1}})";
  EXPECT_EQ(threshold(other, true, insisted), 1);
  EXPECT_THAT(insisted.warnings, ElementsAre(HasSubstr("ffffffff")));
  EXPECT_THROW(threshold(other, false, refused), UsageError);
}

}  // namespace
}  // namespace ae::apply::flagging_test
