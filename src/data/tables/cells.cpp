#include "data/tables/cells.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ae::data {

CellReader::CellReader(std::vector<std::string> missing, std::vector<std::string> missing_in_numbers,
                       NumberFormat numbers)
    : missing_(std::move(missing)),
      unclear_(std::move(missing_in_numbers)),
      numbers_(std::move(numbers)),
      plain_(numbers_.plain()) {
  for (const auto* texts : {&missing_, &unclear_}) {
    for (const auto& token : *texts) {
      const auto value = ae::parse_number(token);
      if (value && !std::isnan(*value)) missing_numbers_.push_back(*value);
    }
  }
}

bool CellReader::is_missing(std::string_view trimmed_text) const {
  return std::ranges::find(missing_, trimmed_text) != missing_.end();
}

bool CellReader::is_unclear(std::string_view trimmed_text) const {
  return std::ranges::find(unclear_, trimmed_text) != unclear_.end();
}

}  // namespace ae::data
