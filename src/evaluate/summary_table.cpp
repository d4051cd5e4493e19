// What people read of an assessment.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "evaluate/summary.hpp"

namespace ae::evaluate {

namespace {

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char buffer[256];
  const int length = std::snprintf(buffer, sizeof buffer, pattern, values...);
  return std::string(buffer, std::min<std::size_t>(static_cast<std::size_t>(std::max(length, 0)), sizeof buffer - 1));
}

// The name as it is when a terminal can show it safely, else quoted.
std::string shown_name(const std::string& name, std::size_t limit = 200) {
  std::string safe = ae::quoted(name, limit);
  return safe == '"' + name + '"' ? name : safe;
}

std::string percent(double confidence) { return format("%.12g %%", 100 * confidence); }

// "0.9167   95 % interval 0.8712 to 0.9623"
std::string with_interval(double value, const Interval& interval, double confidence) {
  return rate_text(value) + "   " + percent(confidence) + " interval " + rate_text(interval.low) + " to " +
         rate_text(interval.high);
}

std::string estimate_line(const char* title, const Estimate& estimate, double confidence, std::string_view method) {
  return format("%-10s", title) + with_interval(estimate.value, estimate.interval, confidence) + "  (" +
         std::string(method) + ")\n";
}

// What is to be known of the areas, a sentence; "" when there is nothing.
std::string area_remark(const Evaluation& e) {
  if (e.auroc.value < 0.5)
    return "AUROC is below 0.5: higher scores mean normal here. Is the score a likelihood, or are the labels swapped?";
  if (e.auroc.value == 1) return "The score separates these rows perfectly; DeLong's interval then has no width.";
  return {};
}

constexpr std::string_view kChosenOnTheseLabels =
    "The threshold was chosen on these labels: expect somewhat worse figures on new rows.";

std::string areas_text(const Evaluation& e) {
  std::string text = estimate_line("AUROC", e.auroc, e.confidence,
                                   std::isnan(e.auroc.standard_error) ? "not defined by one row" : "DeLong");
  if (e.bootstrap_resamples > 0) {
    text += estimate_line("AUPRC", e.auprc, e.confidence,
                          "bootstrap, " + counted(e.bootstrap_resamples, "resample", "resamples"));
  } else {
    text += format("%-10s%s\n", "AUPRC", rate_text(e.auprc.value).c_str());
  }
  text += format("%-10s%s   AUPRC of a random score: the share of anomalies\n", "no skill",
                 rate_text(static_cast<double>(e.anomalies) / static_cast<double>(e.rows)).c_str());
  if (e.partial)
    text += format("%-10s%s   of at most %.4g, for FPR <= %.4g; standardised %s\n", "partial",
                   rate_text(e.partial->raw).c_str(), e.partial->max_fpr, e.partial->max_fpr,
                   rate_text(e.partial->standardized).c_str());
  const std::string remark = area_remark(e);
  return remark.empty() ? text : text + remark + "\n";
}

std::string rate_line(const char* title, double rate, const Interval& interval, double confidence) {
  return format("%-22s", title) + with_interval(rate, interval, confidence) + "  (Wilson)\n";
}

std::string threshold_text(const Evaluation& e) {
  const Confusion& c = e.chosen.counts;
  std::string text = "threshold " + number_text(e.chosen.threshold) + " by " + e.chosen.rule +
                     ": a row is flagged when its score is at least that\n";
  text += format("%-12s%12s%14s\n", "", "flagged", "not flagged");
  text += format("%-12s%12lld%14lld\n", "anomalies", static_cast<long long>(c.tp), static_cast<long long>(c.fn));
  text += format("%-12s%12lld%14lld\n", "normal", static_cast<long long>(c.fp), static_cast<long long>(c.tn));
  text += rate_line("recall (TPR)", c.tpr(), e.chosen.tpr_interval, e.confidence);
  text += rate_line("false alarms (FPR)", c.fpr(), e.chosen.fpr_interval, e.confidence);
  const auto add = [&](const char* title, double rate) { text += format("%-22s%s\n", title, rate_text(rate).c_str()); };
  if (std::isnan(c.precision())) {
    text += format("%-22s-        nothing is flagged\n", "precision");
  } else {
    add("precision", c.precision());
  }
  add("specificity", c.specificity());
  add("F1", c.f1());
  add("MCC", c.mcc());
  add("balanced accuracy", c.balanced_accuracy());
  return text + std::string(kChosenOnTheseLabels) + "\n";
}

std::string rows_text(const Evaluation& e) {
  std::string text = counted(e.rows, "row", "rows") + ", " + counted(e.anomalies, "anomaly", "anomalies") + ", " +
                     std::to_string(e.normals) + " normal";
  if (e.unscored > 0) text += ", " + std::to_string(e.unscored) + " without score left out";
  if (e.unlabeled > 0) text += ", " + std::to_string(e.unlabeled) + " without label left out";
  return text;
}

std::string evaluation_text(const Evaluation& e) {
  const std::string model = e.model.empty() ? "" : ", model " + e.model;
  return shown_name(e.name) + ": " + rows_text(e) + model + "\n\n" + areas_text(e) + "\n" + threshold_text(e);
}

// What is to be known of a test, a sentence; "" when there is nothing.
std::string test_remark(const Comparison& c) {
  if (std::isnan(c.p_value)) return "One row in a class: no test is possible.";
  if (c.difference.standard_error > 0) return {};
  return c.difference.value == 0 ? "Both scores rank the classes alike."
                                 : "The difference has no estimated variance; the test is not reliable here.";
}

std::string comparison_text(const Assessment& assessment) {
  const Comparison& c = assessment.tests.front().comparison;
  const double confidence = assessment.evaluations.front().confidence;
  std::string text = shown_name(assessment.evaluations[0].name) + " against " +
                     shown_name(assessment.evaluations[1].name) + " on the same " + counted(c.rows, "row", "rows") +
                     "\n\n";
  text += format("%-22s", "AUROC difference") + difference_text(c.difference.value) + "   " + percent(confidence) +
          " interval " + difference_text(c.difference.interval.low) + " to " +
          difference_text(c.difference.interval.high) + "  (paired DeLong)\n";
  if (!std::isnan(c.p_value)) {
    text += format("%-22s%.4f\n", "z", c.z);
    text += format("%-22s%.4g\n", "p-value (two-sided)", c.p_value);
  }
  const std::string remark = test_remark(c);
  return remark.empty() ? text : text + remark + "\n";
}

// At most `width` characters: a long path keeps its end.
std::string name_in(std::size_t width, const std::string& name) {
  const std::string shown = shown_name(name, name.size());
  return shown.size() <= width ? shown : "..." + shown.substr(shown.size() - width + 3);
}

std::string range_text(const Interval& interval, bool signs = false) {
  const auto text = [&](double value) { return signs ? difference_text(value) : rate_text(value); };
  return text(interval.low) + " to " + text(interval.high);
}

// A line for each of several scores.
std::string scores_text(const std::vector<Evaluation>& evaluations) {
  constexpr std::size_t most = 28;
  std::size_t width = 6;
  bool models = false;
  bool intervals = false;
  for (const auto& e : evaluations) {
    width = std::max(width, name_in(most, e.name).size());
    models = models || !e.model.empty();
    intervals = intervals || e.bootstrap_resamples > 0;
  }
  const auto column = static_cast<int>(width + 2);
  const std::string range = percent(evaluations.front().confidence) + " interval";
  std::string text = format("%4s  %-*s%-8s%-19s%-8s", "", column, "scores", "AUROC", range.c_str(), "AUPRC");
  if (intervals) text += format("%-19s", range.c_str());
  text += format("%-8s%-8s%-12s", "TPR", "FPR", "threshold") + (models ? "model" : "") + "\n";
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    const Evaluation& e = evaluations[i];
    std::string line = format("%4zu  %-*s", i + 1, column, name_in(most, e.name).c_str());
    const auto add = [&](int cells, const std::string& cell) { line += format("%-*s ", cells - 1, cell.c_str()); };
    add(8, rate_text(e.auroc.value));
    add(19, range_text(e.auroc.interval));
    add(8, rate_text(e.auprc.value));
    if (intervals) add(19, range_text(e.auprc.interval));
    add(8, rate_text(e.chosen.counts.tpr()));
    add(8, rate_text(e.chosen.counts.fpr()));
    add(12, format("%.5g", e.chosen.threshold));
    line += e.model;
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string tests_text(const Assessment& assessment) {
  std::string text = "AUROC differences of all pairs by their numbers above, paired DeLong; p of " +
                     counted(static_cast<std::int64_t>(assessment.tests.size()), "test", "tests") +
                     " adjusted by Holm\n";
  for (const auto& test : assessment.tests) {
    const Comparison& c = test.comparison;
    text += format("%4zu against %-4zu", test.first + 1, test.second + 1) + difference_text(c.difference.value) +
            "   " + percent(assessment.evaluations.front().confidence) + " interval " +
            range_text(c.difference.interval, true);
    const std::string remark = test_remark(c);
    text += std::isnan(c.p_value) ? "" : format("   p %.4g, adjusted %.4g", c.p_value, test.adjusted_p_value);
    text += (remark.empty() ? "" : "   " + remark) + "\n";
  }
  return text;
}

std::string several_text(const Assessment& assessment) {
  const auto& evaluations = assessment.evaluations;
  std::string text = std::to_string(evaluations.size()) +
                     " scores of the same rows: " + rows_text(evaluations.front()) + "\n\n" + scores_text(evaluations);
  for (const auto& e : evaluations) {
    const std::string remark = area_remark(e);
    if (!remark.empty()) text += shown_name(e.name) + ": " + remark + "\n";
  }
  text += "TPR and FPR are at the threshold that " + evaluations.front().chosen.rule + " chooses for each score.\n" +
          std::string(kChosenOnTheseLabels) + "\n";
  return text + "\n" + tests_text(assessment);
}

// An area with its interval, when there is one.
std::string area_line(const char* title, double value, const PixelIntervals* intervals, const Interval* interval,
                      double confidence) {
  return format("%-22s", title) + (intervals ? with_interval(value, *interval, confidence) : rate_text(value)) + "\n";
}

std::string pixels_text(const Details& details, double confidence) {
  const PixelRates& p = *details.pixels;
  const PixelIntervals* const i = details.pixel_intervals ? &*details.pixel_intervals : nullptr;
  std::string text =
      "pixels of " + counted(p.images, "image", "images") + ": " +
      format("%.4g %% of %lld are defect, in ",
             100 * static_cast<double>(p.defect_pixels) / static_cast<double>(p.defect_pixels + p.normal_pixels),
             static_cast<long long>(p.defect_pixels + p.normal_pixels)) +
      counted(p.regions, "region", "regions") + "\n";
  text += area_line("pixel AUROC", p.auroc, i, i ? &i->auroc : nullptr, confidence);
  text += area_line("pixel AP", p.average_precision, i, i ? &i->average_precision : nullptr, confidence);
  text += area_line("AUPRO to FPR 0.3", p.aupro_30, i, i ? &i->aupro_30 : nullptr, confidence);
  text += area_line("AUPRO to FPR 0.05", p.aupro_05, i, i ? &i->aupro_05 : nullptr, confidence);
  if (i) text += "Intervals are from " + counted(i->resamples, "resample", "resamples") + " of whole images.\n";
  return text;
}

std::string boxes_text(const Details& details, double confidence) {
  const BoxRates& b = *details.boxes;
  std::string text = "regions against " + counted(b.boxes, "box", "boxes") + " (" + details.box_rule + ")\n";
  text += rate_line("boxes hit", b.hit_rate(), b.hit_interval, confidence);
  for (const auto& type : b.types)
    if (b.types.size() > 1)
      text += format("  %-20.60s%s   %lld of %lld\n", shown_name(type.type).c_str(),
                     rate_text(static_cast<double>(type.hit) / static_cast<double>(type.boxes)).c_str(),
                     static_cast<long long>(type.hit), static_cast<long long>(type.boxes));
  text += format("%-22s%s\n", "false regions/image", rate_text(b.false_per_image()).c_str());
  text += format("%-22s%s   on %lld\n", "  defective images", rate_text(b.false_per_defective()).c_str(),
                 static_cast<long long>(b.defective_images));
  text += format("%-22s%s   on %lld, of which %lld have a region\n", "  normal images",
                 rate_text(b.false_per_normal()).c_str(), static_cast<long long>(b.normal_images),
                 static_cast<long long>(b.normal_images_with_regions));
  return text;
}

std::string parts_text(const std::string& title, const std::vector<Part>& parts) {
  const auto any = [&](auto member) {
    return std::any_of(parts.begin(), parts.end(), [&](const Part& part) { return (part.*member).has_value(); });
  };
  const bool pixels = any(&Part::pixels);
  const bool boxes = any(&Part::boxes);
  std::size_t width = title.size();
  for (const auto& part : parts) width = std::max(width, std::min<std::size_t>(shown_name(part.name).size(), 30));
  const auto column = static_cast<int>(width + 2);
  std::string text = format("%-*s%9s%8s%8s%8s%8s", column, title.c_str(), "anomalies", "normal", "AUROC", "TPR", "FPR");
  if (pixels) text += format("%9s%8s%8s%9s", "px AUROC", "px AP", "PRO 0.3", "PRO 0.05");
  if (boxes) text += format("%8s%7s", "boxes", "false");
  text += "\n";
  const auto figure = [&](int cells, bool known, double value) {
    text += format("%*s", cells, known ? rate_text(value).c_str() : "-");
  };
  for (const auto& part : parts) {
    text += format("%-*.*s%9lld%8lld", column, column - 1, shown_name(part.name).c_str(),
                   static_cast<long long>(part.anomalies), static_cast<long long>(part.normals));
    figure(8, part.auroc.has_value(), part.auroc ? part.auroc->value : 0);
    figure(8, part.anomalies > 0, part.counts.tpr());
    figure(8, part.normals > 0, part.counts.fpr());
    const PixelRates none;
    const PixelRates& p = part.pixels ? *part.pixels : none;
    if (pixels) {
      figure(9, part.pixels.has_value(), p.auroc);
      figure(8, part.pixels.has_value(), p.average_precision);
      figure(8, part.pixels.has_value(), p.aupro_30);
      figure(9, part.pixels.has_value(), p.aupro_05);
    }
    if (boxes) {
      figure(8, part.boxes && part.boxes->boxes > 0, part.boxes ? part.boxes->hit_rate() : 0);
      text += format("%7s", rate_text(part.boxes ? part.boxes->false_per_image() : 0, 2).c_str());
    }
    text += "\n";
  }
  return text;
}

std::string details_text(const Details& details, double confidence) {
  std::string text;
  if (details.pixels) text += "\n" + pixels_text(details, confidence);
  if (details.boxes) text += "\n" + boxes_text(details, confidence);
  if (!details.types.empty()) text += "\n" + parts_text("type", details.types) + "Each type against all normal rows.\n";
  if (!details.groups.empty()) text += "\n" + parts_text(shown_name(details.group_column), details.groups);
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> detail_facts(const Details& details) {
  constexpr std::size_t most_parts = 20;
  std::vector<std::pair<std::string, std::string>> facts;
  const auto pixels = [](const PixelRates& p) {
    return "pixel AUROC " + rate_text(p.auroc) + ", AP " + rate_text(p.average_precision) + ", AUPRO " +
           rate_text(p.aupro_30) + " to FPR 0.3 and " + rate_text(p.aupro_05) + " to 0.05";
  };
  const auto boxes = [](const BoxRates& b) {
    return format("%lld of %lld boxes hit, %s false regions an image", static_cast<long long>(b.hit),
                  static_cast<long long>(b.boxes), rate_text(b.false_per_image(), 2).c_str());
  };
  if (details.pixels) facts.emplace_back("Pixels", pixels(*details.pixels));
  if (details.boxes) facts.emplace_back("Boxes", boxes(*details.boxes));
  const auto add = [&](std::string_view kind, const std::vector<Part>& parts) {
    for (std::size_t i = 0; i < std::min(parts.size(), most_parts); ++i) {
      const Part& part = parts[i];
      std::string text = part.auroc ? "AUROC " + rate_text(part.auroc->value) : std::string("one class only");
      if (part.anomalies > 0)
        text += format(", %lld of %lld found", static_cast<long long>(part.counts.tp),
                       static_cast<long long>(part.anomalies));
      if (part.pixels) text += ", " + pixels(*part.pixels);
      if (part.boxes && part.boxes->boxes > 0) text += ", " + boxes(*part.boxes);
      facts.emplace_back(std::string(kind) + " " + shown_name(part.name), text);
    }
  };
  add("Type", details.types);
  add("Group", details.groups);
  return facts;
}

std::vector<std::string> remarks(const Assessment& assessment) {
  std::vector<std::string> result;
  const bool several = assessment.evaluations.size() > 1;
  for (const auto& e : assessment.evaluations)
    if (const std::string remark = area_remark(e); !remark.empty())
      result.push_back(several ? shown_name(e.name) + ": " + remark : remark);
  for (const auto& test : assessment.tests)
    if (const std::string remark = test_remark(test.comparison); !remark.empty())
      result.push_back(shown_name(assessment.evaluations[test.first].name) + " against " +
                       shown_name(assessment.evaluations[test.second].name) + ": " + remark);
  result.emplace_back(kChosenOnTheseLabels);
  return result;
}

std::string summary_table(const Assessment& assessment) {
  if (assessment.evaluations.size() > 2) return several_text(assessment);
  std::string text;
  for (const auto& evaluation : assessment.evaluations) {
    if (!text.empty()) text += "\n";
    text += evaluation_text(evaluation);
  }
  text += details_text(assessment.details, assessment.evaluations.front().confidence);
  if (!assessment.tests.empty()) text += "\n" + comparison_text(assessment);
  return text;
}

}  // namespace ae::evaluate
