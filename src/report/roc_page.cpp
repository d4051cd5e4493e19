#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/roc.hpp"
#include "report/roc_text.hpp"

namespace ae::report {
namespace {

using evaluate::Confusion;
using evaluate::CurvePoint;
using evaluate::Evaluation;
using evaluate::rate_text;
using nlohmann::json;

constexpr std::size_t most_stops = 4000;         // of one evaluation
constexpr std::size_t most_stops_in_all = 8000;  // as far as each keeps the fewest
constexpr std::size_t fewest_stops = 400;
constexpr std::size_t most_notices = 50;
constexpr std::size_t most_bins = 400;
constexpr std::size_t most_text = 2000;  // characters of one fact

// A button of the page: a rule and the curve point it leads to.
struct Preset {
  std::string rule;
  std::string label;
  std::string help;
  std::size_t point;
};

// The first, so highest, of the points that `gain` finds best.
template <typename Gain>
std::size_t best_point(const std::vector<CurvePoint>& curve, Gain gain) {
  const auto best = std::max_element(curve.begin(), curve.end(),
                                     [&](const auto& a, const auto& b) { return gain(a.counts) < gain(b.counts); });
  return static_cast<std::size_t>(best - curve.begin());
}

std::size_t most_found_within(const std::vector<CurvePoint>& curve, double most_fpr) {
  return best_point(curve, [=](const Confusion& c) { return c.fpr() <= most_fpr ? c.tp : -1; });
}

// Buttons that lead to the same threshold are one, in the place of the first.
std::vector<Preset> merged(std::vector<Preset> all) {
  std::vector<Preset> result;
  for (auto& preset : all) {
    const auto same =
        std::find_if(result.begin(), result.end(), [&](const auto& p) { return p.point == preset.point; });
    if (same == result.end()) {
      result.push_back(std::move(preset));
    } else {
      same->label += ", " + preset.label;
      same->help += "; " + preset.help;
    }
  }
  return result;
}

std::vector<Preset> presets(const Evaluation& evaluation) {
  const auto& curve = evaluation.curve;
  const auto youden = [&](const Confusion& c) { return c.tp * evaluation.normals - c.fp * evaluation.anomalies; };
  std::vector<Preset> all = {
      {"youden", "Youden", "Largest difference of true and false positive rate", best_point(curve, youden)},
      {"f1", "best F1", "Largest harmonic mean of precision and recall",
       best_point(curve, [](const Confusion& c) { return c.f1(); })},
      {"fpr=0.01", "FPR \xE2\x89\xA4 1%", "Most anomalies found with at most 1% of normal rows flagged",
       most_found_within(curve, 0.01)},
      {"fpr=0.05", "FPR \xE2\x89\xA4 5%", "Most anomalies found with at most 5% of normal rows flagged",
       most_found_within(curve, 0.05)}};
  // The user's own choice comes first; of the exact same rule, it is the one over the whole curve.
  const auto same =
      std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.rule == evaluation.chosen.rule; });
  Preset chosen{evaluation.chosen.rule, shortened(evaluation.chosen.rule, 40), "The threshold chosen by this run", 0};
  if (same != all.end()) {
    chosen = *same;
    all.erase(same);
  }
  chosen.point = chosen_point(evaluation);
  all.insert(all.begin(), chosen);
  return merged(std::move(all));
}

// JSON has no infinities and no NaN: null.
json number_or_null(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json estimate(const evaluate::Estimate& value, bool with_interval) {
  return {{"value", number_or_null(value.value)},
          {"low", with_interval ? number_or_null(value.interval.low) : json(nullptr)},
          {"high", with_interval ? number_or_null(value.interval.high) : json(nullptr)}};
}

// Joins neighbouring bins until there are few enough.
json histogram(const evaluate::Histogram& bins) {
  const std::size_t count = bins.normals.size();
  const std::size_t factor = (count + most_bins - 1) / most_bins;
  json edges = json::array();
  json normals = json::array();
  json anomalies = json::array();
  for (std::size_t first = 0; first < count; first += factor) {
    const std::size_t last = std::min(first + factor, count);
    std::int64_t normal = 0;
    std::int64_t anomalous = 0;
    for (std::size_t b = first; b < last; ++b) {
      normal += bins.normals[b];
      anomalous += bins.anomalies[b];
    }
    edges.push_back(bins.edges[first]);
    normals.push_back(normal);
    anomalies.push_back(anomalous);
  }
  if (count > 0) edges.push_back(bins.edges[count]);
  return {{"logarithmic", bins.logarithmic}, {"edges", edges}, {"normals", normals}, {"anomalies", anomalies}};
}

json evaluation_json(const Evaluation& evaluation, std::size_t limit, std::size_t& stop_count) {
  const auto buttons = presets(evaluation);
  std::vector<std::size_t> wanted;
  for (const auto& button : buttons) wanted.push_back(button.point);
  const auto stops = thinned(evaluation.curve, limit, wanted);
  stop_count = stops.size();
  const auto stop_of = [&](std::size_t point) {
    return std::lower_bound(stops.begin(), stops.end(), point) - stops.begin();
  };
  json thresholds = json::array();
  json tp = json::array();
  json fp = json::array();
  for (const std::size_t i : stops) {
    thresholds.push_back(number_or_null(evaluation.curve[i].threshold));
    tp.push_back(evaluation.curve[i].counts.tp);
    fp.push_back(evaluation.curve[i].counts.fp);
  }
  json offered = json::array();
  for (const auto& b : buttons) offered.push_back({{"label", b.label}, {"help", b.help}, {"stop", stop_of(b.point)}});
  return {{"name", shortened(evaluation.name, 200)},
          {"model", evaluation.model},
          {"anomalies", evaluation.anomalies},
          {"normals", evaluation.normals},
          {"auroc", estimate(evaluation.auroc, true)},
          {"auprc", estimate(evaluation.auprc, evaluation.bootstrap_resamples > 0)},
          {"threshold", thresholds},
          {"tp", tp},
          {"fp", fp},
          {"chosen", stop_of(buttons.front().point)},
          {"presets", offered},
          {"histogram", histogram(evaluation.histogram)}};
}

// 1234567 -> "1,234,567"
std::string grouped(std::int64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string rows_text(const Evaluation& e) {
  std::string text =
      grouped(e.rows) + " labelled: " + grouped(e.anomalies) + " anomalies, " + grouped(e.normals) + " normal";
  if (e.unlabeled > 0) text += "; " + grouped(e.unlabeled) + " without a label left out";
  return text;
}

std::string positions_text(const Evaluation& e, std::size_t stops) {
  const auto shown = static_cast<std::int64_t>(stops);
  if (shown >= e.curve_points_in_all) return grouped(shown) + ": every threshold that differs";
  return grouped(shown) + " of " + grouped(e.curve_points_in_all) +
         " thresholds that differ: curves and slider are thinned. Counts at each position are exact; Youden, F1 and "
         "FPR buttons are the best of these positions";
}

std::string chosen_text(const Evaluation& e) {
  return number_text(e.chosen.threshold) + " by " + e.chosen.rule + ": TPR " + rate_text(e.chosen.counts.tpr()) + " (" +
         rate_text(e.chosen.tpr_interval.low) + " to " + rate_text(e.chosen.tpr_interval.high) + "), FPR " +
         rate_text(e.chosen.counts.fpr()) + " (" + rate_text(e.chosen.fpr_interval.low) + " to " +
         rate_text(e.chosen.fpr_interval.high) + ")";
}

std::string intervals_text(const Evaluation& e) {
  std::string text = rounded_text(100 * e.confidence, 4) + "%; AUROC by DeLong";
  if (e.bootstrap_resamples > 0) {
    text += "; AUPRC by stratified bootstrap, " + grouped(e.bootstrap_resamples) + " resamples, seed " +
            std::to_string(e.seed);
  }
  return text + "; rates by Wilson";
}

class Facts {
 public:
  void add(std::string_view name, std::string_view value) {
    if (!value.empty()) list_.push_back({shortened(name, 80), shortened(value, most_text)});
  }
  const json& list() const { return list_; }

 private:
  json list_ = json::array();
};

void add_facts(Facts& facts, const Evaluation& e, std::size_t stops, const std::string& which) {
  facts.add("Scores" + which, e.name);
  if (!e.sha256.empty()) facts.add("SHA-256" + which, e.sha256);
  facts.add("Model" + which, e.model);
  facts.add("Rows" + which, rows_text(e));
  facts.add("Chosen threshold" + which, chosen_text(e));
  if (e.partial) {
    facts.add("Partial AUROC" + which, "FPR up to " + number_text(e.partial->max_fpr) + ": " +
                                           rate_text(e.partial->raw, 5) + ", standardized " +
                                           rate_text(e.partial->standardized, 5));
  }
  facts.add("Slider positions" + which, positions_text(e, stops));
}

json tests_json(const std::vector<evaluate::PairTest>& tests) {
  json list = json::array();
  for (const auto& test : tests) {
    json one = estimate(test.comparison.difference, true);
    one["first"] = test.first;
    one["second"] = test.second;
    one["p_value"] = number_or_null(test.comparison.p_value);
    one["adjusted_p_value"] = number_or_null(test.adjusted_p_value);
    one["rows"] = test.comparison.rows;
    list.push_back(std::move(one));
  }
  return list;
}

json notices(const std::vector<std::string>& lines) {
  json list = json::array();
  for (std::size_t i = 0; i < std::min(lines.size(), most_notices); ++i) list.push_back(shortened(lines[i], most_text));
  if (lines.size() > most_notices)
    list.push_back("and " + grouped(static_cast<std::int64_t>(lines.size() - most_notices)) + " more");
  return list;
}

}  // namespace

std::string roc_page(const RocPage& page) {
  const auto& evaluations = page.assessment.evaluations;
  const bool several = evaluations.size() > 1;
  const std::size_t limit = std::clamp(most_stops_in_all / evaluations.size(), fewest_stops, most_stops);
  json list = json::array();
  Facts facts;
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    std::size_t stops = 0;
    list.push_back(evaluation_json(evaluations[i], limit, stops));
    add_facts(facts, evaluations[i], stops, several ? joined(" ", std::to_string(i + 1)) : "");
  }
  facts.add("Intervals", intervals_text(evaluations.front()));
  for (const auto& [name, value] : page.facts) facts.add(name, value);
  facts.add("Command", page.command);

  const json data = {{"evaluations", list},
                     {"tests", tests_json(page.assessment.tests)},
                     {"facts", facts.list()},
                     {"confidence", evaluations.front().confidence},
                     {"rule", shortened(evaluations.front().chosen.rule, 80)},
                     {"warnings", notices(page.warnings)},
                     {"notes", notices(page.notes)}};
  const std::string title =
      several ? (evaluations.size() == 2 ? "Two" : std::to_string(evaluations.size())) + std::string(" scores compared")
              : "How good is the score in " + shortened(evaluations.front().name, 80) + "?";
  return html_page({.title = title,
                    .description =
                        "Move the threshold to see what it finds and what it flags by mistake. A row is flagged "
                        "when its score is at or above the threshold.",
                    .body = assets::roc_html,
                    .style = assets::roc_css,
                    .script = assets::roc_js,
                    .data = data});
}

}  // namespace ae::report
