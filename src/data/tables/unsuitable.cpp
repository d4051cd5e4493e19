#include "data/tables/unsuitable.hpp"

#include <algorithm>
#include <cmath>

namespace ae::data {

// Sorting at sizes that grow fourfold costs little more than once at the end, and most columns end at the first look.
void AllDifferent::look() {
  std::ranges::sort(digests_);
  if (std::ranges::adjacent_find(digests_) != digests_.end()) give_up();
  next_look_ *= 4;
}

bool TimeNumbers::is_time(double value) {
  constexpr double kFirstSecond = 1e9, kLastSecond = 2.2e9;
  for (const double unit : {1.0, 1e3, 1e6, 1e9})
    if (value >= kFirstSecond * unit && value < kLastSecond * unit) return true;
  if (!(value >= 190001 && value <= 21001231) || value != std::floor(value)) return false;
  const auto date = static_cast<std::int64_t>(value < 210013 ? value * 100 + 1 : value);
  if (date < 19000101) return false;
  const auto month = date / 100 % 100, day = date % 100;
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

void LabelTie::add(std::int32_t label, std::uint64_t digest, std::optional<double> value) {
  if (label < 0 || (!tied_ && !numbers_)) return;
  const auto index = static_cast<std::size_t>(label);
  if (index >= labels_.size()) labels_.resize(index + 1);
  Label& own = labels_[index];
  if (own.rows++ == 0) {
    const auto same = [&](const Label& other) { return &other != &own && other.rows > 0 && other.digest == digest; };
    tied_ = tied_ && std::ranges::none_of(labels_, same);
    own.digest = digest;
  }
  tied_ = tied_ && own.digest == digest;
  numbers_ = numbers_ && value;
  if (!value) return;
  own.least = std::min(own.least, *value);
  own.most = std::max(own.most, *value);
}

bool LabelTie::one_to_one() const {
  std::int64_t rows = 0;
  for (const Label& label : labels_) rows += label.rows;
  const auto seen = std::ranges::count_if(labels_, [](const Label& label) { return label.rows > 0; });
  return tied_ && seen > 1 && rows > kRowsThatShow;
}

bool LabelTie::parts(const std::vector<bool>& normal) const {
  constexpr std::int64_t kFew = 5;  // so few rows may lie apart by chance
  if (!numbers_) return false;
  Label classes[2];
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    Label& joined = classes[normal[i] ? 0 : 1];
    joined.rows += labels_[i].rows;
    joined.least = std::min(joined.least, labels_[i].least);
    joined.most = std::max(joined.most, labels_[i].most);
  }
  const auto& [one, other] = classes;
  return one.rows + other.rows > kRowsThatShow && one.rows >= kFew && other.rows >= kFew &&
         (one.most < other.least || other.most < one.least);
}

}  // namespace ae::data
