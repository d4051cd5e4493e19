#include "evaluate/summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace ae::evaluate {

namespace {

constexpr std::size_t kCurvePoints = 4000;
constexpr std::size_t kHistogramBins = 60;

void warn_about(const Evaluation& evaluation, std::int64_t resamples_asked, std::string_view name, Reporter& reporter) {
  const std::string prefix = std::string(name) + ": ";
  if (std::isnan(evaluation.auroc.standard_error))
    reporter.warning(prefix + "one " + (evaluation.anomalies < 2 ? "anomaly" : "normal row") +
                     " only: AUROC has no DeLong interval, [0, 1] is given");
  if (evaluation.bootstrap_resamples < resamples_asked)
    reporter.warning(prefix + std::to_string(evaluation.bootstrap_resamples) + " bootstrap resamples instead of " +
                     std::to_string(resamples_asked) + ", to bound the work on " + std::to_string(evaluation.rows) +
                     " rows");
  if (evaluation.chosen.counts.tp + evaluation.chosen.counts.fp == 0)
    reporter.warning(prefix + "the threshold chosen by " + evaluation.chosen.rule + " flags no row at all");
}

}  // namespace

Evaluation evaluate(const LabeledScores& scores, const EvaluationOptions& options, std::string_view name,
                    Reporter& reporter) {
  const double confidence = options.bootstrap.confidence;
  Evaluation result;
  result.name = name;
  result.anomalies = scores.anomaly_count();
  result.normals = scores.normal_count();
  result.rows = result.anomalies + result.normals;
  result.confidence = confidence;
  result.seed = options.bootstrap.seed;
  result.auroc = auroc(scores, confidence);
  const auto progress = [&](std::int64_t done, std::int64_t total) {
    reporter.progress("resamples", static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total), "bootstrap");
  };
  const auto bootstrap = bootstrap_average_precision(scores, options.bootstrap, progress);
  reporter.progress_done();
  result.auprc = bootstrap.estimate;
  result.bootstrap_resamples = bootstrap.resamples;
  if (options.partial_max_fpr) result.partial = partial_auroc(scores, *options.partial_max_fpr);
  result.chosen = choose_threshold(scores, options.rule, confidence);
  result.curve = drawable_curve(scores, kCurvePoints, result.chosen.threshold);
  scores.for_each_threshold([&](double, const Confusion&) { ++result.curve_points_in_all; });
  result.histogram = histogram(scores, kHistogramBins);
  warn_about(result, options.bootstrap.resamples, name, reporter);
  return result;
}

void write_curve_csv(const LabeledScores& scores, const std::function<void(std::string_view)>& write) {
  constexpr std::size_t piece = 1 << 16;
  std::string text = "threshold,tpr,fpr,precision,recall,tp,fp,tn,fn\n";
  scores.for_each_threshold([&](double threshold, const Confusion& counts) {
    for (const double number : {threshold, counts.tpr(), counts.fpr(), counts.precision(), counts.tpr()}) {
      append_number(text, number);
      text += ',';
    }
    text += std::to_string(counts.tp) + ',' + std::to_string(counts.fp) + ',' + std::to_string(counts.tn) + ',' +
            std::to_string(counts.fn) + '\n';
    if (text.size() >= piece) {
      write(text);
      text.clear();
    }
  });
  write(text);
}

namespace {

using Json = nlohmann::ordered_json;

Json interval_json(const Interval& interval) { return Json::array({interval.low, interval.high}); }

// JSON has no number for it.
Json number_json(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json chosen_json(const ChosenThreshold& chosen) {
  return {{"rule", chosen.rule}, {"threshold", chosen.threshold}, {"chosen_on_these_labels", true}};
}

Json metrics_json(const ChosenThreshold& chosen) {
  const Confusion& c = chosen.counts;
  return {{"tpr", c.tpr()},
          {"tpr_interval", interval_json(chosen.tpr_interval)},
          {"fpr", c.fpr()},
          {"fpr_interval", interval_json(chosen.fpr_interval)},
          {"precision", c.precision()},
          {"recall", c.tpr()},
          {"specificity", c.specificity()},
          {"f1", c.f1()},
          {"mcc", c.mcc()},
          {"balanced_accuracy", c.balanced_accuracy()},
          {"interval_method", "Wilson"}};
}

Json auprc_json(const Evaluation& e) {
  Json result = {{"value", e.auprc.value}};
  if (e.bootstrap_resamples == 0) {
    result["interval"] = nullptr;
    return result;
  }
  result["standard_error"] = e.auprc.standard_error;
  result["interval"] = interval_json(e.auprc.interval);
  result["method"] = "stratified bootstrap percentiles";
  result["resamples"] = e.bootstrap_resamples;
  result["seed"] = e.seed;
  return result;
}

Json evaluation_json(const Evaluation& e) {
  Json result;
  result["rows"] = e.rows;
  result["anomalies"] = e.anomalies;
  result["normals"] = e.normals;
  result["unlabeled"] = e.unlabeled;
  result["confidence"] = e.confidence;
  result["auroc"] = {{"value", e.auroc.value},
                     {"standard_error", number_json(e.auroc.standard_error)},
                     {"interval", interval_json(e.auroc.interval)},
                     {"method", "DeLong"}};
  result["auprc"] = auprc_json(e);
  if (e.partial)
    result["partial_auroc"] = {
        {"max_fpr", e.partial->max_fpr}, {"raw", e.partial->raw}, {"standardized", e.partial->standardized}};
  result["chosen"] = chosen_json(e.chosen);
  const Confusion& c = e.chosen.counts;
  result["confusion"] = {{"tp", c.tp}, {"fp", c.fp}, {"tn", c.tn}, {"fn", c.fn}};
  result["metrics"] = metrics_json(e.chosen);
  return result;
}

Json comparison_json(const Comparison& c) {
  return {{"rows", c.rows},
          {"difference", c.difference.value},
          {"standard_error", number_json(c.difference.standard_error)},
          {"interval", interval_json(c.difference.interval)},
          {"covariance", number_json(c.covariance)},
          {"correlation", number_json(c.correlation)},
          {"z", number_json(c.z)},
          {"p_value", number_json(c.p_value)},
          {"method", "paired DeLong"}};
}

Json pixels_json(const PixelRates& p, const std::optional<PixelIntervals>& intervals = {}) {
  Json result = {{"images", p.images},
                 {"normal_pixels", p.normal_pixels},
                 {"defect_pixels", p.defect_pixels},
                 {"regions", p.regions},
                 {"auroc", p.auroc},
                 {"average_precision", p.average_precision},
                 {"aupro_30", p.aupro_30},
                 {"aupro_05", p.aupro_05}};
  if (intervals)
    result["intervals"] = {{"auroc", interval_json(intervals->auroc)},
                           {"average_precision", interval_json(intervals->average_precision)},
                           {"aupro_30", interval_json(intervals->aupro_30)},
                           {"aupro_05", interval_json(intervals->aupro_05)},
                           {"method", "Poisson bootstrap of images, percentiles"},
                           {"resamples", intervals->resamples}};
  return result;
}

Json boxes_json(const BoxRates& b) {
  Json types = Json::array();
  for (const auto& type : b.types) types.push_back({{"name", type.type}, {"boxes", type.boxes}, {"hit", type.hit}});
  return {{"boxes", b.boxes},
          {"hit", b.hit},
          {"hit_rate", b.hit_rate()},
          {"hit_rate_interval", interval_json(b.hit_interval)},
          {"types", types},
          {"regions", b.regions},
          {"defective_images", b.defective_images},
          {"normal_images", b.normal_images},
          {"false_regions", b.false_on_defective + b.false_on_normal},
          {"false_regions_per_image", b.false_per_image()},
          {"false_regions_per_defective_image", b.false_per_defective()},
          {"false_regions_per_normal_image", b.false_per_normal()},
          {"normal_images_with_regions", b.normal_images_with_regions}};
}

Json part_json(const Part& part) {
  Json result = {{"name", part.name}, {"anomalies", part.anomalies}, {"normals", part.normals}};
  result["auroc"] = part.auroc ? Json{{"value", part.auroc->value},
                                      {"standard_error", number_json(part.auroc->standard_error)},
                                      {"interval", interval_json(part.auroc->interval)}}
                               : Json(nullptr);
  result["auprc"] = part.auprc ? Json{{"value", *part.auprc}} : Json(nullptr);
  const Confusion& c = part.counts;
  result["confusion"] = {{"tp", c.tp}, {"fp", c.fp}, {"tn", c.tn}, {"fn", c.fn}};
  result["tpr"] = part.anomalies > 0 ? Json(c.tpr()) : Json(nullptr);
  result["fpr"] = part.normals > 0 ? Json(c.fpr()) : Json(nullptr);
  if (part.pixels) result["pixels"] = pixels_json(*part.pixels);
  if (part.boxes) result["boxes"] = boxes_json(*part.boxes);
  return result;
}

void add_details(Json& result, const Details& details) {
  const auto list = [](const std::vector<Part>& parts) {
    Json all = Json::array();
    for (const auto& part : parts) all.push_back(part_json(part));
    return all;
  };
  if (details.pixels) result["pixels"] = pixels_json(*details.pixels, details.pixel_intervals);
  if (details.boxes) {
    result["boxes"] = boxes_json(*details.boxes);
    result["boxes"]["rule"] = details.box_rule;
  }
  if (!details.types.empty()) result["types"] = list(details.types);
  if (!details.group_column.empty()) {
    result["group_by"] = details.group_column;
    result["groups"] = list(details.groups);
  }
}

}  // namespace

std::string summary_json(const Assessment& assessment, const RunFacts& facts) {
  Json result;
  result["program"] = "ae-roc";
  result["version"] = facts.version;
  result["arguments"] = facts.arguments;
  result["inputs"] = Json::array();
  for (const auto& e : assessment.evaluations)
    result["inputs"].push_back({{"path", e.name}, {"sha256", e.sha256.empty() ? Json(nullptr) : Json(e.sha256)}});
  result.update(evaluation_json(assessment.evaluations.front()));
  add_details(result, assessment.details);
  if (assessment.evaluations.size() > 1) result["second"] = evaluation_json(assessment.evaluations[1]);
  if (assessment.comparison) result["comparison"] = comparison_json(*assessment.comparison);
  // A file name may hold bytes that are not UTF-8.
  return result.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

namespace {

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char buffer[256];
  const int length = std::snprintf(buffer, sizeof buffer, pattern, values...);
  return std::string(buffer, std::min<std::size_t>(static_cast<std::size_t>(std::max(length, 0)), sizeof buffer - 1));
}

// The name as it is when a terminal can show it safely, else quoted.
std::string shown_name(const std::string& name) {
  std::string safe = ae::quoted(name, 200);
  return safe == '"' + name + '"' ? name : safe;
}

std::string plural(std::int64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string percent(double confidence) { return format("%.12g %%", 100 * confidence); }

std::string estimate_line(const char* title, const Estimate& estimate, double confidence, std::string_view method) {
  return format("%-10s%.4f   %s interval %.4f to %.4f  ", title, estimate.value, percent(confidence).c_str(),
                estimate.interval.low, estimate.interval.high) +
         "(" + std::string(method) + ")\n";
}

std::string areas_text(const Evaluation& e) {
  std::string text = estimate_line("AUROC", e.auroc, e.confidence,
                                   std::isnan(e.auroc.standard_error) ? "not defined by one row" : "DeLong");
  if (e.bootstrap_resamples > 0) {
    text += estimate_line("AUPRC", e.auprc, e.confidence,
                          "bootstrap, " + plural(e.bootstrap_resamples, "resample", "resamples"));
  } else {
    text += format("%-10s%.4f\n", "AUPRC", e.auprc.value);
  }
  text += format("%-10s%.4f   AUPRC of a random score: the share of anomalies\n", "no skill",
                 static_cast<double>(e.anomalies) / static_cast<double>(e.rows));
  if (e.partial)
    text += format("%-10s%.4f   of at most %.4g, for FPR <= %.4g; standardised %.4f\n", "partial", e.partial->raw,
                   e.partial->max_fpr, e.partial->max_fpr, e.partial->standardized);
  if (e.auroc.value < 0.5) {
    text +=
        "AUROC is below 0.5: higher scores mean normal here. Is the score a likelihood, or are the labels swapped?\n";
  } else if (e.auroc.value == 1) {
    text += "The score separates these rows perfectly; DeLong's interval then has no width.\n";
  }
  return text;
}

std::string rate_line(const char* title, double rate, const Interval& interval, double confidence) {
  return format("%-22s%.4f   %s interval %.4f to %.4f  (Wilson)\n", title, rate, percent(confidence).c_str(),
                interval.low, interval.high);
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
  text += format("%-22s%.4f\n", "precision", c.precision());
  text += format("%-22s%.4f\n", "specificity", c.specificity());
  text += format("%-22s%.4f\n", "F1", c.f1());
  text += format("%-22s%.4f\n", "MCC", c.mcc());
  text += format("%-22s%.4f\n", "balanced accuracy", c.balanced_accuracy());
  text += "The threshold was chosen on these labels: expect somewhat worse figures on new rows.\n";
  return text;
}

std::string evaluation_text(const Evaluation& e) {
  std::string text = shown_name(e.name) + ": " + plural(e.rows, "row", "rows") + ", " +
                     plural(e.anomalies, "anomaly", "anomalies") + ", " + std::to_string(e.normals) + " normal";
  if (e.unlabeled > 0) text += ", " + std::to_string(e.unlabeled) + " without label left out";
  return text + "\n\n" + areas_text(e) + "\n" + threshold_text(e);
}

std::string comparison_text(const Assessment& assessment) {
  const Comparison& c = *assessment.comparison;
  const double confidence = assessment.evaluations.front().confidence;
  std::string text = shown_name(assessment.evaluations[0].name) + " against " +
                     shown_name(assessment.evaluations[1].name) + " on the same " + plural(c.rows, "row", "rows") +
                     "\n\n";
  text += format("%-22s%+.4f   %s interval %+.4f to %+.4f  (paired DeLong)\n", "AUROC difference", c.difference.value,
                 percent(confidence).c_str(), c.difference.interval.low, c.difference.interval.high);
  if (std::isnan(c.p_value)) return text + "One row in a class: no test is possible.\n";
  text += format("%-22s%.4f\n", "z", c.z);
  text += format("%-22s%.4g\n", "p-value (two-sided)", c.p_value);
  if (c.difference.standard_error == 0)
    text += c.difference.value == 0 ? "Both scores rank the classes alike.\n"
                                    : "The difference has no estimated variance; the test is not reliable here.\n";
  return text;
}

// An area with its interval, when there is one.
std::string area_line(const char* title, double value, const PixelIntervals* intervals, const Interval* interval,
                      double confidence) {
  if (!intervals) return format("%-22s%.4f\n", title, value);
  return format("%-22s%.4f   %s interval %.4f to %.4f\n", title, value, percent(confidence).c_str(), interval->low,
                interval->high);
}

std::string pixels_text(const Details& details, double confidence) {
  const PixelRates& p = *details.pixels;
  const PixelIntervals* const i = details.pixel_intervals ? &*details.pixel_intervals : nullptr;
  std::string text =
      "pixels of " + plural(p.images, "image", "images") + ": " +
      format("%.4g %% of %lld are defect, in ",
             100 * static_cast<double>(p.defect_pixels) / static_cast<double>(p.defect_pixels + p.normal_pixels),
             static_cast<long long>(p.defect_pixels + p.normal_pixels)) +
      plural(p.regions, "region", "regions") + "\n";
  text += area_line("pixel AUROC", p.auroc, i, i ? &i->auroc : nullptr, confidence);
  text += area_line("pixel AP", p.average_precision, i, i ? &i->average_precision : nullptr, confidence);
  text += area_line("AUPRO to FPR 0.3", p.aupro_30, i, i ? &i->aupro_30 : nullptr, confidence);
  text += area_line("AUPRO to FPR 0.05", p.aupro_05, i, i ? &i->aupro_05 : nullptr, confidence);
  if (i) text += "Intervals are from " + plural(i->resamples, "resample", "resamples") + " of whole images.\n";
  return text;
}

std::string boxes_text(const Details& details, double confidence) {
  const BoxRates& b = *details.boxes;
  std::string text = "regions against " + plural(b.boxes, "box", "boxes") + " (" + details.box_rule + ")\n";
  text += rate_line("boxes hit", b.hit_rate(), b.hit_interval, confidence);
  for (const auto& type : b.types)
    if (b.types.size() > 1)
      text += format("  %-20.60s%.4f   %lld of %lld\n", shown_name(type.type).c_str(),
                     static_cast<double>(type.hit) / static_cast<double>(type.boxes), static_cast<long long>(type.hit),
                     static_cast<long long>(type.boxes));
  text += format("%-22s%.4f\n", "false regions an image", b.false_per_image());
  text += format("%-22s%.4f   on %lld\n", "  defective images", b.false_per_defective(),
                 static_cast<long long>(b.defective_images));
  text += format("%-22s%.4f   on %lld, of which %lld have a region\n", "  normal images", b.false_per_normal(),
                 static_cast<long long>(b.normal_images), static_cast<long long>(b.normal_images_with_regions));
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
    text += known ? format("%*.4f", cells, value) : format("%*s", cells, "-");
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
      text += format("%7.2f", part.boxes ? part.boxes->false_per_image() : 0);
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
    return format("pixel AUROC %.4f, AP %.4f, AUPRO %.4f to FPR 0.3 and %.4f to 0.05", p.auroc, p.average_precision,
                  p.aupro_30, p.aupro_05);
  };
  const auto boxes = [](const BoxRates& b) {
    return format("%lld of %lld boxes hit, %.2f false regions an image", static_cast<long long>(b.hit),
                  static_cast<long long>(b.boxes), b.false_per_image());
  };
  if (details.pixels) facts.emplace_back("Pixels", pixels(*details.pixels));
  if (details.boxes) facts.emplace_back("Boxes", boxes(*details.boxes));
  const auto add = [&](std::string_view kind, const std::vector<Part>& parts) {
    for (std::size_t i = 0; i < std::min(parts.size(), most_parts); ++i) {
      const Part& part = parts[i];
      std::string text = part.auroc ? format("AUROC %.4f", part.auroc->value) : std::string("one class only");
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

std::string summary_table(const Assessment& assessment) {
  std::string text;
  for (const auto& evaluation : assessment.evaluations) {
    if (!text.empty()) text += "\n";
    text += evaluation_text(evaluation);
  }
  text += details_text(assessment.details, assessment.evaluations.front().confidence);
  if (assessment.comparison) text += "\n" + comparison_text(assessment);
  return text;
}

}  // namespace ae::evaluate
