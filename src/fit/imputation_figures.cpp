#include "fit/imputation_figures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "evaluate/rate_text.hpp"

namespace ae::fit {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double zero_auc(const stats::ValueHistogram& hidden, const stats::ValueHistogram& zeros) {
  const auto pairs = static_cast<double>(hidden.size()) * static_cast<double>(zeros.size());
  double above = 0, right = 0;  // hidden entries above the bin
  stats::ValueHistogram::descend(hidden, zeros, [&](std::int64_t high, std::int64_t low) {
    right += static_cast<double>(low) * (above + static_cast<double>(high) / 2);
    above += static_cast<double>(high);
  });
  return pairs > 0 ? right / pairs : kUnknown;
}

// A figure of one method, as JSON names it and as the table does.
struct FigureColumn {
  const char* key;
  const char* title;
  bool whole;
  std::optional<double> (*of)(const MethodFigures&);
};

template <auto member>
std::optional<double> of_masked(const MethodFigures& m) {
  return m.masked ? std::optional(static_cast<double>((*m.masked).*member)) : std::nullopt;
}
template <auto member>
std::optional<double> of_thinned(const MethodFigures& m) {
  return m.thinned ? std::optional(static_cast<double>((*m.thinned).*member)) : std::nullopt;
}

constexpr FigureColumn kFigures[] = {
    {"entries", "entries", true, of_masked<&MaskedResult::entries>},
    {"nrmse", "NRMSE", false, of_masked<&MaskedResult::nrmse>},
    {"centred_correlation", "centred r", false, of_masked<&MaskedResult::centred_correlation>},
    {"zeros", "zeros", true, of_masked<&MaskedResult::zeros>},
    {"mean_at_zeros", "at zeros", false, of_masked<&MaskedResult::mean_at_zeros>},
    {"zero_auc", "AUC zeros", false, of_masked<&MaskedResult::zero_auc>},
    {"thinned_entries", "entries", true, of_thinned<&ThinnedResult::entries>},
    {"molecules", "molecules", true, of_thinned<&ThinnedResult::molecules>},
    {"poisson_nll", "Poisson NLL", false, of_thinned<&ThinnedResult::poisson_nll>},
    {"sum_ratio", "sum ratio", false, of_thinned<&ThinnedResult::sum_ratio>},
    {"impossible", "impossible", true, of_thinned<&ThinnedResult::impossible>},
    {"coverage", "in 90 %", false, [](const MethodFigures& m) { return m.coverage; }},
};

std::string cell_text(const FigureColumn& figure, const MethodFigures& method) {
  const auto value = figure.of(method);
  if (!value) return "-";
  return figure.whole ? std::to_string(static_cast<std::int64_t>(*value)) : evaluate::rate_text(*value);
}

}  // namespace

void MaskedFigures::add(std::int64_t column, double truth, double guess) {
  const double n = static_cast<double>(++entries_);
  squared_error_ += (truth - guess) * (truth - guess);
  const double from_mean = truth - truth_mean_;
  truth_mean_ += from_mean / n;
  truth_squares_ += from_mean * (truth - truth_mean_);
  const double mean = column_means_[static_cast<std::size_t>(column)];
  const double x = truth - mean - x_mean_, y = guess - mean - y_mean_;
  x_mean_ += x / n;
  y_mean_ += y / n;
  xx_ += x * (truth - mean - x_mean_);
  yy_ += y * (guess - mean - y_mean_);
  xy_ += x * (guess - mean - y_mean_);
  const float as_float = static_cast<float>(guess);
  at_hidden_.add({&as_float, 1});
}

void MaskedFigures::add_zeros(std::span<const float> guesses) {
  for (const float guess : guesses) zero_sum_ += guess;
  at_zeros_.add(guesses);
}

MaskedResult MaskedFigures::result() const {
  MaskedResult result{entries_, at_zeros_.size(), kUnknown, kUnknown, kUnknown, zero_auc(at_hidden_, at_zeros_)};
  const double zeros = static_cast<double>(result.zeros);
  if (zeros > 0) result.mean_at_zeros = zero_sum_ / zeros;
  if (entries_ == 0) return result;
  if (truth_squares_ > 0) result.nrmse = std::sqrt(squared_error_ / truth_squares_);
  // What rounding leaves of guesses that do not vary is no variance.
  const double n = static_cast<double>(entries_);
  const bool varies = xx_ > 0 && yy_ > 1e-12 * (n * y_mean_ * y_mean_ + xx_);
  result.centred_correlation = varies ? xy_ / std::sqrt(xx_ * yy_) : 0;
  return result;
}

void ThinnedFigures::add(std::span<const float> found, std::span<const float> expected) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double x = found[i], mu = std::max<double>(expected[i], kLeastMean);
    sum_ += mu;
    if (x > 0) sum_ -= x * std::log(mu);
    impossible_ += x > 0 && expected[i] < kLeastMean;
    found_ += x;
    expected_ += expected[i];
  }
  entries_ += std::ssize(found);
}

ThinnedResult ThinnedFigures::result() const {
  return {entries_, std::llround(found_), entries_ > 0 ? sum_ / static_cast<double>(entries_) : kUnknown,
          found_ > 0 ? expected_ / found_ : kUnknown, impossible_};
}

void Coverage::add(std::int64_t below, std::int64_t equal, std::int64_t draws, double uniform) {
  const double place =
      (static_cast<double>(below) + uniform * static_cast<double>(equal + 1)) / static_cast<double>(draws + 1);
  ++entries_;
  covered_ += std::abs(place - 0.5) <= kCentral / 2;
}

double Coverage::share() const {
  return entries_ > 0 ? static_cast<double>(covered_) / static_cast<double>(entries_) : kUnknown;
}

nlohmann::ordered_json figures_json(std::span<const MethodFigures> methods) {
  using Json = nlohmann::ordered_json;
  auto json = Json::array();
  for (const auto& method : methods) {
    Json one{{"method", method.method}};
    for (const auto& figure : kFigures) {
      const auto value = figure.of(method);
      if (!value) continue;
      if (figure.whole)
        one[figure.key] = static_cast<std::int64_t>(*value);
      else
        one[figure.key] = std::isfinite(*value) ? Json(*value) : Json(nullptr);
    }
    json.push_back(std::move(one));
  }
  return json;
}

std::string figures_text(std::span<const MethodFigures> methods) {
  std::vector<std::string> lines{"method"};
  for (const auto& method : methods) lines.push_back(printable(method.method));
  const auto width = std::ranges::max(lines, {}, &std::string::size).size();
  for (auto& line : lines) line.resize(width, ' ');
  for (const auto& figure : kFigures) {
    if (std::ranges::none_of(methods, [&](const auto& method) { return figure.of(method).has_value(); })) continue;
    std::vector<std::string> cells{figure.title};
    for (const auto& method : methods) cells.push_back(cell_text(figure, method));
    const auto wide = std::ranges::max(cells, {}, &std::string::size).size();
    for (std::size_t i = 0; i < lines.size(); ++i)
      lines[i] += "  " + std::string(wide - cells[i].size(), ' ') + cells[i];
  }
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

}  // namespace ae::fit
