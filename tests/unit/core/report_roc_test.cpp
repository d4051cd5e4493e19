#include "report/roc.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "report/sample_scores.hpp"
#include "report/well_formed.hpp"

namespace ae::report::roc_test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

evaluate::Assessment alone(const ScoreSample& sample) { return {{evaluated(sample)}, {}}; }

json embedded(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const auto from = page.find(open) + open.size();
  return json::parse(page.substr(from, page.find("</script>", from) - from));
}

json embedded(const evaluate::Assessment& assessment) { return embedded(roc_page({assessment, "ae-roc", {}})); }

std::string fact(const json& data, std::string_view name) {
  for (const auto& entry : data["facts"]) {
    if (entry[0] == name) return entry[1];
  }
  return "(no such fact)";
}

// A curve of `points` steps up and right at random, as of `points` rows with different scores.
std::vector<evaluate::CurvePoint> long_curve(std::int64_t points) {
  std::vector<evaluate::CurvePoint> curve{{std::numeric_limits<double>::infinity(), {}}};
  Random random(stream_key(3, "curve"));
  evaluate::Confusion counts;
  for (std::int64_t i = 0; i < points; ++i) {
    const double place = static_cast<double>(i) / static_cast<double>(points);
    random.uniform() < 0.4 * (1 - place) * (1 - place) ? ++counts.tp : ++counts.fp;
    curve.push_back({1e9 - static_cast<double>(i) / 7, counts});
  }
  for (auto& point : curve) {
    point.counts.fn = counts.tp - point.counts.tp;
    point.counts.tn = counts.fp - point.counts.fp;
  }
  return curve;
}

evaluate::Evaluation long_evaluation(std::int64_t points) {
  evaluate::Evaluation e = evaluated(tiny_sample());
  e.curve = long_curve(points);
  e.curve_points_in_all = static_cast<std::int64_t>(e.curve.size());
  e.anomalies = e.curve.back().counts.tp;
  e.normals = e.curve.back().counts.fp;
  e.rows = e.anomalies + e.normals;
  e.chosen.counts = e.curve[e.curve.size() / 3].counts;
  e.chosen.threshold = e.curve[e.curve.size() / 3].threshold;
  return e;
}

TEST(RocPage, EveryEmbeddedStopHasTheExactCountsOfTheScores) {
  for (const auto& sample :
       {separated_sample(212, 357), hard_sample(300, 700, 0.74), tiny_sample(), negative_sample()}) {
    const json data = embedded(alone(sample))["evaluations"][0];
    ASSERT_EQ(data["threshold"].size(), data["tp"].size());
    ASSERT_EQ(data["threshold"].size(), data["fp"].size());
    EXPECT_TRUE(data["threshold"][0].is_null());
    for (std::size_t i = 0; i < data["threshold"].size(); ++i) {
      const double threshold = i == 0 ? std::numeric_limits<double>::infinity() : data["threshold"][i].get<double>();
      const auto above = [=](double score) { return score >= threshold; };
      EXPECT_EQ(data["tp"][i], std::count_if(sample.anomalies.begin(), sample.anomalies.end(), above));
      EXPECT_EQ(data["fp"][i], std::count_if(sample.normals.begin(), sample.normals.end(), above));
    }
    EXPECT_EQ(data["tp"].back(), sample.anomalies.size());
    EXPECT_EQ(data["fp"].back(), sample.normals.size());
  }
}

TEST(RocPage, HistogramHoldsEveryRowOnce) {
  const auto sample = separated_sample(212, 357);
  const json histogram = embedded(alone(sample))["evaluations"][0]["histogram"];
  const auto sum = [](const json& counts) {
    std::int64_t total = 0;
    for (const auto& c : counts) total += c.get<std::int64_t>();
    return total;
  };
  EXPECT_EQ(sum(histogram["normals"]), 357);
  EXPECT_EQ(sum(histogram["anomalies"]), 212);
  EXPECT_EQ(histogram["edges"].size(), histogram["normals"].size() + 1);
}

TEST(RocPage, TooManyBinsAreJoined) {
  auto assessment = alone(tiny_sample());
  auto& bins = assessment.evaluations[0].histogram;
  bins = {false, {}, std::vector<std::int64_t>(100'001, 1), std::vector<std::int64_t>(100'001, 2)};
  for (int i = 0; i <= 100'001; ++i) bins.edges.push_back(i);
  const json histogram = embedded(assessment)["evaluations"][0]["histogram"];
  EXPECT_LE(histogram["normals"].size(), 400u);
  EXPECT_EQ(histogram["edges"].front(), 0.0);
  EXPECT_EQ(histogram["edges"].back(), 100'001.0);
  std::int64_t total = 0;
  for (const auto& c : histogram["anomalies"]) total += c.get<std::int64_t>();
  EXPECT_EQ(total, 200'002);
}

TEST(RocPage, StaysBelowAMegabyteAndSaysThatItIsThinned) {
  auto long_one = long_evaluation(1'000'000);
  long_one.name = std::string(3'000'000, 'n');
  const evaluate::Assessment assessment{{long_one, long_one}, {}};
  const std::string page = roc_page({assessment, std::string(2'000'000, 'c'), {{"Note", std::string(1'000'000, 'f')}}});
  EXPECT_LT(page.size(), 1'000'000u);
  const json data = embedded(page);
  EXPECT_LE(data["evaluations"][0]["threshold"].size(), 4000u);
  EXPECT_GT(data["evaluations"][0]["threshold"].size(), 1000u);
  EXPECT_THAT(fact(data, "Slider positions 1"),
              HasSubstr("of 1,000,001 thresholds that differ: curves and slider are thinned"));
  EXPECT_THAT(fact(embedded(alone(tiny_sample())), "Slider positions"), HasSubstr("every threshold"));
}

TEST(RocPage, ThinningKeepsTheChosenThreshold) {
  const auto e = long_evaluation(50'000);
  const json data = embedded(evaluate::Assessment{{e}, {}})["evaluations"][0];
  const auto chosen = data["chosen"].get<std::size_t>();
  EXPECT_EQ(data["threshold"][chosen], e.chosen.threshold);
  EXPECT_EQ(data["tp"][chosen], e.chosen.counts.tp);
  EXPECT_EQ(data["fp"][chosen], e.chosen.counts.fp);
}

TEST(RocPage, ButtonsLeadToTheBestOfAllThresholds) {
  const auto e = long_evaluation(5000);
  const json data = embedded(evaluate::Assessment{{e}, {}})["evaluations"][0];
  const auto reached = [&](std::string_view label) -> evaluate::Confusion {
    for (const auto& preset : data["presets"]) {
      const auto stop = preset["stop"].get<std::size_t>();
      const std::int64_t tp = data["tp"][stop], fp = data["fp"][stop];
      if (preset["label"] == label) return {tp, fp, e.normals - fp, e.anomalies - tp};
    }
    ADD_FAILURE() << "no button " << label;
    return {};
  };
  double f1 = 0;
  std::int64_t found_at_five = 0;
  for (const auto& point : e.curve) {
    f1 = std::max(f1, point.counts.f1());
    if (static_cast<double>(point.counts.fp) <= 0.05 * static_cast<double>(e.normals)) {
      found_at_five = std::max(found_at_five, point.counts.tp);
    }
  }
  EXPECT_DOUBLE_EQ(reached("best F1").f1(), f1);
  EXPECT_EQ(reached("FPR \xE2\x89\xA4 5%").tp, found_at_five);
}

TEST(RocPage, AnUnusualRuleGetsItsOwnFirstButton) {
  auto assessment = alone(hard_sample(30, 70, 1));
  auto& e = assessment.evaluations[0];
  e.chosen.rule = "cost=1:10";
  const json usual = embedded(assessment)["evaluations"][0]["presets"];
  std::size_t other = 1;  // a point that no usual button leads to
  while (std::any_of(usual.begin(), usual.end(), [&](const json& one) { return one["stop"] == other; })) ++other;
  e.chosen.counts = e.curve[other].counts;
  e.chosen.threshold = e.curve[other].threshold;
  const json presets = embedded(assessment)["evaluations"][0]["presets"];
  EXPECT_EQ(presets.size(), usual.size() + 1);
  EXPECT_EQ(presets[0]["label"], "cost=1:10");
  EXPECT_EQ(presets[0]["stop"], other);
}

TEST(RocPage, ButtonsOfEqualThresholdsAreOne) {
  const json data = embedded(alone({"apart.csv", {5, 6, 7}, {1, 2, 3}}))["evaluations"][0];
  ASSERT_EQ(data["presets"].size(), 1u);
  EXPECT_EQ(data["presets"][0]["label"], "Youden, best F1, FPR \xE2\x89\xA4 1%, FPR \xE2\x89\xA4 5%");
  EXPECT_THAT(data["presets"][0]["help"].get<std::string>(), HasSubstr("harmonic mean"));
  EXPECT_EQ(data["threshold"][data["presets"][0]["stop"].get<std::size_t>()], 5.0);
}

TEST(RocPage, CarriesWarningsAndNotes) {
  const auto assessment = alone(tiny_sample());
  const json data = embedded(roc_page({assessment, "ae-roc", {}, {"five.csv: <b>beware</b>"}, {"It was so."}}));
  EXPECT_EQ(data["warnings"], json::array({"five.csv: <b>beware</b>"}));
  EXPECT_EQ(data["notes"], json::array({"It was so."}));
  const json many = embedded(roc_page({assessment, "ae-roc", {}, std::vector<std::string>(1000, "w"), {}}));
  EXPECT_EQ(many["warnings"].size(), 51u);
  EXPECT_EQ(many["warnings"].back(), "and 950 more");
}

TEST(RocPage, OfManyScoresHoldsAllOfThemAndStaysSmall) {
  const auto page = roc_page({several(20), "ae-roc", {}});
  EXPECT_LT(page.size(), 1'000'000u);
  const json data = embedded(page);
  EXPECT_EQ(data["evaluations"].size(), 20u);
  EXPECT_EQ(data["evaluations"][3]["model"], "0123abc3");
  EXPECT_EQ(data["tests"].size(), 190u);
}

TEST(RocPage, AThresholdThatFlagsNothingIsTheFirstStop) {
  auto assessment = alone(hard_sample(30, 70, 1));
  auto& e = assessment.evaluations[0];
  e.chosen.counts = {0, 0, e.normals, e.anomalies};
  e.chosen.threshold = std::nextafter(e.curve[1].threshold, std::numeric_limits<double>::infinity());
  EXPECT_EQ(embedded(assessment)["evaluations"][0]["chosen"], 0);
}

TEST(RocPage, UndefinedNumbersAreNull) {
  auto assessment = compared(hard_sample(30, 70, 1), hard_sample(30, 70, 2));
  assessment.evaluations[0].bootstrap_resamples = 0;
  assessment.tests[0].comparison.p_value = std::numeric_limits<double>::quiet_NaN();
  const json data = embedded(assessment);
  EXPECT_TRUE(data["tests"][0]["p_value"].is_null());
  EXPECT_TRUE(data["evaluations"][0]["auprc"]["low"].is_null());
  EXPECT_FALSE(data["evaluations"][0]["auroc"]["low"].is_null());
  EXPECT_FALSE(data["evaluations"][1]["auprc"]["low"].is_null());
}

TEST(RocPage, TheSameEvaluationGivesTheSameBytes) {
  const auto first = compared(hard_sample(30, 70, 1), hard_sample(30, 70, 2));
  const auto second = compared(hard_sample(30, 70, 1), hard_sample(30, 70, 2));
  EXPECT_EQ(roc_page({first, "ae-roc", {}}), roc_page({second, "ae-roc", {}}));
  EXPECT_EQ(roc_svg(first), roc_svg(second));
}

TEST(RocSvg, IsWellFormedWithAnyName) {
  for (const auto& sample : {separated_sample(212, 357), tiny_sample(), negative_sample()}) {
    EXPECT_EQ(test::XmlCheck::problem(roc_svg(alone(sample))), "");
  }
  auto hostile = tiny_sample();
  hostile.name = hostile_name();
  EXPECT_EQ(test::XmlCheck::problem(roc_svg(alone(hostile))), "");
  EXPECT_EQ(test::XmlCheck::problem(roc_svg(compared(hostile, hostile))), "");
}

// The path after `marker`, as points; only the commands M and L with absolute coordinates are written for curves.
std::vector<std::pair<double, double>> path_points(const std::string& svg, const std::string& marker, int which) {
  std::size_t from = 0;
  for (int i = 0; i <= which; ++i) from = svg.find(marker, from) + marker.size();
  std::string path = svg.substr(from, svg.find('"', from) - from);
  std::replace_if(
      path.begin(), path.end(), [](char c) { return c == 'M' || c == 'L'; }, ' ');
  std::istringstream numbers(path);
  std::vector<std::pair<double, double>> points;
  for (double x, y; numbers >> x >> y;) points.emplace_back(x, y);
  return points;
}

TEST(RocSvg, DrawsTheCurveOfFiveRowsPointByPoint) {
  const std::string svg = roc_svg(alone(tiny_sample()));
  // Scores from the highest: anomaly, normal, anomaly, normal, normal. Plots of 340 pixels; corners only.
  const double x0 = 64, y0 = 384, third = 340.0 / 3;
  const std::string marker = "<path class=\"curve first\" d=\"";
  const auto roc = path_points(svg, marker, 0);
  const std::vector<std::pair<double, double>> expected = {
      {x0, y0}, {x0, y0 - 170}, {x0 + third, y0 - 170}, {x0 + third, y0 - 340}, {x0 + 340, y0 - 340}};
  ASSERT_EQ(roc.size(), expected.size());
  for (std::size_t i = 0; i < roc.size(); ++i) {
    EXPECT_NEAR(roc[i].first, expected[i].first, 0.01) << i;
    EXPECT_NEAR(roc[i].second, expected[i].second, 0.01) << i;
  }
}

TEST(RocSvg, TiesAreDrawnAsTheDiagonalTheirAreaCounts) {
  const auto roc = path_points(roc_svg(alone({"ties", {1, 1}, {1, 1, 1}})), "<path class=\"curve first\" d=\"", 0);
  EXPECT_EQ(roc, (std::vector<std::pair<double, double>>{{64, 384}, {404, 44}}));
}

TEST(RocSvg, ALongCurveStaysSmallAndWithinAPixelOfTheWhole) {
  const auto e = long_evaluation(1'000'000);
  const std::string svg = roc_svg({{e}, {}});
  EXPECT_LT(svg.size(), 200'000u);
  const auto drawn = path_points(svg, "<path class=\"curve first\" d=\"", 0);
  ASSERT_LE(drawn.size(), 2000u);
  std::size_t segment = 0;
  double worst = 0;
  for (const auto& point : e.curve) {
    const double x = 64 + 340 * point.counts.fpr(), y = 384 - 340 * point.counts.tpr();
    while (segment + 2 < drawn.size() && drawn[segment + 1].first + -drawn[segment + 1].second < x - y) ++segment;
    const auto [ax, ay] = drawn[segment];
    const auto [bx, by] = drawn[segment + 1];
    const double length = std::hypot(bx - ax, by - ay);
    worst = std::max(worst, std::abs((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length);
  }
  EXPECT_LT(worst, 1.0);
}

TEST(RocSvg, TellsAreasIntervalsAndTheChosenThreshold) {
  const auto assessment = alone(separated_sample(212, 357));
  const std::string svg = roc_svg(assessment);
  const auto& e = assessment.evaluations[0];
  char auroc[100];
  std::snprintf(auroc, sizeof auroc, "AUROC %.4f  (95%% %.4f\xE2\x80\x93%.4f)", e.auroc.value, e.auroc.interval.low,
                e.auroc.interval.high);
  EXPECT_THAT(svg, HasSubstr(auroc));
  EXPECT_THAT(svg, HasSubstr("wdbc-scores.csv"));
  EXPECT_THAT(svg, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(svg, HasSubstr("TPR 92.9%, FPR 0.8%"));
  EXPECT_THAT(svg, Not(HasSubstr("second-")));
}

TEST(RocSvg, DrawsNoPrecisionWhereNothingIsFlagged) {
  // The precision curve begins with the first flagged row's. It is the third such path: a line of the legend is before.
  const auto pr = path_points(roc_svg(alone(tiny_sample())), "<path class=\"curve first\" d=\"", 2);
  EXPECT_EQ(pr.front(), (std::pair<double, double>{514, 44}));
  const auto worst_first = path_points(roc_svg(alone({"x", {1, 2}, {3, 4}})), "<path class=\"curve first\" d=\"", 2);
  EXPECT_EQ(worst_first.front(), (std::pair<double, double>{514, 384}));
  auto assessment = alone(tiny_sample());
  assessment.evaluations[0].chosen.counts = {0, 0, 3, 2};
  const std::string svg = roc_svg(assessment);
  EXPECT_THAT(svg, HasSubstr("no precision: nothing is flagged"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(RocSvg, DrawsEachOfSeveralScoresInItsOwnWay) {
  const std::string svg = roc_svg(several(10));
  EXPECT_EQ(test::XmlCheck::problem(svg), "");
  for (const std::string order : {"first", "second", "third", "eighth", "first again", "second again"})
    EXPECT_THAT(svg, HasSubstr("<path class=\"curve " + order + "\" d=\"M"));
  for (int i = 1; i <= 10; ++i) EXPECT_THAT(svg, HasSubstr("model-" + std::to_string(i) + "/scores.csv"));
  EXPECT_THAT(svg, HasSubstr("<title>runs/model-3/scores.csv: threshold"));
}

TEST(RocSvg, KeepsSmallRatesApartFromZero) {
  auto assessment = alone(tiny_sample());
  assessment.evaluations[0].chosen.counts = {999'999, 1, 999'999, 1};
  assessment.evaluations[0].auroc.value = 0.999999;
  const std::string svg = roc_svg(assessment);
  EXPECT_THAT(svg, HasSubstr("TPR 99.99990%, FPR 0.00010%"));
  EXPECT_THAT(svg, HasSubstr("AUROC 0.9999990"));
}

TEST(ThinnedCurve, IsTheWholeCurveWhenShort) {
  const auto curve = long_curve(99);
  EXPECT_EQ(thinned(curve, 100).size(), 100u);
}

TEST(ThinnedCurve, KeepsEndsAndWantedPointsWithinItsLimit) {
  const auto curve = long_curve(200'000);
  for (const std::size_t limit : {32u, 500u, 4000u}) {
    const auto kept = thinned(curve, limit, {12'345, 77'777, 199'999});
    EXPECT_LE(kept.size(), limit);
    EXPECT_EQ(kept.front(), 0u);
    EXPECT_EQ(kept.back(), curve.size() - 1);
    for (const std::size_t wanted : {12'345u, 77'777u, 199'999u}) {
      EXPECT_TRUE(std::binary_search(kept.begin(), kept.end(), wanted)) << wanted;
    }
    EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end(), std::less_equal<>()));
  }
}

TEST(ThinnedCurve, LeavesOutNoStretchLongerThanPromised) {
  const auto curve = long_curve(300'000);
  const std::size_t limit = 1000;
  const auto kept = thinned(curve, limit);
  const double promised = 3.0 / (limit - 4) + 1e-5;  // and one step of the curve
  for (std::size_t i = 1; i < kept.size(); ++i) {
    const auto& a = curve[kept[i - 1]].counts;
    const auto& b = curve[kept[i]].counts;
    EXPECT_LE(b.tpr() - a.tpr(), promised);
    EXPECT_LE(b.fpr() - a.fpr(), promised);
  }
}

TEST(ThinnedCurve, KeepsEveryOneOfTheFirstFlaggedRows) {
  const auto kept = thinned(long_curve(300'000), 2000);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(kept[i], i);
}

}  // namespace
}  // namespace ae::report::roc_test
