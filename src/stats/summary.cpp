#include "stats/summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace ae::stats {

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

}  // namespace

std::string summary_table(const Assessment& assessment) {
  std::string text;
  for (const auto& evaluation : assessment.evaluations) {
    if (!text.empty()) text += "\n";
    text += evaluation_text(evaluation);
  }
  if (assessment.comparison) text += "\n" + comparison_text(assessment);
  return text;
}

}  // namespace ae::stats
