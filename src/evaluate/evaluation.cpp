#include "evaluate/evaluation.hpp"

#include <cmath>
#include <limits>

namespace ae::evaluate {

namespace {

double ratio(std::int64_t part, std::int64_t whole, double when_empty) {
  return whole == 0 ? when_empty : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double Confusion::tpr() const { return ratio(tp, tp + fn, 0); }
double Confusion::fpr() const { return ratio(fp, fp + tn, 0); }
double Confusion::specificity() const { return ratio(tn, fp + tn, 0); }
double Confusion::precision() const { return ratio(tp, tp + fp, std::numeric_limits<double>::quiet_NaN()); }
double Confusion::f1() const { return ratio(2 * tp, 2 * tp + fp + fn, 0); }
double Confusion::balanced_accuracy() const { return (tpr() + specificity()) / 2; }

double Confusion::mcc() const {
  const auto root = [](std::int64_t sum) { return std::sqrt(static_cast<double>(sum)); };
  const double margins = root(tp + fp) * root(tp + fn) * root(tn + fp) * root(tn + fn);
  if (margins == 0) return 0;
  const auto determinant = static_cast<__int128>(tp) * tn - static_cast<__int128>(fp) * fn;
  return static_cast<double>(determinant) / margins;
}

double BoxRates::hit_rate() const { return ratio(hit, boxes, 0); }
double BoxRates::false_per_image() const {
  return ratio(false_on_defective + false_on_normal, defective_images + normal_images, 0);
}
double BoxRates::false_per_defective() const { return ratio(false_on_defective, defective_images, 0); }
double BoxRates::false_per_normal() const { return ratio(false_on_normal, normal_images, 0); }

}  // namespace ae::evaluate
