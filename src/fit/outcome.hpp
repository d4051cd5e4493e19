// What a simple model is to predict: survival, a class or a number.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ae::fit {

enum class Family {
  cox,       // right-censored times: Cox 1972
  logistic,  // classes: binary or multinomial
  ridge,     // numbers: linear regression
};
std::string_view family_name(Family family);

// One entry a row in the vectors of its family, the others are empty.
struct Outcome {
  Family family = Family::ridge;
  std::vector<double> times = {};             // cox: of the event or of censoring; tied() has been applied
  std::vector<std::uint8_t> events = {};      // cox: 1 = the event was seen at that time, 0 = censored then
  std::vector<std::int32_t> classes = {};     // logistic: numbers of `class_names`
  std::vector<double> values = {};            // ridge
  std::vector<std::string> class_names = {};  // two or more; of two the second is the positive one

  std::size_t size() const;
  Outcome subset(std::span<const std::int64_t> rows) const;
  // The rows of what must be spread evenly over folds: events and censored rows, each class, or all.
  std::vector<std::vector<std::int64_t>> strata() const;
  // The smallest number of rows of which there must be one in every fold: events, the rarest class, or all rows.
  std::int64_t scarcest() const;
};

// Times that differ by rounding alone become one, as survival::coxph does it unless told `timefix = FALSE`: among the
// different times in rising order, one that exceeds the time before it by at most 1.4901e-8 (the square root of
// double's spacing at 1), absolutely or relative to the mean of the different times' absolute values, counts as the
// first of its run.
std::vector<double> tied(std::vector<double> times);

}  // namespace ae::fit
