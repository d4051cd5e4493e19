#include "evaluate/summary.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
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
    reporter.warning(prefix + counted(evaluation.bootstrap_resamples, "bootstrap resamples") + " instead of " +
                     std::to_string(resamples_asked) + ", to bound the work on " + counted(evaluation.rows, "rows"));
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
      if (!std::isnan(number)) append_number(text, number);
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
          {"precision", number_json(c.precision())},
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
  result["model"] = e.model.empty() ? Json(nullptr) : Json(e.model);
  result["rows"] = e.rows;
  result["anomalies"] = e.anomalies;
  result["normals"] = e.normals;
  result["unlabeled"] = e.unlabeled;
  result["unscored"] = e.unscored;
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

void add_comparisons(Json& result, const Assessment& assessment) {
  const auto& evaluations = assessment.evaluations;
  if (evaluations.size() == 2) {
    result["second"] = evaluation_json(evaluations[1]);
    result["comparison"] = comparison_json(assessment.tests.front().comparison);
  }
  result["evaluations"] = Json::array();
  for (const auto& e : evaluations) {
    Json one = {{"path", e.name}};
    one.update(evaluation_json(e));
    result["evaluations"].push_back(std::move(one));
  }
  result["comparisons"] = Json::array();
  for (const auto& test : assessment.tests) {
    Json one = {{"first", evaluations[test.first].name}, {"second", evaluations[test.second].name}};
    one.update(comparison_json(test.comparison));
    one["adjusted_p_value"] = number_json(test.adjusted_p_value);
    one["adjustment"] = "Holm";
    result["comparisons"].push_back(std::move(one));
  }
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
  if (assessment.evaluations.size() > 1) add_comparisons(result, assessment);
  result["remarks"] = remarks(assessment);
  result["warnings"] = facts.warnings;
  // A file name may hold bytes that are not UTF-8.
  return result.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ae::evaluate
