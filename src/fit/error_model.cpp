#include "fit/error_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "fit/json_place.hpp"

namespace ae::fit {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kErrorModelFormat = "aetools error model";
constexpr int kErrorModelVersion = 1;
constexpr std::int64_t kMostRows = 20'000, kMostNumbers = 8'000'000;
constexpr std::size_t kCells = 64, kRowsOfCell = 100, kResiduals = 256, kGroups = 40, kRowsOfGroup = 50;
constexpr double kRowsWorth = 20;  // of a group, by its weights

// Weighted, of some rows.
struct Moments {
  double weight = 0, mean = 0, square = 0;
  void add(double value, double weight_of) {  // West 1979
    if (!(weight_of > 0)) return;             // too small beside the others to be a number
    weight += weight_of;
    const double step = value - mean;
    mean += step * weight_of / weight;
    square += weight_of * step * (value - mean);
  }
  double deviation() const { return weight > 0 ? std::sqrt(std::max(square / weight, 0.0)) : 0; }
};

using Rows = std::vector<std::size_t>;

double finite(double value) {
  return std::clamp(value, -std::numeric_limits<double>::max(), std::numeric_limits<double>::max());
}

}  // namespace

const ErrorCell& ReconstructionErrors::nearest(std::span<const double> code) const {
  const ErrorCell* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& cell : cells) {
    double distance = 0;
    for (std::size_t k = 0; k < code.size(); ++k) {
      const double step = (code[k] - cell.code[k]) / scale[k];
      distance += step * step;
    }
    if (best == nullptr || distance < least) best = &cell, least = distance;
  }
  return *best;
}

void ReconstructionErrors::draw(std::span<const double> code, Random& random, std::span<double> error) const {
  const auto& cell = nearest(code);
  const auto& residual = residuals[random.below(residuals.size())];
  for (std::size_t c = 0; c < error.size(); ++c) error[c] = cell.bias[c] + cell.spread[c] * residual[c];
}

ErrorSamples::ErrorSamples(std::vector<std::string> observed, std::size_t latents, std::vector<std::string> columns,
                           std::string truth, std::uint64_t seed)
    : observed_(std::move(observed)),
      columns_(std::move(columns)),
      latents_(latents),
      truth_(std::move(truth)),
      width_(observed_.size() + columns_.size() + 2),
      seed_(seed),
      reservoir_(std::clamp(kMostNumbers / static_cast<std::int64_t>(width_), 2 * kFewest, kMostRows),
                 Random(stream_key(seed, "error samples"))) {}

void ErrorSamples::add(std::span<const double> observed, std::span<const double> error, double truth, double weight) {
  const auto is_finite = [](double v) { return std::isfinite(v); };
  if (!std::ranges::all_of(observed, is_finite) || !std::ranges::all_of(error, is_finite) || !is_finite(truth) ||
      !is_finite(weight) || !(weight > 0)) {
    ++left_out_;
    return;
  }
  const auto place_of_row = reservoir_.place();
  if (place_of_row < 0) return;
  const auto at = static_cast<std::size_t>(place_of_row);
  if (at * width_ == kept_.size()) kept_.resize(kept_.size() + width_);
  auto place = std::copy(observed.begin(), observed.end(), kept_.begin() + static_cast<std::ptrdiff_t>(at * width_));
  place = std::copy(error.begin(), error.end(), place);
  *place++ = truth;
  *place = weight;
}

ReconstructionErrors ErrorSamples::errors() const {
  ReconstructionErrors result;
  result.columns = columns_;
  const auto moments = [&](const Rows& rows, std::size_t column) {
    Moments all;
    for (const auto i : rows) all.add(row(i)[column], row(i)[width_ - 1]);
    return all;
  };
  Rows every(kept_.size() / width_);
  std::iota(every.begin(), every.end(), 0);
  for (std::size_t k = 0; k < latents_; ++k) {
    const double deviation = moments(every, k).deviation();
    result.scale.push_back(deviation > 0 ? deviation : 1);
  }
  // The largest box that can be halved is, along the code that varies most in it.
  std::vector<Rows> boxes{every}, done;
  while (!boxes.empty()) {
    const auto largest = std::ranges::max_element(boxes, {}, &Rows::size);
    auto rows = std::move(*largest);
    boxes.erase(largest);
    double widest = 0;
    std::size_t along = 0;
    for (std::size_t k = 0; k < latents_; ++k) {
      const double width = moments(rows, k).deviation() / result.scale[k];
      if (width > widest) widest = width, along = k;
    }
    if (boxes.size() + done.size() + 2 > kCells || rows.size() < 2 * kRowsOfCell || widest == 0) {
      done.push_back(std::move(rows));
      continue;
    }
    const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
    std::nth_element(rows.begin(), middle, rows.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(row(a)[along], a) < std::pair(row(b)[along], b);
    });
    boxes.emplace_back(rows.begin(), middle);
    boxes.emplace_back(middle, rows.end());
  }
  std::vector<std::size_t> cell_of(every.size());
  for (const auto& rows : done) {
    ErrorCell cell;
    for (std::size_t k = 0; k < latents_; ++k) cell.code.push_back(moments(rows, k).mean);
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const auto of = moments(rows, observed_.size() + c);
      cell.bias.push_back(of.mean);
      cell.spread.push_back(of.deviation());
    }
    cell.rows = static_cast<std::int64_t>(rows.size());
    for (const auto i : rows) cell_of[i] = result.cells.size();
    result.cells.push_back(std::move(cell));
  }
  // Rows in proportion to their weights, so that all residuals count alike.
  std::vector<double> weights;
  for (const auto i : every) weights.push_back(row(i)[width_ - 1]);
  Random random(stream_key(seed_, "residuals"));
  auto drawn_rows = systematic_sample(weights, random.uniform());
  shuffle(std::span(drawn_rows), random);
  drawn_rows.resize(std::min(kResiduals, drawn_rows.size()));
  for (const auto number : drawn_rows) {
    const auto drawn = static_cast<std::size_t>(number);
    const auto& cell = result.cells[cell_of[drawn]];
    std::vector<double> residual;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const double error = row(drawn)[observed_.size() + c] - cell.bias[c];
      residual.push_back(cell.spread[c] > 0 ? error / cell.spread[c] : 0);
    }
    result.residuals.push_back(std::move(residual));
  }
  return result;
}

std::vector<BlurPoint> ErrorSamples::blur(std::size_t observed) const {
  const std::size_t truth = width_ - 2, weight = width_ - 1;
  Rows rows(kept_.size() / width_);
  std::iota(rows.begin(), rows.end(), 0);
  std::ranges::sort(rows, {}, [&](std::size_t i) { return std::pair(row(i)[truth], i); });
  const auto groups = std::clamp(rows.size() / kRowsOfGroup, std::size_t{2}, kGroups);
  std::vector<BlurPoint> points;
  const auto put = [&](double x, double mean, double sigma) {
    if (points.empty() || x > points.back().x) points.push_back({x, finite(mean), finite(sigma)});
  };
  // Of the rows that the weights of some are worth (Kish 1965).
  const auto effective_rows = [&](std::size_t first, std::size_t end) {
    double sum = 0, squares = 0;
    for (auto i = first; i < end; ++i) {
      sum += row(rows[i])[weight];
      squares += row(rows[i])[weight] * row(rows[i])[weight];
    }
    return squares > 0 ? sum * sum / squares : 0;
  };
  std::vector<std::size_t> ends;
  for (std::size_t g = 0; g < groups; ++g) {
    const auto end = rows.size() * (g + 1) / groups;
    if (effective_rows(ends.empty() ? 0 : ends.back(), end) >= kRowsWorth) ends.push_back(end);
  }
  if (ends.empty()) ends.push_back(rows.size());
  ends.back() = rows.size();
  for (std::size_t g = 0; g < ends.size(); ++g) {
    const auto first = g == 0 ? 0 : ends[g - 1], end = ends[g];
    Moments x, y;
    for (auto i = first; i < end; ++i) {
      x.add(row(rows[i])[truth], row(rows[i])[weight]);
      y.add(row(rows[i])[observed], row(rows[i])[weight]);
    }
    double covariance = 0, square = 0;
    for (auto i = first; i < end; ++i)
      covariance += row(rows[i])[weight] * (row(rows[i])[truth] - x.mean) * (row(rows[i])[observed] - y.mean);
    const double slope = x.square > 0 ? covariance / x.square : 0;
    for (auto i = first; i < end; ++i) {
      const double w = row(rows[i])[weight];
      const double rest = row(rows[i])[observed] - y.mean - slope * (row(rows[i])[truth] - x.mean);
      square += w * rest * rest;
    }
    const double effective = effective_rows(first, end);  // of which the line takes two
    const double sigma = std::sqrt(square / x.weight * effective / std::max(effective - 2, 1.0));
    const auto at = [&](double truth_at) { put(truth_at, y.mean + slope * (truth_at - x.mean), sigma); };
    if (g == 0) at(row(rows.front())[truth]);
    at(x.mean);
    if (g + 1 == ends.size()) at(row(rows.back())[truth]);
  }
  return points;
}

ErrorModel ErrorSamples::model(const std::string& data) {
  if (rows() < kFewest)
    throw InputError(data + ": found " + counted(rows(), "rows") + " with all numbers, expected at least " +
                     std::to_string(kFewest) + " to learn errors from");
  // Weights count relative to each other, and their squares must be numbers.
  double largest = 0, sum = 0, squares = 0;
  for (std::size_t i = width_ - 1; i < kept_.size(); i += width_) largest = std::max(largest, kept_[i]);
  for (std::size_t i = width_ - 1; i < kept_.size(); i += width_) {
    kept_[i] /= largest;
    sum += kept_[i];
    squares += kept_[i] * kept_[i];
  }
  if (sum * sum / squares < static_cast<double>(kFewest))
    throw InputError(data + ": the weights of its rows are those of " + number_text(std::floor(sum * sum / squares)) +
                     " rows, expected at least " + std::to_string(kFewest) + " to learn errors from");
  ErrorModel model;
  model.codes.assign(observed_.begin(), observed_.begin() + static_cast<std::ptrdiff_t>(latents_));
  model.reconstruction = errors();
  model.truth = truth_;
  model.rows = static_cast<std::int64_t>(kept_.size() / width_);
  for (std::size_t k = 0; !truth_.empty() && k < observed_.size(); ++k) {
    auto points = blur(k);
    if (points.size() < 2)
      throw InputError(data + ": column " + ae::quoted(truth_) + " is always " + number_text(points.front().x) +
                       ", expected a truth that varies");
    model.blur[observed_[k]] = std::move(points);
  }
  return model;
}

std::string error_model_json(const ErrorModel& model) {
  const auto& errors = model.reconstruction;
  Json cells = Json::array();
  for (const auto& cell : errors.cells)
    cells.push_back({{"code", cell.code}, {"rows", cell.rows}, {"bias", cell.bias}, {"spread", cell.spread}});
  Json json = {{"format", kErrorModelFormat},
               {"version", kErrorModelVersion},
               {"made_by", model.made_by},
               {"model", model.model},
               {"rows", model.rows},
               {"codes", model.codes},
               {"reconstruction",
                {{"columns", errors.columns},
                 {"code_scale", errors.scale},
                 {"cells", std::move(cells)},
                 {"residuals", errors.residuals}}}};
  if (!model.truth.empty()) {
    json["truth"] = model.truth;
    json["blur"] = Json::object();  // expected beside a truth, though it may be empty
    for (const auto& [name, points] : model.blur) {
      auto& table = json["blur"][name] = Json::array();
      for (const auto& point : points) table.push_back({{"x", point.x}, {"mean", point.mean}, {"sigma", point.sigma}});
    }
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

namespace {

std::vector<double> numbers(const JsonPlace& place, std::size_t count, double least) {
  auto all = place.numbers();
  if (all.size() != count) place.refuse("has " + counted(all.size(), "numbers") + ", not " + std::to_string(count));
  if (std::ranges::any_of(all, [&](double v) { return v < least; })) place.refuse("has a number that is too small");
  return all;
}

constexpr double kLeast = -std::numeric_limits<double>::max();

ReconstructionErrors read_errors(const JsonPlace& place, std::size_t latents) {
  ReconstructionErrors errors;
  errors.columns = place.at("columns").texts();
  errors.scale = numbers(place.at("code_scale"), latents, std::numeric_limits<double>::min());
  for (const auto& item : place.at("cells").items()) {
    ErrorCell cell;
    cell.code = numbers(item.at("code"), latents, kLeast);
    cell.bias = numbers(item.at("bias"), errors.columns.size(), kLeast);
    cell.spread = numbers(item.at("spread"), errors.columns.size(), 0);
    cell.rows = static_cast<std::int64_t>(std::clamp(item.at("rows").number(), 0.0, 1e15));
    errors.cells.push_back(std::move(cell));
  }
  if (errors.cells.empty()) place.at("cells").refuse("is empty");
  for (const auto& item : place.at("residuals").items())
    errors.residuals.push_back(numbers(item, errors.columns.size(), kLeast));
  if (errors.residuals.empty()) place.at("residuals").refuse("is empty");
  // An error is drawn as a bias and a spread times a residual, all of which are to be numbers.
  for (std::size_t c = 0; c < errors.columns.size(); ++c) {
    double bias = 0, spread = 0, residual = 0;
    for (const auto& cell : errors.cells) {
      bias = std::max(bias, std::abs(cell.bias[c]));
      spread = std::max(spread, cell.spread[c]);
    }
    for (const auto& one : errors.residuals) residual = std::max(residual, std::abs(one[c]));
    if (!std::isfinite(bias + spread * residual))
      place.at("residuals").refuse("makes errors of column " + ae::quoted(errors.columns[c]) + " that are too large");
  }
  return errors;
}

std::vector<BlurPoint> read_blur(const JsonPlace& place) {
  std::vector<BlurPoint> points;
  for (const auto& item : place.items()) {
    const BlurPoint point{item.at("x").number(), item.at("mean").number(), item.at("sigma").number()};
    if (!points.empty() && !(point.x > points.back().x)) item.at("x").refuse("does not rise");
    if (point.sigma < 0) item.at("sigma").refuse("is below 0");
    if (!points.empty() && !std::isfinite(2 * (point.x - points.front().x))) item.at("x").refuse("is too far off");
    if (!points.empty() && !std::isfinite(point.mean - points.back().mean)) item.at("mean").refuse("is too far off");
    points.push_back(point);
  }
  if (points.size() < 2) place.refuse("has fewer than two points");
  return points;
}

}  // namespace

bool is_error_model(const std::filesystem::path& path) { return path.extension() == ".json"; }

ErrorModel read_error_model(const std::filesystem::path& path) {
  return parse_error_model(path == "-" ? "<stdin>" : path.string(), read_file(path, FileKind::data));
}

ErrorModel parse_error_model(const std::string& name, const std::string& json) {
  const JsonFile file(name, json, kErrorModelFormat, kErrorModelVersion,
                      "an error model as ae-embed --error-model writes it");
  const auto top = file.top();
  ErrorModel model;
  model.made_by = top.at("made_by").text();
  model.model = top.at("model").text();
  model.rows = static_cast<std::int64_t>(std::clamp(top.at("rows").number(), 0.0, 1e15));
  model.codes = top.at("codes").texts();
  model.reconstruction = read_errors(top.at("reconstruction"), model.codes.size());
  if (top.has("truth")) {
    model.truth = top.at("truth").text();
    const auto blur = top.at("blur");
    auto names = model.codes;
    names.emplace_back("loss");
    for (const auto& name : names)
      if (blur.has(name)) model.blur[name] = read_blur(blur.at(name));
  }
  return model;
}

}  // namespace ae::fit
