#include "data/tables/stand_ins.hpp"

#include <algorithm>
#include <cmath>

#include "base/text.hpp"

namespace ae::data {

// Nines alone, with or without a point; what well logs write; the least number of 16 bits; and what fills arrays, such
// as 9.97e36, beyond any time in nanoseconds.
bool StandIns::is_known(double value) {
  if (value == -999.25 || value == -32768) return true;
  constexpr double kMost = 1e9, kFill = 1e19;
  const double size = std::abs(value);
  if (!(size < kMost)) return size >= kFill;
  if (static_cast<std::int64_t>(size) % 10 != 9) return false;  // most numbers
  // Nines alone lie a thousandth, a hundredth, ... or one below a power of ten.
  for (double power = 100; power <= kMost; power *= 10) {
    const double below = power - size;
    if (below < 0) continue;
    return below == 1 || (below < 0.2 && number_text(size).find_first_not_of("9.") == std::string::npos);
  }
  return false;
}

void StandIns::add_candidate(double value, std::string_view text, std::int64_t cells) {
  constexpr std::size_t kMostCandidates = 64;  // more of them are measurements
  auto known = std::ranges::find(candidates_, value, &Found::value);
  if (known == candidates_.end() && candidates_.size() == kMostCandidates) return add_other(value);
  if (known == candidates_.end()) known = candidates_.insert(known, {value, std::string(text), 0});
  known->cells += cells;
}

void StandIns::add_few(double value) {
  if (std::ranges::find(few_, value) == few_.end()) few_.push_back(value);
}

std::vector<StandIns::Found> StandIns::found() const {
  constexpr std::int64_t kRepeated = 3;
  std::vector<Found> told;
  if (few_.size() <= kFewNumbers) return told;
  const double range = most_ - least_;
  for (const Found& one : candidates_) {
    const double distance = std::max(least_ - one.value, one.value - most_);
    const bool only_negative = one.value <= -kLeast && least_ >= 0;
    if (one.cells >= kRepeated && (distance >= range || only_negative)) told.push_back(one);
  }
  for (Found& one : told)
    if (one.text.empty()) one.text = number_text(one.value);
  return told;
}

}  // namespace ae::data
