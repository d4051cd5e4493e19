#include "evaluate/summary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "evaluate/rate_text.hpp"
#include "support/recording_reporter.hpp"

namespace ae::evaluate::summary_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const LabeledScores& example() {
  static const LabeledScores scores({0.8, 0.35, 0.9}, {0.4, 0.1, 0.2, 0.1});
  return scores;
}

Evaluation evaluation_of(const LabeledScores& scores, const EvaluationOptions& options = {}) {
  SilentReporter reporter;
  return evaluate(scores, options, "s.csv", reporter);
}

// The first `count` of three scores of the same six rows.
Assessment several(std::size_t count) {
  std::vector<std::vector<double>> anomalies = {{3, 1, 4}, {2, 2, 1}, {5, 1, 2}};
  std::vector<std::vector<double>> normals = {{1, 2, 0}, {1, 0, 0}, {1, 1, 3}};
  anomalies.resize(count);
  normals.resize(count);
  Assessment assessment;
  for (std::size_t i = 0; i < count; ++i) {
    assessment.evaluations.push_back(evaluation_of(LabeledScores(anomalies[i], normals[i])));
    assessment.evaluations.back().name = std::to_string(i + 1) + ".csv";
  }
  assessment.tests = compare_auroc(anomalies, normals, 0.95);
  return assessment;
}

TEST(CurveCsv, HoldsEveryPointWithExactCounts) {
  std::string text;
  write_curve_csv(LabeledScores({0.8, 0.35}, {0.4, 0.1}), [&](std::string_view piece) { text += piece; });
  EXPECT_EQ(text,
            "threshold,tpr,fpr,precision,recall,tp,fp,tn,fn\n"
            "inf,0,0,,0,0,0,2,2\n"
            "0.8,0.5,0,1,0.5,1,0,2,1\n"
            "0.4,0.5,0.5,0.5,0.5,1,1,1,1\n"
            "0.35,1,0.5,0.6666666666666666,1,2,1,1,0\n"
            "0.1,1,1,0.5,1,2,2,0,0\n");
}

TEST(SummaryJson, KeepsThePlacesThatScriptsRead) {
  EvaluationOptions options;
  options.partial_max_fpr = 0.5;
  options.rule = ThresholdRule::parse("tpr=1");
  Assessment assessment{{evaluation_of(example(), options)}, {}};
  assessment.evaluations[0].sha256 = "abc";
  assessment.evaluations[0].unlabeled = 7;
  const auto json = nlohmann::json::parse(summary_json(assessment, {"9.9", {"ae-roc", "s.csv"}}));
  const Evaluation& e = assessment.evaluations[0];
  const auto at = [&](const char* pointer) { return json.at(nlohmann::json::json_pointer(pointer)); };
  EXPECT_EQ(at("/version"), "9.9");
  EXPECT_EQ(at("/arguments/1"), "s.csv");
  EXPECT_EQ(at("/inputs/0/path"), "s.csv");
  EXPECT_EQ(at("/inputs/0/sha256"), "abc");
  EXPECT_EQ(at("/rows"), 7);
  EXPECT_EQ(at("/anomalies"), 3);
  EXPECT_EQ(at("/normals"), 4);
  EXPECT_EQ(at("/unlabeled"), 7);
  EXPECT_EQ(at("/auroc/value"), e.auroc.value);
  EXPECT_EQ(at("/auroc/interval/0"), e.auroc.interval.low);
  EXPECT_EQ(at("/auprc/value"), e.auprc.value);
  EXPECT_EQ(at("/auprc/interval/1"), e.auprc.interval.high);
  EXPECT_EQ(at("/auprc/resamples"), 2000);
  EXPECT_EQ(at("/partial_auroc/raw"), e.partial->raw);
  EXPECT_EQ(at("/chosen/threshold"), 0.35);
  EXPECT_EQ(at("/chosen/rule"), "tpr=1");
  EXPECT_EQ(at("/confusion/tp"), 3);
  EXPECT_EQ(at("/confusion/fp"), 1);
  EXPECT_EQ(at("/metrics/precision"), 0.75);
  EXPECT_FALSE(json.contains("second"));
  EXPECT_FALSE(json.contains("comparison"));
}

TEST(SummaryJson, HoldsTheSecondFileAndTheComparison) {
  const Assessment assessment = several(2);
  const auto json = nlohmann::json::parse(summary_json(assessment, {}));
  EXPECT_EQ(json["second"]["auroc"]["value"], assessment.evaluations[1].auroc.value);
  EXPECT_EQ(json["comparison"]["p_value"], assessment.tests[0].comparison.p_value);
  EXPECT_EQ(json["evaluations"][1]["auroc"], json["second"]["auroc"]);
  EXPECT_EQ(json["comparisons"][0]["z"], json["comparison"]["z"]);
  EXPECT_THAT(summary_table(assessment), HasSubstr("p-value"));
}

TEST(SummaryJson, ListsAllFilesAndTests) {
  Assessment assessment = several(3);
  assessment.evaluations[1].model = "0123abcd";
  const auto json = nlohmann::json::parse(summary_json(assessment, {"", {}, {"a.csv: beware"}}));
  EXPECT_FALSE(json.contains("second"));
  EXPECT_FALSE(json.contains("comparison"));
  ASSERT_EQ(json["evaluations"].size(), 3u);
  EXPECT_EQ(json["auroc"], json["evaluations"][0]["auroc"]);
  EXPECT_EQ(json["evaluations"][2]["path"], "3.csv");
  EXPECT_TRUE(json["model"].is_null());
  EXPECT_EQ(json["evaluations"][1]["model"], "0123abcd");
  ASSERT_EQ(json["comparisons"].size(), 3u);
  EXPECT_EQ(json["comparisons"][2]["first"], "2.csv");
  EXPECT_EQ(json["comparisons"][2]["second"], "3.csv");
  EXPECT_EQ(json["comparisons"][2]["adjusted_p_value"], assessment.tests[2].adjusted_p_value);
  EXPECT_EQ(json["warnings"][0], "a.csv: beware");
}

TEST(SummaryTable, HasALineForEachOfSeveralScoresAndForEachTest) {
  Assessment assessment = several(3);
  assessment.evaluations[1].model = "0123abcd";
  assessment.evaluations[2].name = std::string(300, 'x') + "/the-end.csv";
  const std::string text = summary_table(assessment);
  EXPECT_THAT(text, HasSubstr("3 scores of the same rows: 6 rows, 3 anomalies, 3 normal\n"));
  EXPECT_THAT(text, HasSubstr("   1  1.csv "));
  EXPECT_THAT(text, HasSubstr("0123abcd\n"));
  EXPECT_THAT(text, HasSubstr("/the-end.csv "));
  EXPECT_THAT(text, HasSubstr("   2 against 3 "));
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    EXPECT_LE(text.find('\n', at) - at, 130u) << text.substr(at, 200);
}

TEST(SummaryTable, HasNoPrecisionWhereNothingIsFlagged) {
  EvaluationOptions options;
  options.rule = ThresholdRule::parse("fpr=0");
  const Assessment assessment{{evaluation_of(LabeledScores({1, 2}, {3, 4}), options)}, {}};
  EXPECT_THAT(summary_table(assessment), HasSubstr("precision             -        nothing is flagged\n"));
  EXPECT_TRUE(nlohmann::json::parse(summary_json(assessment, {}))["metrics"]["precision"].is_null());
}

TEST(Remarks, TellWhatTheTableTellsOfTheFigures) {
  const Assessment assessment{{evaluation_of(LabeledScores({1, 2}, {3, 4}))}, {}};
  EXPECT_THAT(remarks(assessment), ElementsAre(HasSubstr("AUROC is below 0.5"), HasSubstr("chosen on these labels")));
  EXPECT_EQ(nlohmann::json::parse(summary_json(assessment, {}))["remarks"].size(), 2);
  const auto both = remarks(several(2));
  EXPECT_THAT(both.back(), HasSubstr("chosen on these labels"));
  for (const auto& remark : remarks(assessment)) EXPECT_THAT(summary_table(assessment), HasSubstr(remark));
}

TEST(RateText, KeepsRatesApartFromZeroAndOne) {
  EXPECT_EQ(rate_text(0), "0.0000");
  EXPECT_EQ(rate_text(1), "1.0000");
  EXPECT_EQ(rate_text(0.91674), "0.9167");
  EXPECT_EQ(rate_text(1e-6), "1e-06");
  EXPECT_EQ(rate_text(0.00004), "4e-05");
  EXPECT_EQ(rate_text(0.00006), "0.0001");
  EXPECT_EQ(rate_text(1 - 1e-6), "0.9999990");
  EXPECT_EQ(rate_text(0.99996), "0.999960");
  EXPECT_EQ(rate_text(1.5), "1.5000");
  EXPECT_EQ(rate_text(std::nan("")), "-");
  EXPECT_EQ(difference_text(0), "+0.0000");
  EXPECT_EQ(difference_text(-1e-6), "-1e-06");
  EXPECT_EQ(percent_text(0.929), "92.9%");
  EXPECT_EQ(percent_text(0), "0.0%");
  EXPECT_EQ(percent_text(1), "100.0%");
  EXPECT_EQ(percent_text(1e-6), "0.00010%");
  EXPECT_EQ(percent_text(1 - 1e-6), "99.99990%");
  EXPECT_EQ(percent_text(0.0005), "0.050%");
}

TEST(SummaryJson, WritesNullForWhatIsNotDefined) {
  EvaluationOptions options;
  options.bootstrap.resamples = 0;
  Assessment assessment{{evaluation_of(LabeledScores({2}, {1, 3}), options)}, {}};
  assessment.evaluations[0].name = "\xff.csv";  // not UTF-8
  const auto json = nlohmann::json::parse(summary_json(assessment, {}));
  EXPECT_TRUE(json["auroc"]["standard_error"].is_null());
  EXPECT_TRUE(json["auprc"]["interval"].is_null());
  EXPECT_TRUE(json["inputs"][0]["sha256"].is_null());
}

TEST(SummaryTable, ShowsFiguresAndSaysThatTheThresholdIsOptimistic) {
  const std::string text = summary_table({{evaluation_of(example())}, {}});
  EXPECT_THAT(text, HasSubstr("s.csv: 7 rows, 3 anomalies, 4 normal\n"));
  EXPECT_THAT(text, HasSubstr("AUROC     0.9167"));
  EXPECT_THAT(text, HasSubstr("threshold 0.35 by youden"));
  EXPECT_THAT(text, HasSubstr("chosen on these labels"));
  EXPECT_THAT(text, Not(HasSubstr("below 0.5")));
}

TEST(SummaryTable, SaysWhenTheScorePointsTheOtherWay) {
  EXPECT_THAT(summary_table({{evaluation_of(LabeledScores({1, 2}, {3, 4}))}, {}}), HasSubstr("AUROC is below 0.5"));
}

TEST(SummaryTable, EscapesHostileFileNames) {
  auto evaluation = evaluation_of(example());
  evaluation.name = "a\x1b[31m\n.csv";
  EXPECT_THAT(summary_table({{evaluation}, {}}), Not(HasSubstr("\x1b")));
}

TEST(Evaluate, WarnsOfWhatAReaderMightMiss) {
  test::RecordingReporter reporter;
  EvaluationOptions options;
  evaluate(example(), options, "s.csv", reporter);
  EXPECT_THAT(reporter.warnings, IsEmpty());
  options.rule = ThresholdRule::parse("fpr=0");
  options.bootstrap.work_limit = 1;
  evaluate(LabeledScores({1}, {2, 0}), options, "s.csv", reporter);
  EXPECT_THAT(reporter.warnings, Contains(HasSubstr("one anomaly only")));
  EXPECT_THAT(reporter.warnings, Contains(HasSubstr("200 bootstrap resamples instead of 2000")));
  EXPECT_THAT(reporter.warnings, Contains(HasSubstr("flags no row")));
}

}  // namespace
}  // namespace ae::evaluate::summary_test
