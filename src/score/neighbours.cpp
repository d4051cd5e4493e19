#include "score/neighbours.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/signals.hpp"
#include "model/threads.hpp"
#include "score/pace.hpp"

namespace ae::score {
namespace {

constexpr std::int64_t kQueriesAtOnce = 64;
constexpr std::int64_t kScanned = 32;  // values compared at once
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The k smallest of a stream of (value, index), smallest first, equal values by index.
template <typename Value>
class Smallest {
 public:
  explicit Smallest(std::int64_t k) : k_(static_cast<std::size_t>(k)) { items_.reserve(k_ + 1); }
  void clear() {
    items_.clear();
    worst_ = std::numeric_limits<Value>::infinity();
  }
  // Values must come with increasing index.
  void offer(Value value, std::int64_t index) {
    if (!(value < worst_)) return;
    auto at = items_.end();
    while (at != items_.begin() && value < (at - 1)->first) --at;
    items_.insert(at, {value, index});
    if (items_.size() > k_) items_.pop_back();
    if (items_.size() == k_) worst_ = items_.back().first;
  }
  Value worst() const { return worst_; }
  const std::vector<std::pair<Value, std::int64_t>>& items() const { return items_; }

 private:
  std::size_t k_;
  Value worst_ = std::numeric_limits<Value>::infinity();  // of k; infinity while there are fewer
  std::vector<std::pair<Value, std::int64_t>> items_;
};

// Calls visit(t) for every t of values[0, count) that lies in a group with a value of at most limit(), which may fall
// on the way: a superset of the values sought, in order. Most groups are passed over by one vectorised comparison.
template <typename Limit, typename Visit>
void visit_low(const float* values, std::int64_t count, Limit&& limit, Visit&& visit) {
  for (std::int64_t begin = 0; begin < count; begin += kScanned) {
    const std::int64_t end = std::min(begin + kScanned, count);
    const float most = limit();
    if (end - begin == kScanned) {
      int low = 0;
      for (std::int64_t t = 0; t < kScanned; ++t) low |= static_cast<int>(values[begin + t] <= most);
      if (low == 0) continue;
    }
    for (std::int64_t t = begin; t < end; ++t) visit(t);
  }
}

// Squared distance over common coordinates in float64, scaled up; null masks = all observed.
double exact_distance(const float* a, const float* a_seen, const float* b, const float* b_seen, std::int64_t width) {
  double sum = 0;
  if (a_seen == nullptr && b_seen == nullptr) {
    for (std::int64_t j = 0; j < width; ++j) {
      const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
      sum += difference * difference;
    }
    return sum;
  }
  double common = 0;
  for (std::int64_t j = 0; j < width; ++j) {
    const double both = (a_seen == nullptr ? 1.0 : static_cast<double>(a_seen[j])) *
                        (b_seen == nullptr ? 1.0 : static_cast<double>(b_seen[j]));
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += both * difference * difference;
    common += both;
  }
  return common > 0 ? sum * (static_cast<double>(width) / common) : kInfinity;
}

}  // namespace

Encoding::Encoding(const std::vector<model::Element>& elements, double alarm) : elements_(elements) {
  std::vector<std::int64_t> owner;
  std::vector<float> factors;
  for (const auto& element : elements) factors.push_back(element.constant ? static_cast<float>(alarm) : 1.0f);
  if (std::any_of(elements.begin(), elements.end(), [](const auto& element) { return element.constant; })) {
    factors_ = torch::tensor(factors);
  }
  for (std::size_t e = 0; e < elements.size(); ++e) {
    first_.push_back(width_);
    const std::int64_t coordinates = elements[e].categorical() ? elements[e].codes : 1;
    owner.insert(owner.end(), static_cast<std::size_t>(coordinates), static_cast<std::int64_t>(e));
    width_ += coordinates;
    plain_ = plain_ && !elements[e].categorical();
  }
  owner_ = torch::tensor(owner, torch::kInt64);
  std::vector<float> numeric;
  for (const auto element : owner) {
    numeric.push_back(elements[static_cast<std::size_t>(element)].categorical() ? 0.0f : 1.0f);
  }
  numeric_ = torch::tensor(numeric);
}

void Encoding::curve(const model::Batch& rows) {
  const auto seen = spread(rows.observed).to(torch::kFloat64);
  center_ = at::Tensor();
  const auto bent = points(rows).to(torch::kFloat64).asinh() * seen;
  const auto count = seen.sum(0).clamp_min(1);
  const auto center = bent.sum(0) / count;
  const auto deviation = (((bent - center) * seen).square().sum(0) / count).sqrt();
  curve(center, torch::where(deviation > 1e-12, deviation, torch::ones_like(deviation)));
}

void Encoding::curve(at::Tensor center, at::Tensor spread) {
  std::vector<float> curved;
  for (const auto& element : elements_) {
    const auto coordinates = static_cast<std::size_t>(element.categorical() ? element.codes : 1);
    curved.insert(curved.end(), coordinates, element.categorical() || element.constant ? 0.0f : 1.0f);
  }
  curved_ = torch::tensor(curved);
  center_ = std::move(center);
  spread_ = std::move(spread);
}

at::Tensor Encoding::points(const model::Batch& batch) const {
  auto points = straight_points(batch);
  if (!center_.defined()) return points;
  const auto bent = ((points.to(torch::kFloat64).asinh() - center_) / spread_).to(torch::kFloat32);
  return (torch::where(curved_ > 0, bent, points) * spread(batch.observed)).contiguous();
}

at::Tensor Encoding::straight_points(const model::Batch& batch) const {
  auto seen = (batch.values * batch.observed).to(torch::kFloat32);
  if (factors_.defined()) seen = seen * factors_;
  if (plain_) return seen.contiguous();
  auto points = torch::zeros({batch.samples(), width_}, torch::kFloat32);
  for (std::size_t e = 0; e < elements_.size(); ++e) {
    const auto element = static_cast<std::int64_t>(e);
    if (!elements_[e].categorical()) {
      points.select(1, first_[e]).copy_(seen.select(1, element));
      continue;
    }
    const auto code = seen.select(1, element).to(torch::kInt64).clamp(0, elements_[e].codes - 1).unsqueeze(1);
    points.narrow(1, first_[e], elements_[e].codes).scatter_(1, code, batch.observed.narrow(1, element, 1));
  }
  return points;
}

at::Tensor Encoding::spread(const at::Tensor& per_element) const {
  return plain_ ? per_element : per_element.index_select(1, owner_);
}

at::Tensor Encoding::gathered(const at::Tensor& coordinates) const {
  if (plain_) return coordinates;
  auto sums = torch::zeros({coordinates.size(0), static_cast<std::int64_t>(elements_.size())}, coordinates.options());
  return sums.index_add(1, owner_, coordinates);
}

at::Tensor Encoding::cells(const at::Tensor& points) const {
  auto coordinates = points;
  if (center_.defined()) {
    // No scaled value is beyond sinh(15).
    coordinates = torch::where(curved_ > 0, (points * spread_ + center_).clamp(-15, 15).sinh(), points);
  }
  if (plain_) return coordinates;
  auto cells = torch::zeros({coordinates.size(0), static_cast<std::int64_t>(elements_.size())}, coordinates.options());
  for (std::size_t e = 0; e < elements_.size(); ++e) {
    const auto mine = coordinates.narrow(1, first_[e], elements_[e].categorical() ? elements_[e].codes : 1);
    cells.select(1, static_cast<std::int64_t>(e))
        .copy_(elements_[e].categorical() ? mine.argmax(1).to(coordinates.scalar_type()) : mine.squeeze(1));
  }
  return cells;
}

NeighbourIndex::NeighbourIndex(const at::Tensor& points, const at::Tensor& observed)
    : points_(points.contiguous()), observed_(observed.defined() ? observed.contiguous() : observed) {
  squares_ = observed_.defined() ? points_.square() : points_.square().sum(1);
}

std::int64_t NeighbourIndex::Found::count(std::int64_t i) const {
  const auto begin = index.begin() + i * k;
  return std::find(begin, begin + k, -1) - begin;
}

NeighbourIndex::Found NeighbourIndex::search(const at::Tensor& all_queries, const at::Tensor& all_seen, std::int64_t k,
                                             const std::vector<std::int64_t>& excluded, const Repeats& repeats,
                                             Pace* pace) const {
  const auto queries = all_queries.contiguous();
  const std::int64_t count = queries.size(0);
  const std::int64_t width = points_.size(1);
  const std::int64_t stored = rows();
  Found found{k, std::vector<std::int64_t>(static_cast<std::size_t>(count * k), -1),
              std::vector<double>(static_cast<std::size_t>(count * k), kInfinity)};
  if (count == 0 || stored == 0) return found;
  const bool masked = all_seen.defined() || observed_.defined();
  const auto seen = masked && !all_seen.defined() ? torch::ones_like(queries) : all_seen;
  const auto seen_rows = masked ? seen.contiguous() : seen;
  const auto stored_seen = masked && !observed_.defined() ? torch::ones_like(points_) : observed_;
  const auto stored_squares = masked && !observed_.defined() ? points_.square() : squares_;
  const float* query_data = queries.data_ptr<float>();
  const float* point_data = points_.data_ptr<float>();
  const float* seen_data = masked ? seen_rows.data_ptr<float>() : nullptr;
  const float* stored_seen_data = masked ? stored_seen.data_ptr<float>() : nullptr;

  // |computed - exact| of a dot product of `terms` terms in float32, in units of (|q| + |t|)^2; twice the bound of any
  // order of summation. A point t nearer than d has |t| <= |q| + sqrt(d).
  const std::int64_t terms = masked ? 3 * width : width;
  const double rounding = 2.0 * static_cast<double>(terms + 4) * 0x1p-24;

  const auto search_some = [&](std::int64_t begin, std::int64_t end) {
    throw_if_stopped("searching neighbours");
    const torch::NoGradGuard no_grad;
    const auto some = queries.narrow(0, begin, end - begin);
    at::Tensor table, common;
    if (masked) {
      const auto some_seen = seen_rows.narrow(0, begin, end - begin);
      // sum_j o_j p_j (x_j - y_j)^2, x observed where o is 1 and y where p is, both 0 elsewhere; summed in place.
      table = some.square().mm(stored_seen.t());
      table.addmm_(some_seen, stored_squares.t());
      table.addmm_(some, points_.t(), 1, -2);
      common = some_seen.mm(stored_seen.t()).contiguous();  // whole numbers, exact
    } else {
      table = torch::addmm(squares_, some, points_.t(), 1, -2);  // without |q|^2, the same for all points
    }
    table = table.contiguous();
    Smallest<float> nearest(k);
    Smallest<double> exact(k);
    for (std::int64_t i = begin; i < end; ++i) {
      float* row = table.data_ptr<float>() + (i - begin) * stored;
      const float* shared = masked ? common.data_ptr<float>() + (i - begin) * stored : nullptr;
      const float* query = query_data + i * width;
      const float* query_seen = masked ? seen_data + i * width : nullptr;
      for (std::int64_t t = 0; masked && t < stored; ++t) {
        row[t] =
            shared[t] > 0 ? row[t] * (static_cast<float>(width) / shared[t]) : std::numeric_limits<float>::infinity();
      }
      if (!excluded.empty() && excluded[static_cast<std::size_t>(i)] >= 0) {
        repeats.for_each(excluded[static_cast<std::size_t>(i)],
                         [&](std::int64_t t) { row[t] = std::numeric_limits<float>::infinity(); });
      }
      double square = 0;
      for (std::int64_t j = 0; j < width; ++j) square += static_cast<double>(query[j]) * static_cast<double>(query[j]);
      const auto distance_to = [&](std::int64_t t) {
        return exact_distance(query, query_seen, point_data + t * width,
                              masked ? stored_seen_data + t * width : nullptr, width);
      };
      // The k nearest by float32 give an upper bound of the k-th distance ...
      nearest.clear();
      visit_low(
          row, stored, [&] { return nearest.worst(); }, [&](std::int64_t t) { nearest.offer(row[t], t); });
      double bound = 0;
      for (const auto& [value, t] : nearest.items()) bound = std::max(bound, distance_to(t));
      if (static_cast<std::int64_t>(nearest.items().size()) < k) bound = std::numeric_limits<float>::max();
      // ... and whatever float32 cannot place beyond it is looked at exactly.
      const double reach = 2 * std::sqrt(square) + std::sqrt(bound);
      const double error = rounding * reach * reach;
      const double limit = bound + error - square;
      const auto allowed = [&](std::int64_t t) {
        return masked ? bound + error * static_cast<double>(width) / static_cast<double>(shared[t]) : limit;
      };
      // Of masked points those with one common coordinate are allowed most.
      const double widest = masked ? bound + error * static_cast<double>(width) : limit;
      const float scanned = std::nextafter(static_cast<float>(widest), std::numeric_limits<float>::infinity());
      exact.clear();
      visit_low(
          row, stored, [&] { return scanned; },
          [&](std::int64_t t) {
            if (!std::isinf(row[t]) && static_cast<double>(row[t]) <= allowed(t)) exact.offer(distance_to(t), t);
          });
      for (std::size_t n = 0; n < exact.items().size(); ++n) {
        found.distance[static_cast<std::size_t>(i * k) + n] = exact.items()[n].first;
        found.index[static_cast<std::size_t>(i * k) + n] = exact.items()[n].second;
      }
    }
    if (pace != nullptr) pace->advance(end - begin);
  };
  // Threads share out the queries; within one, products run alone: two pools of threads would only get in each
  // other's way.
  model::share_out(count, kQueriesAtOnce, search_some);
  return found;
}

at::Tensor mean_of_found(const NeighbourIndex::Found& found, std::int64_t k, const at::Tensor& points,
                         const at::Tensor& observed) {
  const auto queries = static_cast<std::int64_t>(found.index.size()) / std::max<std::int64_t>(found.k, 1);
  const std::int64_t width = points.size(1);
  auto means = torch::zeros({queries, width}, torch::kFloat64);
  double* mean = means.data_ptr<double>();
  const float* point = points.data_ptr<float>();
  const float* seen = observed.defined() ? observed.data_ptr<float>() : nullptr;
  std::vector<double> counts(static_cast<std::size_t>(width));
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::int64_t used = std::min(k, found.count(i));
    std::fill(counts.begin(), counts.end(), seen == nullptr ? static_cast<double>(used) : 0.0);
    for (std::int64_t n = 0; n < used; ++n) {
      const std::int64_t row = found.index[static_cast<std::size_t>(i * found.k + n)] * width;
      for (std::int64_t j = 0; j < width; ++j) {
        const double weight = seen == nullptr ? 1.0 : static_cast<double>(seen[row + j]);
        mean[i * width + j] += weight * static_cast<double>(point[row + j]);
        if (seen != nullptr) counts[static_cast<std::size_t>(j)] += weight;
      }
    }
    for (std::int64_t j = 0; j < width; ++j) mean[i * width + j] /= std::max(counts[static_cast<std::size_t>(j)], 1.0);
  }
  return means;
}

}  // namespace ae::score
