#include "recipe/classes.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"
#include "recipe/kind.hpp"

namespace ae::recipe {

std::vector<std::string> class_names(std::span<const std::string> labels) {
  const std::set<std::string> distinct(labels.begin(), labels.end());
  std::vector<std::string> names(distinct.begin(), distinct.end());
  const auto is_whole = [](const std::string& name) {
    const auto number = parse_number(name);
    return number && *number == std::floor(*number);
  };
  if (std::ranges::all_of(names, is_whole))
    std::ranges::stable_sort(names, {}, [](const std::string& name) { return *parse_number(name); });
  return names;
}

Dataset KindOptions::load_classes(Reporter&, data::HoldOut, int) const {
  throw UsageError(
      "/data/type: such data have no classes, which this objective needs; give images, in a folder for each class or "
      "with labels, or set another /objective");
}

}  // namespace ae::recipe
