// The reconstruction of a row from prototypes: cells of normal rows, of which centre and spread are kept but no row.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/repeats.hpp"
#include "base/signals.hpp"
#include "model/threads.hpp"
#include "score/makers.hpp"
#include "score/neighbours.hpp"
#include "score/pace.hpp"
#include "score/residuals.hpp"

namespace ae::score {
namespace {

constexpr std::array<config::Choice, 2> kJudges{{
    {"normalized", "squared distance from the centre, each column over its mean square on normal rows"},
    {"local", "Mahalanobis distance by the shape of the cell"},
}};

constexpr int kLloydSteps = 15;
constexpr std::int64_t kFolds = 5;
constexpr std::int64_t kCandidates = 5;       // nearest cells of a row that are judged; the best one counts
constexpr std::int64_t kBlock = 32;           // rows judged by a cell at once
constexpr std::int64_t kFewestRows = 3;       // of a cell worth keeping
constexpr double kSmallestMeanSquare = 1e-3;  // as of neighbours

struct Settings {
  std::int64_t cell = 20;
  std::int64_t max_cells = 256;
  double ridge = 10;
  bool local = true;
  bool curved = false;
};

at::Tensor squared_distances(const at::Tensor& a, const at::Tensor& b) {
  return (a.square().sum(1, true) + b.square().sum(1) - 2 * a.mm(b.t())).clamp_min(0);
}

// The nearest center of each row, in pieces that stay in the cache.
at::Tensor nearest_centers(const at::Tensor& rows, const at::Tensor& centers) {
  constexpr std::int64_t kRowsAtOnce = 512;
  auto nearest = torch::empty({rows.size(0)}, torch::kInt64);
  model::share_out(rows.size(0), kRowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
    throw_if_stopped("finding cells");
    const torch::NoGradGuard no_grad;
    nearest.narrow(0, begin, end - begin)
        .copy_(squared_distances(rows.narrow(0, begin, end - begin), centers).argmin(1));
  });
  return nearest;
}

// k-means by Lloyd's steps from the seeding of Arthur and Vassilvitskii (2007). -> the cell of each row
at::Tensor k_means(const at::Tensor& rows, std::int64_t cells, Random random, Pace& pace) {
  const std::int64_t n = rows.size(0);
  auto centers = rows.narrow(0, static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n))), 1).clone();
  auto nearest = squared_distances(rows, centers).squeeze(1);
  while (centers.size(0) < cells) {
    pace.advance();
    const auto sums = nearest.cumsum(0);
    const double total = sums[n - 1].item<double>();
    if (!(total > 0)) break;  // fewer distinct rows than cells
    const auto at = torch::searchsorted(sums, torch::tensor({random.uniform() * total}, torch::kFloat64), false, true);
    const auto chosen = rows.narrow(0, std::min(at.item<std::int64_t>(), n - 1), 1);
    centers = torch::cat({centers, chosen});
    nearest = torch::minimum(nearest, squared_distances(rows, chosen).squeeze(1));
  }
  at::Tensor owner;
  for (int step = 0; step < kLloydSteps; ++step) {
    pace.advance();
    owner = nearest_centers(rows, centers);
    const auto counts = torch::bincount(owner, {}, centers.size(0)).to(torch::kFloat64).unsqueeze(1);
    const auto sums = torch::zeros_like(centers).index_add(0, owner, rows);
    centers = torch::where(counts > 0, sums / counts.clamp_min(1), centers);
  }
  return nearest_centers(rows, centers);
}

// What is learned from one set of rows.
class Cells {
 public:
  Cells(const std::vector<model::Element>& elements, const Settings& settings)
      : settings_(settings), elements_(elements), encoding_(elements) {}

  // `repeats`: among the rows of the batch.
  void fit(const model::Batch& batch, const Repeats& repeats, Random random, Pace& pace) {
    const std::int64_t n = batch.samples();
    rows_ = static_cast<double>(n);
    prepare();
    if (settings_.curved) encoding_.curve(batch);
    const auto z = encoding_.points(batch).to(torch::kFloat64);  // unobserved cells at 0, the column's mean
    const auto seen = encoding_.spread(batch.observed).to(torch::kFloat64);
    const auto wanted =
        std::clamp<std::int64_t>(std::llround(rows_ / static_cast<double>(settings_.cell)), 1, settings_.max_cells);
    const auto owner = k_means(z, wanted, random, pace);
    const auto found = owner.max().item<std::int64_t>() + 1;
    const auto counts = torch::bincount(owner, {}, found).to(torch::kFloat64);
    const auto centers =
        torch::zeros({found, z.size(1)}, torch::kFloat64).index_add(0, owner, z) / counts.clamp_min(1).unsqueeze(1);
    // Residuals from the centre that the cell would have without the row and those identical to it.
    const auto own = counts.index_select(0, owner).unsqueeze(1);
    std::vector<double> times;
    for (std::int64_t i = 0; i < n; ++i) times.push_back(static_cast<double>(repeats.count(i)));
    const auto left = (own - torch::tensor(times, torch::kFloat64).unsqueeze(1)).clamp_min(1);
    auto residuals = (z - centers.index_select(0, owner)) * seen * (own / left);
    auto observed = seen;
    for (const auto coordinate : constant_) {  // as of neighbours: the single change that did not happen
      auto change = torch::zeros({1, z.size(1)}, torch::kFloat64);
      change[0][coordinate] = std::sqrt(rows_);
      residuals = torch::cat({residuals, change});
      observed = torch::cat({observed, torch::ones_like(change)});
    }
    squares_ = residuals.square().sum(0) / observed.sum(0).clamp_min(1) + kSmallestMeanSquare;
    covariance_ = ledoit_wolf(residuals, observed);
    root_ = covariance_.power(-0.5);

    const double fewest = std::min(static_cast<double>(kFewestRows), counts.max().item<double>());
    std::vector<at::Tensor> kept, directions, scatter;
    std::vector<std::int64_t> sizes, ranks;
    const auto y = root_.apply(z);
    for (std::int64_t c = 0; c < found; ++c) {
      pace.advance();
      if (counts[c].item<double>() < fewest) continue;
      const auto members = (owner == c).nonzero().squeeze(1);
      kept.push_back(centers.narrow(0, c, 1));
      sizes.push_back(members.size(0));
      const auto spread = y.index_select(0, members) - root_.apply(centers.narrow(0, c, 1));
      // By the smaller Gram matrix; directions without spread say nothing beyond the ridge.
      const bool wide = spread.size(0) < spread.size(1);
      const auto [values, vectors] = torch::linalg_eigh(wide ? spread.mm(spread.t()) : spread.t().mm(spread));
      const auto use = (values > 1e-9 * std::max(values.max().item<double>(), 1e-9)).nonzero().squeeze(1);
      const auto chosen = values.index_select(0, use);
      const auto basis = vectors.t().index_select(0, use);
      directions.push_back(wide ? basis.mm(spread) / chosen.sqrt().unsqueeze(1) : basis);
      scatter.push_back(chosen);
      ranks.push_back(use.size(0));
    }
    centers_ = torch::cat(kept);
    sizes_ = torch::tensor(sizes, torch::kInt64);
    ranks_ = torch::tensor(ranks, torch::kInt64);
    directions_ = torch::cat(directions);
    scatter_ = torch::cat(scatter);
    complete();
  }

  Answer answer(const model::Batch& batch) const {
    auto z = encoding_.points(batch).to(torch::kFloat64);
    const auto seen = encoding_.spread(batch.observed).to(torch::kFloat64);
    if (batch.observed.min().item<float>() < 1) {
      const auto found = index_.search(z.to(torch::kFloat32), seen.to(torch::kFloat32), 1);
      z = torch::where(seen > 0, z, mean_of_found(found, 1, index_.points()));
    }
    const auto y = root_.apply(z);
    const std::int64_t n = z.size(0), width = z.size(1), cells = centers_.size(0);
    const auto nearest =
        std::get<1>(squared_distances(y, white_centers_).topk(std::min(kCandidates, cells), 1, false, true));
    auto best = torch::full({n}, std::numeric_limits<double>::infinity(), torch::kFloat64);
    auto gain = torch::zeros({n, width}, torch::kFloat64);
    auto expected = torch::zeros({n, width}, torch::kFloat64);
    for (std::int64_t c = 0; c < cells; ++c) {
      throw_if_stopped("scoring");
      const auto mine = (nearest == c).any(1).nonzero().squeeze(1);
      // In blocks of one height, the last one filled up: a product's last bits depend on its height.
      for (std::int64_t begin = 0; begin < mine.size(0); begin += kBlock) {
        const auto count = std::min(kBlock, mine.size(0) - begin);
        const auto rows = mine.narrow(0, begin, count);
        const auto block = count == kBlock ? rows : torch::cat({rows, rows.narrow(0, 0, 1).expand({kBlock - count})});
        const auto here = z.index_select(0, block);
        const auto judged = settings_.local ? locally(c, here, y.index_select(0, block))
                                            : plainly(c, here, seen.index_select(0, block));
        const auto distance = judged.distance.narrow(0, 0, count);
        const auto better = (distance < best.index_select(0, rows)).nonzero().squeeze(1);
        const auto target = rows.index_select(0, better);
        best.index_copy_(0, target, distance.index_select(0, better));
        gain.index_copy_(0, target, judged.gain.index_select(0, better));
        expected.index_copy_(0, target, judged.expected.index_select(0, better));
      }
    }
    gain = gain * seen;
    const auto observed = batch.observed.sum(1).to(torch::kFloat64);
    const auto total = gain.sum(1).clamp_min(1e-300);
    const auto scale = torch::where(observed > 0, best / observed.clamp_min(1) / total, torch::zeros_like(best));
    return {encoding_.gathered(gain * scale.unsqueeze(1)), encoding_.cells(expected)};
  }

  Arrays state() const {
    Arrays arrays{{"centers", to_array(centers_)},
                  {"sizes", to_array(sizes_)},
                  {"squares", to_array(squares_)},
                  {"ranks", to_array(ranks_)},
                  {"directions", to_array(directions_)},
                  {"scatter", to_array(scatter_)},
                  {"rows", to_array(torch::tensor({rows_}, torch::kFloat64))}};
    data::put_under(arrays, "whitening.", covariance_.state());
    if (settings_.curved) {
      arrays["curve.center"] = to_array(encoding_.curve_center());
      arrays["curve.spread"] = to_array(encoding_.curve_spread());
    }
    return arrays;
  }

  void restore(const Arrays& arrays) {
    const std::int64_t width = encoding_.width();
    rows_ = from_arrays(arrays, "rows", data::Dtype::f64, {1}).item<double>();
    if (!(rows_ >= 1 && rows_ <= 1e15)) throw InputError("\"rows\" must be a number of rows; the file is damaged");
    prepare();
    centers_ = from_arrays(arrays, "centers", data::Dtype::f64, {-1, width});
    const std::int64_t cells = centers_.size(0);
    if (cells < 1) throw InputError("\"centers\" holds no cell; the file is damaged");
    sizes_ = from_arrays(arrays, "sizes", data::Dtype::i64, {cells});
    ranks_ = from_arrays(arrays, "ranks", data::Dtype::i64, {cells});
    squares_ = from_arrays(arrays, "squares", data::Dtype::f64, {width});
    scatter_ = from_arrays(arrays, "scatter", data::Dtype::f64, {-1});
    directions_ = from_arrays(arrays, "directions", data::Dtype::f64, {scatter_.size(0), width});
    const bool ranks_fit = ranks_.min().item<std::int64_t>() >= 0 && ranks_.max().item<std::int64_t>() <= width &&
                           ranks_.sum().item<std::int64_t>() == scatter_.size(0);
    if (!ranks_fit || sizes_.min().item<std::int64_t>() < 1 || squares_.min().item<double>() <= 0 ||
        (scatter_.numel() > 0 && scatter_.min().item<double>() <= 0)) {
      throw InputError("\"ranks\", \"sizes\", \"squares\" and \"scatter\" contradict each other; the file is damaged");
    }
    covariance_ = Spectral::restored(data::arrays_under(arrays, "whitening."), width);
    root_ = covariance_.power(-0.5);
    if (settings_.curved) {
      auto spread = from_arrays(arrays, "curve.spread", data::Dtype::f64, {width});
      if (spread.min().item<double>() <= 0) throw InputError("\"curve.spread\" must be positive; the file is damaged");
      encoding_.curve(from_arrays(arrays, "curve.center", data::Dtype::f64, {width}), std::move(spread));
    }
    complete();
  }

 private:
  struct Judged {
    at::Tensor distance;  // [m]
    at::Tensor gain;      // [m, width] proportional to the shares
    at::Tensor expected;  // [m, width]
  };

  void prepare() {
    encoding_ = Encoding(elements_, std::sqrt(rows_) / data::Scaler::constant_alarm());
    constant_.clear();
    std::int64_t coordinate = 0;
    for (const auto& element : elements_) {
      if (element.constant) constant_.push_back(coordinate);
      coordinate += element.categorical() ? element.codes : 1;
    }
  }

  void complete() {
    white_centers_ = root_.apply(centers_);
    index_ = NeighbourIndex(centers_.to(torch::kFloat32));
    blamed_ = root_.apply(directions_);
    unroot_ = covariance_.power(0.5);
    diagonal_ = covariance_.power(-1).diagonal();
    first_.assign(1, 0);
    for (std::int64_t c = 0; c < ranks_.size(0); ++c) first_.push_back(first_.back() + ranks_[c].item<std::int64_t>());
  }

  Judged plainly(std::int64_t cell, const at::Tensor& z, const at::Tensor& seen) const {
    const auto gain = (z - centers_[cell]).square() / squares_ * seen;
    return {gain.sum(1), gain, centers_[cell].expand_as(z)};
  }

  // As the local judge of neighbours, with the cell's rows about their centre for V: C = (V^T V + ridge I) / (N - 1 +
  // ridge), here from the eigenvectors of V^T V.
  Judged locally(std::int64_t cell, const at::Tensor& z, const at::Tensor& y) const {
    const auto at = static_cast<std::size_t>(cell);
    const std::int64_t rank = first_[at + 1] - first_[at];
    const auto basis = directions_.narrow(0, first_[at], rank);
    const auto spread = scatter_.narrow(0, first_[at], rank);
    const double degrees = static_cast<double>(sizes_[cell].item<std::int64_t>()) - 1 + settings_.ridge;
    const auto width = static_cast<double>(y.size(1));
    const auto kept = spread / (spread + settings_.ridge);
    const auto r = y - white_centers_[cell];
    const auto along = r.mm(basis.t()) * kept;
    const auto explained = along.mm(basis);
    const auto rest = r - explained;
    const double log_determinant = ((spread + settings_.ridge) / degrees).log().sum().item<double>() +
                                   (width - static_cast<double>(rank)) * std::log(settings_.ridge / degrees);
    const auto distance =
        (r * rest).sum(1).clamp_min(0) * (degrees / settings_.ridge) * std::exp(log_determinant / width);
    const auto own = diagonal_ - (blamed_.narrow(0, first_[at], rank).square() * kept.unsqueeze(1)).sum(0);
    const auto diagonal = torch::maximum(own, 1e-12 * diagonal_);
    const auto gradient = root_.apply(rest);
    // A number should have been what all others imply, a category what the cell's best combination says.
    return {distance, gradient.square() / diagonal,
            torch::where(encoding_.numeric() > 0, z - gradient / diagonal, centers_[cell] + unroot_.apply(explained))};
  }

  Settings settings_;
  std::vector<model::Element> elements_;
  Encoding encoding_;
  std::vector<std::int64_t> constant_;  // coordinates of columns that were constant in training
  double rows_ = 1;                     // learned from
  at::Tensor centers_;                  // [cells, width]
  at::Tensor sizes_;                    // [cells] int64
  at::Tensor squares_;                  // [width] mean squared residuals
  Spectral covariance_;                 // of residuals
  at::Tensor ranks_;                    // [cells] int64: directions of each cell
  at::Tensor directions_;               // [sum of ranks, width]: of the cells' scatter, whitened
  at::Tensor scatter_;                  // [sum of ranks]: its eigenvalues

  // Follows from the above.
  Spectral root_, unroot_;
  at::Tensor white_centers_;
  at::Tensor blamed_;
  at::Tensor diagonal_;
  NeighbourIndex index_;
  std::vector<std::int64_t> first_;
};

class Prototypes final : public SampleHead {
 public:
  Settings settings;
  std::string judge = "local";

  void fields(config::Fields& f) override {
    f.choice("judge", judge, kJudges, "How the residuals are judged.");
    f.integer("cell", settings.cell, {1, 1'000'000}, "Normal rows per cell, on average.");
    f.integer("max_cells", settings.max_cells, {1, 100'000}, "Cells at most.");
    f.number("ridge", settings.ridge, {0, 1e6, true}, "Added to the scatter of a cell by the judge \"local\".");
    f.boolean("curved", settings.curved, "Work on asinh of the scaled numbers, so that far values lie less far.");
  }

  // Cells have seen the rows they are made of. Training rows are therefore answered by cells fitted to four fifths of
  // the rows, to none identical to theirs; what is kept of that is each row's score. Where all are identical there is
  // nothing to fit such cells to, and training rows say nothing about new ones.
  void fit(const FitContext& context) override {
    settings.local = judge == "local";
    const std::int64_t n = context.training.size();
    out_of_fold_.assign(static_cast<std::size_t>(n), 0.0);
    const Repeats& repeats = *context.training_repeats;
    const auto distinct = repeats.distinct(n);
    one_kind_ = distinct < 2;
    if (one_kind_) {
      context.reporter.warning(
          "all training rows are identical: the score head \"prototypes\" can leave none out, and p-values are "
          "calibrated with held-out rows alone; check the columns that are learned from");
    }
    const auto order = permutation(n, Random(stream_key(context.seed, "prototype folds")));
    const auto folds = std::min(kFolds, distinct);
    const auto fold_of_row = folds_of(order, repeats, folds);
    Pace pace(context.reporter, "folds", folds + 1, "fitting the score head");
    for (std::int64_t fold = 0; fold < folds && !one_kind_; ++fold) {
      std::vector<std::int64_t> learned, judged;
      for (const auto row : order) {
        (fold_of_row[static_cast<std::size_t>(row)] == fold ? judged : learned).push_back(row);
      }
      Cells cells(context.autoencoder.elements(), settings);
      cells.fit(context.training.batch(learned), repeats.among(learned), random_of(context, fold), pace);
      const auto scores = cells.answer(context.training.batch(judged)).shares.sum(1).contiguous();
      for (std::size_t i = 0; i < judged.size(); ++i) {
        out_of_fold_[static_cast<std::size_t>(judged[i])] = scores.data_ptr<double>()[i];
      }
      pace.advance(1);
    }
    cells_ = std::make_unique<Cells>(context.autoencoder.elements(), settings);
    std::vector<std::int64_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    cells_->fit(context.training.batch(all), repeats, random_of(context, kFolds), pace);
  }

  Answer answer(const loss::Autoencoder&, const model::Batch& batch, std::int64_t first_training) const override {
    auto answer = cells_->answer(batch);
    if (first_training < 0 || one_kind_) return answer;
    auto totals = answer.shares.sum(1);
    for (std::int64_t i = 0; i < batch.samples(); ++i) {
      const auto row = static_cast<std::size_t>(first_training + i);
      if (row >= out_of_fold_.size()) break;
      const double total = totals[i].item<double>();
      if (total > 0) {
        answer.shares[i] *= out_of_fold_[row] / total;
      } else {
        answer.shares[i] = out_of_fold_[row] / static_cast<double>(answer.shares.size(1));
      }
    }
    return answer;
  }

  bool asks_network() const override { return false; }
  bool leaves_out() const override { return !one_kind_; }
  Arrays state() const override { return cells_->state(); }
  void restore(const Arrays& arrays, const loss::Autoencoder& autoencoder) override {
    settings.local = judge == "local";
    out_of_fold_.clear();
    cells_ = std::make_unique<Cells>(autoencoder.elements(), settings);
    cells_->restore(arrays);
  }

 private:
  // In turn, as the rows come in `order`; identical rows share the fold of their first.
  static std::vector<std::int64_t> folds_of(const std::vector<std::int64_t>& order, const Repeats& repeats,
                                            std::int64_t folds) {
    std::vector<std::int64_t> fold_of_row(order.size(), -1);
    std::int64_t next = 0;
    for (const auto row : order) {
      if (fold_of_row[static_cast<std::size_t>(row)] >= 0) continue;
      repeats.for_each(row, [&](std::int64_t same) { fold_of_row[static_cast<std::size_t>(same)] = next; });
      next = (next + 1) % folds;
    }
    return fold_of_row;
  }

  static Random random_of(const FitContext& context, std::int64_t fold) {
    return Random(stream_key(context.seed, "prototypes", static_cast<std::uint64_t>(fold)));
  }

  std::unique_ptr<Cells> cells_;
  std::vector<double> out_of_fold_;  // score of each training row; only after fit()
  bool one_kind_ = false;            // all training rows are identical, so that no cell has not seen them
};

}  // namespace

std::unique_ptr<Head> make_prototypes() { return std::make_unique<Prototypes>(); }

}  // namespace ae::score
