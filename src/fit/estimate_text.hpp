// What the files of ae-deconvolve share. Internal to this room.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/counted.hpp"
#include "base/reporter.hpp"
#include "data/colvar/samples.hpp"
#include "evaluate/rate_text.hpp"
#include "fit/free_energy.hpp"

namespace ae::fit {

inline nlohmann::ordered_json rows_json(const data::ColvarRows& rows) {
  return {{"read", rows.read},         {"used", rows.used},       {"not_finite", rows.not_finite},
          {"repeated", rows.repeated}, {"skipped", rows.skipped}, {"incomplete", rows.incomplete},
          {"restarts", rows.restarts}};
}

constexpr std::size_t kFigureNames = 14;  // as long as most are

inline std::string with_error(const WithError& estimate) {
  const std::string value = evaluate::rate_text(estimate.value, 3);
  return std::isnan(estimate.standard_error) ? value : value + " +- " + evaluate::rate_text(estimate.standard_error, 3);
}

// Warns of the rows of a file that were left out.
inline void tell_left_out(const std::string& file, const data::ColvarRows& rows, Reporter& reporter) {
  const auto tell = [&](std::int64_t count, const char* what) {
    if (count > 0) reporter.warning(file + ": " + counted(count, "rows") + " left out: " + what);
  };
  tell(rows.not_finite, "not finite in a column that is used");
  tell(rows.repeated, "their time was there before, as after a restart");
  tell(rows.incomplete, "the last line has no end, and its last number may be cut");
}

}  // namespace ae::fit
