#include "apply/cells.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.hpp"

namespace ae::apply {
namespace {

// Whatever bytes there are: what is not UTF-8 becomes U+FFFD.
std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Cells::Cells(LineFormat format, const std::vector<std::string>& names) : format_(format) {
  for (const auto& name : names) {
    leads_.emplace_back(",");
    if (format != LineFormat::csv) leads_.back().append(json_text(name)).append(":");
  }
}

void Cells::clear() {
  filled_ = 0;
  text_.clear();
}

std::string& Cells::next() { return text_ += leads_.at(filled_++); }

void Cells::text(std::string_view value) {
  if (format_ == LineFormat::csv) {
    append_csv_field(next(), value);
  } else {
    next() += json_text(value);
  }
}

void Cells::number(double value) {
  if (format_ == LineFormat::jsonl && !std::isfinite(value)) return nothing();
  append_number(next(), value);
}

void Cells::nothing() { next() += format_ == LineFormat::csv ? "" : "null"; }

void Cells::nothing_left() {
  while (filled_ < leads_.size()) nothing();
}

}  // namespace ae::apply
