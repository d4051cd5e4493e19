// The reconstruction of a row from the nearest normal rows, which the model keeps.
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/repeats.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "model/threads.hpp"
#include "score/makers.hpp"
#include "score/neighbours.hpp"
#include "score/pace.hpp"
#include "score/residuals.hpp"

namespace ae::score {
namespace {

std::span<const config::Choice> judgements() {
  static const std::vector<config::Choice> all = [] {
    std::vector<config::Choice> choices(ResidualJudge::kinds().begin(), ResidualJudge::kinds().end());
    choices.push_back({"local", "Mahalanobis distance by the shape of the cloud of the nearest rows themselves"});
    return choices;
  }();
  return all;
}

// Everything after the search is in coordinates of Encoding, "whitened" ones when asked: y = x W with W the inverse
// root of the covariance of leave-one-out residuals, so that neighbours are sought along what normal rows vary in
// least.
class Neighbours final : public SampleHead {
 public:
  std::int64_t k = 5;
  std::string judge = "mahalanobis";
  bool whiten = false;
  std::int64_t whitening_k = 5;
  double ridge = 10;
  bool curved = false;
  std::int64_t max_rows = 20000;

  void fields(config::Fields& f) override {
    f.integer("k", k, {1, 1000}, "Nearest rows whose mean is the reconstruction (or, judged locally, whose cloud is).");
    f.choice("judge", judge, judgements(), "How the residuals are judged.");
    f.boolean(
        "whiten", whiten,
        "Measure distances after decorrelating the columns by the residuals of normal rows from their neighbours.");
    f.integer("whitening_k", whitening_k, {1, 1000}, "Nearest rows whose mean gives the residuals for \"whiten\".");
    f.number("ridge", ridge, {0, 1e6, true},
             "Added to the scatter of the nearest rows by the judge \"local\", in whitened (else scaled) units.");
    f.boolean("curved", curved, "Work on asinh of the scaled numbers, so that far values lie less far.");
    f.integer("max_rows", max_rows, {1, 10'000'000},
              "Training rows kept in the model at most; of more, a random choice by the seed.");
  }

  void fit(const FitContext& context) override {
    const std::int64_t all = context.training.size();
    std::vector<std::int64_t> kept = permutation(all, Random(stream_key(context.seed, "stored rows")));
    kept.resize(static_cast<std::size_t>(std::min(all, max_rows)));
    std::sort(kept.begin(), kept.end());
    remember(kept, all, *context.training_repeats);
    prepare(context.autoencoder, static_cast<double>(kept.size()));
    const auto batch = context.training.batch(kept);
    if (curved) encoding_->curve(batch);
    auto rows = encoding_->points(batch);
    const bool missing = batch.observed.min().item<float>() < 1;
    const auto observed = encoding_->spread(batch.observed);
    std::vector<std::int64_t> self;
    for (const auto row : kept) self.push_back(stored_of_training_[static_cast<std::size_t>(row)]);
    const int searches = (whiten ? 1 : 0) + (missing ? 1 : 0) + (judge != "local" ? 1 : 0);
    Pace pace(context.reporter, "rows", searches * batch.samples(), "fitting the score head");

    stored_ = rows;
    root_ = {};
    stored_observed_ = missing ? batch.observed.to(torch::kUInt8) : at::Tensor();
    if (whiten) {
      const NeighbourIndex plain(rows, missing ? observed : at::Tensor());
      const auto found = plain.search(rows, missing ? observed : at::Tensor(), whitening_k, self, repeats_, &pace);
      const auto mean = mean_of_found(found, whitening_k, rows, missing ? observed.contiguous() : at::Tensor());
      const auto [residuals, seen] = with_changes((rows.to(torch::kFloat64) - mean) * observed, observed);
      whitening_ = ledoit_wolf(residuals, seen.to(torch::kFloat64), &row_weight_);
      own_residuals_ = residuals.narrow(0, 0, rows.size(0));
    }
    index_stored(&pace);
    if (missing && !whiten) {
      // Compared by what is observed, a row without the cell that is strange in another would be the nearest to it.
      stored_ = filled_;
      stored_observed_ = at::Tensor();
      index_stored();
    }
    if (whiten) own_residuals_ = root_.apply(own_residuals_);
    if (judge == "local") return;
    const auto [residuals, seen] =
        with_changes(explain(batch, self, &pace).residual, whiten ? torch::ones_like(observed) : observed);
    judge_ = ResidualJudge::fit(judge, residuals, seen);
    set_diagonal();
  }

  Answer answer(const loss::Autoencoder&, const model::Batch& batch, std::int64_t first_training) const override {
    std::vector<std::int64_t> self;
    if (first_training >= 0) {
      for (std::int64_t i = 0; i < batch.samples(); ++i) {
        const auto row = static_cast<std::size_t>(first_training + i);
        self.push_back(row < stored_of_training_.size() ? stored_of_training_[row] : -1);
      }
    }
    const auto explained = explain(batch, self);
    const auto seen = encoding_->spread(batch.observed);
    at::Tensor distance, gradient, diagonal;
    if (judge == "local") {
      distance = explained.distance;
      gradient = explained.gradient;
      diagonal = explained.diagonal;
    } else {
      const auto verdict = judge_.judge(explained.residual, whiten ? torch::ones_like(seen) : seen, own(self));
      distance = verdict.distance;
      gradient = whiten ? root_.apply(verdict.gradient) : verdict.gradient;
      diagonal = diagonal_;
    }
    // An observed number should have been what all others imply: the value that takes its share of the distance away.
    const auto implied = explained.point - gradient / diagonal;
    const auto expected = torch::where((encoding_->numeric() * seen) > 0, implied, explained.expected);
    const auto observed = batch.observed.sum(1).to(torch::kFloat64);
    distance = torch::where(observed > 0, distance / observed.clamp_min(1), torch::zeros_like(distance));
    return {encoding_->gathered(blame(gradient * seen, diagonal, distance)), encoding_->cells(expected)};
  }

  bool asks_network() const override { return false; }
  bool leaves_out() const override { return true; }

  Arrays state() const override {
    Arrays arrays;
    arrays["rows"] = to_array(stored_);
    if (stored_observed_.defined()) arrays["observed"] = to_array(stored_observed_);
    if (whiten) data::put_under(arrays, "whitening.", whitening_.state());
    if (judge != "local") data::put_under(arrays, "judge.", judge_.state());
    if (curved) {
      arrays["curve.center"] = to_array(encoding_->curve_center());
      arrays["curve.spread"] = to_array(encoding_->curve_spread());
    }
    return arrays;
  }

  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    encoding_ = std::make_unique<Encoding>(autoencoder.elements());
    const std::int64_t width = encoding_->width();
    stored_ = from_arrays(arrays, "rows", data::Dtype::f32, {-1, width});
    if (stored_.size(0) < 1 || stored_.size(0) > max_rows) {
      throw InputError("\"rows\" holds " + std::to_string(stored_.size(0)) + " rows; expected 1 to " +
                       std::to_string(max_rows) + " (max_rows)");
    }
    prepare(autoencoder, static_cast<double>(stored_.size(0)));
    if (curved) {
      auto spread = from_arrays(arrays, "curve.spread", data::Dtype::f64, {width});
      if (spread.min().item<double>() <= 0) throw InputError("\"curve.spread\" must be positive; the file is damaged");
      encoding_->curve(from_arrays(arrays, "curve.center", data::Dtype::f64, {width}), std::move(spread));
    }
    if (arrays.contains("observed")) {
      stored_observed_ = from_arrays(arrays, "observed", data::Dtype::u8,
                                     {stored_.size(0), static_cast<std::int64_t>(autoencoder.elements().size())});
      if (stored_observed_.max().item<int>() > 1) throw InputError("\"observed\" must hold 0 and 1 only");
    }
    if (stored_.abs().max().item<float>() > 1e7f) {
      throw InputError("\"rows\" holds values beyond those of scaled tables; the file is damaged");
    }
    if (whiten) whitening_ = Spectral::restored(data::arrays_under(arrays, "whitening."), width);
    index_stored();
    if (judge != "local") {
      judge_ = ResidualJudge::restored(judge, data::arrays_under(arrays, "judge."), width);
      set_diagonal();
    }
  }

 private:
  // point    [n, width] float64: the row in the encoding's coordinates, unobserved ones filled in where that is needed
  // residual [n, width] float64: of the (whitened) point; expected [n, width] in the encoding's coordinates
  // judged locally: distance [n], gradient and diagonal [n, width] in the encoding's coordinates
  struct Explained {
    at::Tensor point;
    at::Tensor residual;
    at::Tensor expected;
    at::Tensor distance;
    at::Tensor gradient;
    at::Tensor diagonal;
  };

  // A column that was constant in n training rows and changes now must alarm as one that changed in a single training
  // row does for that row: standardised, that one is sqrt(n) from the others.
  void prepare(const loss::Autoencoder& autoencoder, double n) {
    encoding_ = std::make_unique<Encoding>(autoencoder.elements(), std::sqrt(n) / data::Scaler::constant_alarm());
    constant_.clear();
    std::int64_t coordinate = 0;
    for (const auto& element : autoencoder.elements()) {
      if (element.constant) constant_.push_back(coordinate);
      coordinate += element.categorical() ? element.codes : 1;
    }
  }

  // Residuals and what is observed of them, with one more row for each constant column: the single change that a
  // training row would have had to make for the column not to be constant.
  std::pair<at::Tensor, at::Tensor> with_changes(const at::Tensor& residuals, const at::Tensor& observed) const {
    if (constant_.empty()) return {residuals, observed};
    auto changes = torch::zeros({static_cast<std::int64_t>(constant_.size()), residuals.size(1)}, residuals.options());
    for (std::size_t i = 0; i < constant_.size(); ++i) {
      changes[static_cast<std::int64_t>(i)][constant_[i]] = std::sqrt(static_cast<double>(stored_.size(0)));
    }
    if (whiten && root_.directions.defined()) changes = root_.apply(changes);
    return {torch::cat({residuals, changes}), torch::cat({observed, torch::ones(changes.sizes(), observed.options())})};
  }

  // Which training row is answered without which stored ones: those identical to it, of which stored_of_training_ names
  // the first.
  void remember(const std::vector<std::int64_t>& kept, std::int64_t all, const Repeats& repeats) {
    std::vector<std::int64_t> stored(static_cast<std::size_t>(all), -1);  // by the first identical training row
    for (std::size_t i = 0; i < kept.size(); ++i) {
      auto& first = stored[static_cast<std::size_t>(repeats.first(kept[i]))];
      if (first < 0) first = static_cast<std::int64_t>(i);
    }
    stored_of_training_.resize(stored.size());
    for (std::int64_t row = 0; row < all; ++row) {
      stored_of_training_[static_cast<std::size_t>(row)] = stored[static_cast<std::size_t>(repeats.first(row))];
    }
    repeats_ = repeats.among(kept);
  }

  // How often the judge has learned from the answered rows.
  at::Tensor own(const std::vector<std::int64_t>& self) const {
    if (self.empty()) return {};
    std::vector<double> times;
    for (const auto stored : self) times.push_back(stored < 0 ? 0.0 : static_cast<double>(repeats_.count(stored)));
    return torch::tensor(times, torch::kFloat64);
  }

  at::Tensor whitened(const at::Tensor& points) const {
    return root_.apply(points.to(torch::kFloat64)).to(torch::kFloat32).contiguous();
  }

  void index_stored(Pace* pace = nullptr) {
    stored_seen_ = stored_observed_.defined() ? encoding_->spread(stored_observed_.to(torch::kFloat32)).contiguous()
                                              : at::Tensor();
    plain_ = NeighbourIndex(stored_, stored_seen_);
    filled_ = stored_;
    if (stored_seen_.defined()) {
      std::vector<std::int64_t> self(static_cast<std::size_t>(stored_.size(0)));
      std::iota(self.begin(), self.end(), 0);
      filled_ = filled(stored_, stored_seen_, self, {}, pace);  // a copy has no more to say than the row itself
    }
    blamed_ = filled_;
    if (!whiten) return;
    root_ = whitening_.power(-0.5);
    white_ = NeighbourIndex(whitened(filled_));
    if (judge == "local") blamed_ = root_.apply(white_.points().to(torch::kFloat64)).to(torch::kFloat32).contiguous();
  }

  void set_diagonal() {
    // Of W P W, column by column where P is not of a simple form.
    if (!whiten) {
      diagonal_ = judge_.diagonal();
      return;
    }
    const auto width = encoding_->width();
    std::vector<at::Tensor> parts;
    constexpr std::int64_t kColumns = 256;
    for (std::int64_t begin = 0; begin < width; begin += kColumns) {
      const auto count = std::min(kColumns, width - begin);
      auto unit = torch::zeros({count, width}, torch::kFloat64);
      unit.narrow(1, begin, count).fill_diagonal_(1);
      const auto rows = root_.apply(unit);
      throw_if_stopped("fitting the score head");
      parts.push_back(judge_.judge(rows, torch::ones_like(rows)).distance);
    }
    diagonal_ = torch::cat(parts);
  }

  // Unobserved cells from the nearest rows by the observed ones.
  at::Tensor filled(const at::Tensor& points, const at::Tensor& seen, const std::vector<std::int64_t>& self,
                    const Repeats& repeats, Pace* pace = nullptr) const {
    const auto found = plain_.search(points, seen, whitening_k, self, repeats, pace);
    const auto mean = mean_of_found(found, whitening_k, stored_, stored_seen_).to(torch::kFloat32);
    return torch::where(seen > 0, points, mean).contiguous();
  }

  Explained explain(const model::Batch& batch, const std::vector<std::int64_t>& self, Pace* pace = nullptr) const {
    auto position = encoding_->points(batch);
    const bool missing = batch.observed.min().item<float>() < 1;
    const auto seen = missing ? encoding_->spread(batch.observed).contiguous() : at::Tensor();
    NeighbourIndex::Found found;
    if (!whiten) found = plain_.search(position, seen, k, self, repeats_, pace);
    if (missing && (whiten || judge == "local")) position = filled(position, seen, self, repeats_);
    const auto point = position.to(torch::kFloat64);
    if (whiten) {
      position = whitened(position);
      found = white_.search(position, {}, k, self, repeats_, pace);
    }
    Explained explained;
    if (judge == "local") {
      explained = locally(position, found, self);
      explained.point = point;
      return explained;
    }
    explained.point = point;
    explained.expected = whiten ? mean_of_found(found, k, filled_) : mean_of_found(found, k, stored_, stored_seen_);
    const auto mean = whiten ? mean_of_found(found, k, white_.points()) : explained.expected;
    explained.residual = position.to(torch::kFloat64) - mean;
    if (missing && !whiten) explained.residual = explained.residual * seen;
    return explained;
  }

  // With m the mean of the found points, V [k, width] the points less m and r the row less m, the local covariance is
  //   C = (V^T V + ridge I) / (k + ridge)
  // and the distance r^T C^-1 r det(C)^(1 / width): by the cloud's shape at unit volume, since how dense normal rows
  // happen to be here says little. By Woodbury's identity all is solved by Cholesky in k x k:
  //   r^T (V^T V + ridge I)^-1 r = r^T (r - V^T w) / ridge,  (V V^T + ridge I) w = V r,
  // and m + V^T w, the best ridge-penalised affine combination of the neighbours, is the expected row.
  //
  // A stored row that is left out leaves the covariance of the whitening too, which is the ridge's shape: that loses
  // u u^T times `row_weight_`, u the row's own whitened residual, for each row identical to it. Both C^-1 and det C
  // follow by rank-one updates.
  Explained locally(const at::Tensor& position, const NeighbourIndex::Found& found,
                    const std::vector<std::int64_t>& self) const {
    const std::int64_t n = position.size(0), width = position.size(1);
    Explained explained;
    explained.distance = torch::zeros({n}, torch::kFloat64);
    explained.gradient = torch::zeros({n, width}, torch::kFloat64);
    explained.diagonal = torch::ones({n, width}, torch::kFloat64);
    explained.expected = torch::zeros({n, width}, torch::kFloat64);
    const auto base_diagonal = whiten ? root_.power(2).diagonal() : torch::ones({width}, torch::kFloat64);
    const float* points = (whiten ? white_.points() : filled_).data_ptr<float>();
    const float* blamed = blamed_.data_ptr<float>();
    const float* show = filled_.data_ptr<float>();
    const float* at = position.data_ptr<float>();
    const double* base = base_diagonal.data_ptr<double>();
    double* distance = explained.distance.data_ptr<double>();
    double* gradient = explained.gradient.data_ptr<double>();
    double* diagonal = explained.diagonal.data_ptr<double>();
    double* expected = explained.expected.data_ptr<double>();
    const auto size = static_cast<std::size_t>(width);
    model::share_out(n, 32, [&](std::int64_t begin, std::int64_t end) {
      throw_if_stopped("scoring");
      const auto most = static_cast<std::size_t>(k);
      std::vector<double> scatter(most * size), blame_scatter(most * size), factor(most * most), solved(most);
      std::vector<double> mean(size), blame_mean(size), residual(size), solved_own(most), own_scatter(most);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t* neighbours = found.index.data() + i * found.k;
        const auto count = static_cast<std::size_t>(found.count(i));
        centre(points, neighbours, count, size, scatter, mean);
        centre(blamed, neighbours, count, size, blame_scatter, blame_mean);
        for (std::size_t j = 0; j < size; ++j)
          residual[j] = static_cast<double>(at[i * width + std::int64_t(j)]) - mean[j];
        for (std::size_t a = 0; a < count; ++a) {
          const double* row = scatter.data() + a * size;
          for (std::size_t b = 0; b <= a; ++b) factor[a * most + b] = dot(row, scatter.data() + b * size, size);
          factor[a * most + a] += ridge;
          solved[a] = dot(row, residual.data(), size);
        }
        cholesky(factor, most, count);
        solve(factor, most, count, solved);
        // gradient: here still r - V^T w, in the space of the search
        double* g = gradient + i * width;
        std::copy(residual.begin(), residual.end(), g);
        for (std::size_t a = 0; a < count; ++a) {
          const double* row = scatter.data() + a * size;
          for (std::size_t j = 0; j < size; ++j) g[j] -= solved[a] * row[j];
        }
        const double shrunk = static_cast<double>(count) + ridge;
        double log_determinant = static_cast<double>(width) * std::log(ridge / shrunk);
        for (std::size_t a = 0; a < count; ++a) {
          log_determinant += 2 * std::log(factor[a * most + a]) - std::log(ridge);
        }
        double square = std::max(0.0, dot(residual.data(), g, size)) * (shrunk / ridge);
        if (whiten && !self.empty() && self[static_cast<std::size_t>(i)] >= 0) {
          const double* own = own_residuals_.data_ptr<double>() + self[static_cast<std::size_t>(i)] * width;
          for (std::size_t a = 0; a < count; ++a) own_scatter[a] = dot(scatter.data() + a * size, own, size);
          std::copy(own_scatter.begin(), own_scatter.end(), solved_own.begin());
          solve(factor, most, count, solved_own);
          const double along =
              (dot(own, own, size) - dot(own_scatter.data(), solved_own.data(), count)) * (shrunk / ridge);
          const double across = dot(own, g, size) * (shrunk / ridge);
          const auto times = static_cast<double>(repeats_.count(self[static_cast<std::size_t>(i)]));
          const double weight = ridge / shrunk * row_weight_ * times;
          const double left = std::max(1 - weight * along, 0.5);
          square += weight * across * across / left;
          log_determinant += std::log(left);
        }
        distance[i] = square * std::exp(log_determinant / static_cast<double>(width));
        // diagonal of W (I - V^T (V V^T + ridge)^-1 V) W
        double* d = diagonal + i * width;
        std::copy(base, base + width, d);
        for (std::size_t a = 0; a < count; ++a) {  // rows of L^-1 (V W), in place
          double* row = blame_scatter.data() + a * size;
          for (std::size_t b = 0; b < a; ++b) {
            const double* above = blame_scatter.data() + b * size;
            const double l = factor[a * most + b];
            for (std::size_t j = 0; j < size; ++j) row[j] -= l * above[j];
          }
          const double inverse = 1 / factor[a * most + a];
          for (std::size_t j = 0; j < size; ++j) {
            row[j] *= inverse;
            d[j] -= row[j] * row[j];
          }
        }
        for (std::size_t j = 0; j < size; ++j) d[j] = std::max(d[j], 1e-12 * base[j] + 1e-300);
        // the combination that explains the row best
        double total = 0;
        for (std::size_t a = 0; a < count; ++a) total += solved[a];
        double* e = expected + i * width;
        for (std::size_t a = 0; a < count; ++a) {
          const double weight = solved[a] + (1 - total) / static_cast<double>(count);
          const float* row = show + neighbours[a] * width;
          for (std::size_t j = 0; j < size; ++j) e[j] += weight * static_cast<double>(row[j]);
        }
      }
    });
    if (whiten) explained.gradient = root_.apply(explained.gradient);
    return explained;
  }

  static double dot(const double* a, const double* b, std::size_t size) {
    double sum = 0;
    for (std::size_t j = 0; j < size; ++j) sum += a[j] * b[j];
    return sum;
  }
  static void centre(const float* points, const std::int64_t* rows, std::size_t count, std::size_t size,
                     std::vector<double>& scatter, std::vector<double>& mean) {
    std::fill(mean.begin(), mean.end(), 0.0);
    for (std::size_t a = 0; a < count; ++a) {
      const float* point = points + static_cast<std::size_t>(rows[a]) * size;
      for (std::size_t j = 0; j < size; ++j) mean[j] += static_cast<double>(point[j]);
    }
    if (count > 0) {
      for (double& value : mean) value /= static_cast<double>(count);
    }
    for (std::size_t a = 0; a < count; ++a) {
      const float* point = points + static_cast<std::size_t>(rows[a]) * size;
      for (std::size_t j = 0; j < size; ++j) scatter[a * size + j] = static_cast<double>(point[j]) - mean[j];
    }
  }
  // In place: the lower triangle of `matrix` (row length `stride`) becomes L with L L^T = matrix.
  static void cholesky(std::vector<double>& matrix, std::size_t stride, std::size_t count) {
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        double value = matrix[a * stride + b] - dot(&matrix[a * stride], &matrix[b * stride], b);
        matrix[a * stride + b] = a == b ? std::sqrt(std::max(value, 1e-300)) : value / matrix[b * stride + b];
      }
    }
  }
  static void solve(const std::vector<double>& factor, std::size_t stride, std::size_t count,
                    std::vector<double>& values) {
    for (std::size_t a = 0; a < count; ++a) {
      values[a] = (values[a] - dot(&factor[a * stride], values.data(), a)) / factor[a * stride + a];
    }
    for (std::size_t a = count; a-- > 0;) {
      for (std::size_t b = a + 1; b < count; ++b) values[a] -= factor[b * stride + a] * values[b];
      values[a] /= factor[a * stride + a];
    }
  }

  std::unique_ptr<Encoding> encoding_;
  std::vector<std::int64_t> constant_;  // coordinates of columns that were constant in training
  at::Tensor stored_;                   // [rows, width] float32, 0 where not observed
  at::Tensor stored_observed_;          // [rows, elements] uint8, or undefined when all are
  Spectral whitening_;                  // the covariance of residuals
  ResidualJudge judge_;
  std::vector<std::int64_t> stored_of_training_;  // stored row of each training row, or -1; only after fit()
  Repeats repeats_;                               // among the stored rows; only after fit()

  at::Tensor own_residuals_;  // [rows, width] float64, of each stored row from its neighbours, whitened; after fit()
  double row_weight_ = 0;     // of each of them in whitening_

  // Follows from the above.
  Spectral root_;           // whitening_^-1/2
  at::Tensor stored_seen_;  // [rows, width] float32: what is observed of stored_, or undefined when all is
  at::Tensor filled_;       // stored_ with its unobserved cells filled in
  at::Tensor blamed_;       // [rows, width]: what `locally` needs for the diagonal
  NeighbourIndex plain_;    // of stored_
  NeighbourIndex white_;    // of the whitened filled_
  at::Tensor diagonal_;     // [width] of W P W
};

}  // namespace

std::unique_ptr<Head> make_neighbours() { return std::make_unique<Neighbours>(); }

}  // namespace ae::score
