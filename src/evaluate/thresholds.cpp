#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/roc.hpp"

namespace ae::evaluate {

namespace {

constexpr std::string_view kRules = "expected youden, f1, fpr=X, tpr=X or cost=FP:FN, for example fpr=0.01";

[[noreturn]] void refuse(std::string_view text, std::string_view problem) {
  throw UsageError("--choose " + ae::quoted(text) + ": " + std::string(problem));
}

double finite_number(std::string_view text, std::string_view whole) {
  const auto number = parse_number(text);
  if (!number || !std::isfinite(*number)) refuse(whole, ae::quoted(text) + " is not a number; " + std::string(kRules));
  return *number;
}

void parse_costs(ThresholdRule& rule, std::string_view costs, std::string_view whole) {
  const auto colon = costs.find(':');
  if (colon == std::string_view::npos)
    refuse(whole, "expected two costs, of a false alarm and of a miss, for example cost=1:10");
  rule.false_alarm_cost = finite_number(costs.substr(0, colon), whole);
  rule.miss_cost = finite_number(costs.substr(colon + 1), whole);
  if (rule.false_alarm_cost < 0 || rule.miss_cost < 0) refuse(whole, "costs must not be negative");
  if (rule.false_alarm_cost == 0 && rule.miss_cost == 0) refuse(whole, "at least one cost must be above 0");
}

}  // namespace

ThresholdRule ThresholdRule::parse(std::string_view text) {
  ThresholdRule rule;
  rule.text = text;
  const auto equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? std::string_view{} : text.substr(equals + 1);
  const bool plain = equals == std::string_view::npos;
  if (plain && name == "youden") {
    rule.kind = Kind::youden;
  } else if (plain && name == "f1") {
    rule.kind = Kind::f1;
  } else if (!plain && name == "fpr") {
    rule.kind = Kind::fpr;
    rule.limit = finite_number(value, text);
    if (rule.limit < 0 || rule.limit >= 1) refuse(text, "the false positive rate must be at least 0 and below 1");
  } else if (!plain && name == "tpr") {
    rule.kind = Kind::tpr;
    rule.limit = finite_number(value, text);
    if (rule.limit <= 0 || rule.limit > 1) refuse(text, "the true positive rate must be above 0 and at most 1");
  } else if (!plain && name == "cost") {
    rule.kind = Kind::cost;
    parse_costs(rule, value, text);
  } else {
    static const std::vector<std::string> names = {"youden", "f1", "fpr", "tpr", "cost"};
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    refuse(text, "unknown rule; " + std::string(kRules) + (known ? std::string() : did_you_mean(name, names)));
  }
  return rule;
}

namespace {

// Is `candidate` better than `best`? Strictly, so that of equally good thresholds the first, highest one stays.
bool better(const ThresholdRule& rule, const Confusion& candidate, const Confusion& best) {
  using Wide = __int128;
  switch (rule.kind) {
    case ThresholdRule::Kind::youden: {
      const auto anomalies = static_cast<Wide>(best.tp + best.fn);
      const auto normals = static_cast<Wide>(best.fp + best.tn);
      return candidate.tp * normals - candidate.fp * anomalies > best.tp * normals - best.fp * anomalies;
    }
    case ThresholdRule::Kind::f1: {  // compared as fractions: tp / (2 tp + fp + fn)
      const auto denominator = [](const Confusion& c) { return static_cast<Wide>(2 * c.tp + c.fp + c.fn); };
      return candidate.tp * denominator(best) > best.tp * denominator(candidate);
    }
    case ThresholdRule::Kind::fpr:
      return candidate.fpr() <= rule.limit && candidate.tp > best.tp;
    case ThresholdRule::Kind::tpr:
      return best.tpr() < rule.limit && candidate.tpr() >= rule.limit;
    case ThresholdRule::Kind::cost: {
      const auto cost = [&](const Confusion& c) {
        return static_cast<long double>(rule.false_alarm_cost) * static_cast<long double>(c.fp) +
               static_cast<long double>(rule.miss_cost) * static_cast<long double>(c.fn);
      };
      return cost(candidate) < cost(best);
    }
  }
  return false;
}

}  // namespace

ChosenThreshold choose_threshold(const LabeledScores& scores, const ThresholdRule& rule, double confidence) {
  ChosenThreshold chosen;
  chosen.rule = rule.text;
  bool first = true;
  scores.for_each_threshold([&](double threshold, const Confusion& counts) {
    if (!first && !better(rule, counts, chosen.counts)) return;
    first = false;
    chosen.threshold = threshold;
    chosen.counts = counts;
  });
  if (std::isinf(chosen.threshold)) {  // flag nothing: a finite number says the same and fits into JSON
    const double highest = std::max(scores.anomalies().front(), scores.normals().front());
    chosen.threshold = std::nextafter(highest, std::numeric_limits<double>::infinity());
  }
  const Confusion& c = chosen.counts;
  chosen.tpr_interval = wilson_interval(c.tp, c.tp + c.fn, confidence);
  chosen.fpr_interval = wilson_interval(c.fp, c.fp + c.tn, confidence);
  return chosen;
}

}  // namespace ae::evaluate
