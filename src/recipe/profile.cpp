#include "recipe/profile.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/signals.hpp"

namespace ae::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostRows = 16384, kMostAnswers = 1024, kPiece = 256;

// Calls visit(begin, end) for pieces that lie evenly over `size` samples, at most `most` in all.
template <typename Visit>
void evenly(std::int64_t size, std::int64_t most, Visit&& visit) {
  const std::int64_t pieces = (size + kPiece - 1) / kPiece, wanted = std::min(pieces, most / kPiece);
  for (std::int64_t i = 0; i < wanted; ++i) {
    throw_if_stopped("describing the training rows");
    const std::int64_t begin = i * pieces / wanted * kPiece;
    visit(begin, std::min(begin + kPiece, size));
  }
}

class Describing {
 public:
  explicit Describing(const std::vector<model::Element>& elements)
      : elements_(elements), values_(elements.size()), levels_(elements.size()), residuals_(elements.size()) {
    for (std::size_t e = 0; e < elements.size(); ++e)
      if (elements[e].categorical()) levels_[e].assign(static_cast<std::size_t>(elements[e].codes - 1), 0);
  }

  void add_values(const model::Batch& batch) {
    rows_ += batch.samples();
    for_each_observed(batch, [&](std::size_t, std::size_t e, double value) {
      if (!elements_[e].categorical()) {
        values_[e].push_back(value);
      } else if (const auto code = std::llround(value); code >= 0 && code < std::ssize(levels_[e])) {
        ++levels_[e][static_cast<std::size_t>(code)];
      }
    });
  }

  void add_residuals(const model::Batch& batch, const at::Tensor& expected) {
    const double* expectation = expected.data_ptr<double>();
    for_each_observed(batch, [&](std::size_t row, std::size_t e, double value) {
      const double residual = value - expectation[row * elements_.size() + e];
      if (!elements_[e].categorical() && std::isfinite(residual)) residuals_[e].push_back(residual);
    });
  }

  Profile finish() {
    constexpr std::size_t kFewest = 20;  // for one of twenty to be beyond
    Profile profile;
    for (std::size_t e = 0; e < elements_.size(); ++e) {
      profile.columns.push_back(elements_[e].categorical()
                                    ? stats::ColumnProfile::of_codes(levels_[e], rows_)
                                    : stats::ColumnProfile::of_numbers(std::move(values_[e]), rows_));
      auto& residuals = residuals_[e];
      if (residuals.size() < kFewest) continue;
      std::sort(residuals.begin(), residuals.end());
      const auto tail = static_cast<std::size_t>(0.05 * static_cast<double>(residuals.size()));
      profile.columns.back().residual = {residuals[tail], residuals[residuals.size() - 1 - tail]};
    }
    return profile;
  }

 private:
  template <typename Visit>
  void for_each_observed(const model::Batch& batch, Visit&& visit) const {
    const auto values = batch.values.contiguous(), observed = batch.observed.contiguous();
    const float* value = values.data_ptr<float>();
    const float* seen = observed.data_ptr<float>();
    for (std::size_t cell = 0; cell < static_cast<std::size_t>(values.numel()); ++cell)
      if (seen[cell] != 0) visit(cell / elements_.size(), cell % elements_.size(), value[cell]);
  }

  const std::vector<model::Element>& elements_;
  std::int64_t rows_ = 0;
  std::vector<std::vector<double>> values_;
  std::vector<std::vector<std::int64_t>> levels_;
  std::vector<std::vector<double>> residuals_;
};

template <typename T>
std::vector<T> numbers(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  std::vector<T> values;
  values.reserve(found->size());
  for (const auto& item : *found) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) throw InputError("not a finite number");
    values.push_back(item.get<T>());
  }
  return values;
}

stats::ColumnProfile column_of(const Json& json, const model::Element& element) {
  stats::ColumnProfile column;
  column.rows = json.at("rows").get<std::int64_t>();
  column.observed = json.at("observed").get<std::int64_t>();
  column.knots = numbers<double>(json, "knots");
  column.below = numbers<std::int64_t>(json, "below");
  column.at_most = numbers<std::int64_t>(json, "at_most");
  column.levels = numbers<std::int64_t>(json, "levels");
  const auto residual = numbers<double>(json, "residual");
  const bool increasing = std::ranges::adjacent_find(column.knots, std::greater_equal<>()) == column.knots.end();
  const auto in_rows = [&](std::int64_t count) { return count >= 0 && count <= column.observed; };
  const auto levels = element.categorical() ? static_cast<std::size_t>(element.codes - 1) : 0;
  if (column.rows < 0 || column.observed < 0 || column.observed > column.rows || !increasing ||
      column.below.size() != column.knots.size() || column.at_most.size() != column.knots.size() ||
      !std::ranges::all_of(column.below, in_rows) || !std::ranges::all_of(column.at_most, in_rows) ||
      !std::ranges::all_of(column.levels, in_rows) || column.levels.size() != levels ||
      (element.categorical() && !column.knots.empty()) || (residual.size() != 0 && residual.size() != 2)) {
    throw InputError("counts that contradict each other");
  }
  if (!residual.empty()) column.residual = {residual[0], residual[1]};
  return column;
}

}  // namespace

std::string Profile::to_json() const {
  Json all = Json::array();
  for (const auto& column : columns) {
    Json one{{"rows", column.rows}, {"observed", column.observed}};
    if (!column.knots.empty()) {
      one["knots"] = column.knots;
      one["below"] = column.below;
      one["at_most"] = column.at_most;
    }
    if (!column.levels.empty()) one["levels"] = column.levels;
    if (column.residual) one["residual"] = {column.residual->first, column.residual->second};
    all.push_back(std::move(one));
  }
  return all.dump();
}

Profile Profile::from_json(const std::string& text, const std::vector<model::Element>& elements) {
  const auto malformed = [](const std::string& why) {
    return InputError("metadata \"profile\": " + why + "; the file is damaged");
  };
  // A column at a time: the objects of all would take many times their text.
  Profile profile;
  bool is_array = false;
  const auto take = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 0 && event == Json::parse_event_t::array_start) is_array = true;
    if (depth != 1 || event != Json::parse_event_t::object_end) return true;
    if (profile.columns.size() == elements.size()) throw InputError("describes another number of columns");
    profile.columns.push_back(column_of(parsed, elements[profile.columns.size()]));
    return false;
  };
  try {
    const auto rest = Json::parse(text, take);
    if (!is_array) throw InputError("is not a JSON array");
    if (!rest.empty()) throw InputError("does not hold what it should");
    if (!profile.columns.empty() && profile.columns.size() != elements.size())
      throw InputError("describes another number of columns");
  } catch (const nlohmann::json::exception&) {
    throw malformed(is_array ? "does not hold what it should" : "is not a JSON array");
  } catch (const InputError& error) {
    throw malformed(error.lines().front());
  }
  return profile;
}

Profile profile_of(const loss::Autoencoder& autoencoder, const score::Head& head, const model::Samples& training,
                   const model::Samples& held_out) {
  const auto* judge = head.for_samples();
  const model::Domain& domain = autoencoder.domain();
  if (judge == nullptr || domain.gridded()) return {};
  Describing describing(domain.elements);
  evenly(training.size(), kMostRows,
         [&](std::int64_t begin, std::int64_t end) { describing.add_values(training.range(begin, end)); });
  const auto answer = [&](const model::Samples& samples, bool trained_on) {
    evenly(samples.size(), kMostAnswers, [&](std::int64_t begin, std::int64_t end) {
      const auto batch = samples.range(begin, end);
      describing.add_residuals(batch, score::score(autoencoder, *judge, batch, trained_on ? begin : -1).expected);
    });
  };
  if (held_out.size() > 0) {
    answer(held_out, false);
  } else if (judge->leaves_out()) {
    answer(training, true);
  }
  return describing.finish();
}

}  // namespace ae::recipe
