// Error models from any bytes: one clear error of one line, or a model that is written and read back as the same, whose
// errors have as many numbers as columns.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "fit/error_model.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const ae::fit::ErrorModel& model) {
  const auto& errors = model.reconstruction;
  require(!errors.cells.empty() && !errors.residuals.empty() && errors.scale.size() == model.codes.size());
  const std::vector<double> code(model.codes.size(), 0.5);
  require(errors.nearest(code).bias.size() == errors.columns.size());
  std::vector<double> drawn(errors.columns.size());
  ae::Random random(1);
  errors.draw(code, random, drawn);
  for (const double error : drawn) require(std::isfinite(error));
  for (const auto& [name, points] : model.blur) {
    require(points.size() > 1);
    for (std::size_t i = 1; i < points.size(); ++i) {
      require(points[i].x > points[i - 1].x && points[i].sigma >= 0);
      require(std::isfinite(points[i].mean - points[i - 1].mean));  // between which lines are drawn
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ae::fit::ErrorModel model;
  try {
    model = ae::fit::parse_error_model("fuzz", std::string(reinterpret_cast<const char*>(data), size));
  } catch (const ae::InputError& error) {
    require(error.lines().size() == 1 && error.lines().front().find('\n') == std::string::npos);
    return 0;
  }
  check(model);
  const std::string printed = ae::fit::error_model_json(model);
  require(ae::fit::error_model_json(ae::fit::parse_error_model("printed", printed)) == printed);
  return 0;
}
