#include "apply/day_summary.hpp"

#include <nlohmann/json.hpp>

#include "base/utc.hpp"
#include "base/version.hpp"

namespace ae::apply {
namespace {

using Json = nlohmann::ordered_json;

Json rule(const FlagOptions& flag, const std::string& roc) {
  if (!roc.empty()) return {{"option", "--roc"}, {"value", roc}};
  if (flag.threshold) return {{"option", "--threshold"}, {"value", *flag.threshold}};
  if (flag.alpha) return {{"option", "--alpha"}, {"value", *flag.alpha}};
  if (flag.fdr) return {{"option", "--fdr"}, {"value", *flag.fdr}};
  return nullptr;
}

Json columns(const FlagTotals& totals) {
  if (totals.columns.empty()) return nullptr;
  Json all = Json::array();
  for (const auto& column : totals.columns) {
    all.push_back({{"column", column.column},
                   {"drifted", column.drifted},
                   {"p_value", column.p_value},
                   {"distance", column.distance},
                   {"observed", column.observed},
                   {"missing", column.missing},
                   {"unseen", column.unseen},
                   {"missing_in_training", column.missing_in_training}});
  }
  return all;
}

}  // namespace

std::string day_summary(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const std::string& roc,
                        const FlagTotals& totals, const RunTimes& times) {
  const auto known = [](bool is, Json value) { return is ? std::move(value) : Json(nullptr); };
  const Json summary{{"samples", std::string(checkpoint.kind().domain().samples)},
                     {"scored", totals.scored},
                     {"flagged", known(options.flag.any(), totals.flagged)},
                     {"bad", {{"count", totals.bad}, {"first", known(totals.bad > 0, totals.first_bad)}}},
                     {"unobserved", totals.unobserved},
                     {"rule", rule(options.flag, roc)},
                     {"threshold", known(totals.threshold.has_value(), totals.threshold.value_or(0))},
                     {"drift",
                      {{"drifted", totals.drifted},
                       {"p_value", totals.drift.p_value},
                       {"distance", totals.drift.distance},
                       {"at_or_below_median", totals.drift.bulk_share},
                       {"columns", columns(totals)}}},
                     {"model", checkpoint.digest()},
                     {"model_file", checkpoint.name()},
                     {"calibration", checkpoint.calibration().size()},
                     {"inputs", options.inputs},
                     {"start", utc_text(times.start)},
                     {"end", utc_text(times.end)},
                     {"seconds", std::chrono::duration<double>(times.end - times.start).count()},
                     {"aetools", version()}};
  return summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ae::apply
