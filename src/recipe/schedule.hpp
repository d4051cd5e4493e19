// Learning-rate schedules: the factor on the base rate.
#pragma once

#include <cstdint>
#include <vector>

#include "config/fields.hpp"

namespace ae::recipe {

class Schedule : public config::Section {
 public:
  // `epoch`: 0-based epoch about to run (whole epochs); `epochs`: planned; `losses`: validation (else training) loss of
  // each finished epoch, so that the factor is a pure function of the history and resuming needs no extra state.
  virtual double factor(std::int64_t epoch, std::int64_t epochs, const std::vector<double>& losses) const = 0;
};

std::span<const config::Entry<Schedule>> schedules();  // constant, cosine, step, plateau

}  // namespace ae::recipe
