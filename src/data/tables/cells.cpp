#include "data/tables/cells.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ae::data {

namespace {

// Length of the UTF-8 sequence at the front of `text` by table 3-7 of the Unicode standard; 0 when there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
  const unsigned second = byte(1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool surrogate = lead == 0xed && second > 0x9f;
  const bool beyond = lead == 0xf4 && second > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

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
