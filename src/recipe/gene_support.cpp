#include "recipe/gene_support.hpp"

#include <ATen/ops/linalg_eigh.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.hpp"
#include "base/signals.hpp"
#include "data/counts/thinning.hpp"

namespace ae::recipe {
namespace {

constexpr std::int64_t kFewestCells = 50, kMostCells = 2000;
constexpr std::int64_t kNeighbours = 15, kComponents = 10;
// What halving does by chance is averaged over.
constexpr std::uint64_t kHalvings = 5;
// Of more molecules than these chance moves a half by less than 2 %, which is not worth as many random numbers.
constexpr std::int64_t kDealtOneByOne = 1000;

// Counts of some cells, entry by entry as their values lie in `cells`.
struct Molecules {
  std::vector<std::int64_t> cells;
  std::vector<std::vector<std::int64_t>> counts;  // of each cell's entries
  bool whole = true;
};

Molecules molecules(const data::PreparedCounts& prepared, std::vector<std::int64_t> cells) {
  Molecules found{std::move(cells), {}, true};
  for (const auto cell : found.cells) {
    const auto factor = static_cast<double>(prepared.factors[static_cast<std::size_t>(cell)]);
    auto& counts = found.counts.emplace_back();
    for (const float value : prepared.cells.counts_of(cell)) {
      // From the network's float32 values, so not to the last bit.
      const double count = prepared.schema.scale.count(static_cast<double>(value), factor);
      counts.push_back(std::llround(count));
      if (std::abs(count - std::round(count)) > 1e-3 + 1e-5 * count) found.whole = false;
    }
  }
  return found;
}

// [cells, elements], the mean of each cell's nearest others.
at::Tensor neighbour_means(const at::Tensor& values) {
  const auto cells = values.size(0);
  const auto centred = values - values.mean(0, true);
  // Principal components by the products of cells, of which there are few.
  const auto [squares, vectors] = at::linalg_eigh(torch::mm(centred, centred.t()).to(torch::kFloat64));
  const auto some = std::min(kComponents, cells - 1);
  const auto codes = vectors.narrow(1, cells - some, some) * squares.narrow(0, cells - some, some).clamp_min(0).sqrt();
  const auto norms = codes.square().sum(1, true);
  auto distances = norms + norms.t() - 2 * torch::mm(codes, codes.t());
  distances.fill_diagonal_(std::numeric_limits<double>::infinity());
  const auto nearest = std::get<1>(distances.topk(kNeighbours, 1, /*largest=*/false));
  auto means = torch::zeros_like(values);
  for (std::int64_t i = 0; i < kNeighbours; ++i) means += values.index_select(0, nearest.select(1, i));
  return means / static_cast<double>(kNeighbours);
}

// Sums over cells of what is needed of both halves of a gene.
struct Sums {
  double first = 0, second = 0;     // of the halves
  double squares = 0, product = 0;           // of both halves' squares, of their product
  double with_mean = 0;                      // of the halves' sum times the mean of the cells alike
};

}  // namespace

void tell_gene_support(data::PreparedCounts& prepared, const data::CountOptions& options, std::uint64_t seed,
                       Reporter& reporter) {
  if (!options.log1p || options.zero_as_missing || std::ssize(prepared.training) < kFewestCells) return;
  const torch::NoGradGuard no_grad;
  std::vector<std::int64_t> cells;
  for (const auto i : permutation(std::ssize(prepared.training), Random(stream_key(seed, "gene support")))) {
    if (std::ssize(cells) == kMostCells) break;
    cells.push_back(prepared.training[static_cast<std::size_t>(i)]);
  }
  std::ranges::sort(cells);
  const Molecules all = molecules(prepared, std::move(cells));
  if (!all.whole) return;
  const auto count = std::ssize(all.cells), elements = std::ssize(prepared.schema.selected);
  reporter.detail("telling which genes other cells tell of");

  auto values = torch::zeros({count, elements});
  for (std::int64_t i = 0; i < count; ++i) {
    const auto cell = all.cells[static_cast<std::size_t>(i)];
    const auto genes = prepared.cells.genes_of(cell);
    const auto of_cell = prepared.cells.counts_of(cell);
    float* row = values.data_ptr<float>() + i * elements;
    for (std::size_t e = 0; e < genes.size(); ++e) row[genes[e]] = of_cell[e];
  }
  throw_if_stopped("comparing cells");
  const auto means = neighbour_means(values);
  const auto mean_of_means = means.mean(0).to(torch::kFloat64).contiguous();
  const auto variance_of_means = means.to(torch::kFloat64).var(0, /*unbiased=*/false).contiguous();

  std::vector<double> variance(static_cast<std::size_t>(elements)), halves(variance), alike(variance);
  const auto n = static_cast<double>(count);
  for (std::uint64_t halving = 0; halving < kHalvings; ++halving) {
    throw_if_stopped("comparing cells");
    std::vector<Sums> sums(static_cast<std::size_t>(elements));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto cell = all.cells[static_cast<std::size_t>(i)];
      const auto genes = prepared.cells.genes_of(cell);
      const auto& of_cell = all.counts[static_cast<std::size_t>(i)];
      const double twice = 2 / static_cast<double>(prepared.factors[static_cast<std::size_t>(cell)]);
      const float* mean = means.data_ptr<float>() + i * elements;
      for (std::size_t e = 0; e < genes.size(); ++e) {
        const std::int64_t molecules = of_cell[e];
        const std::int64_t taken =
            molecules > kDealtOneByOne
                ? molecules / 2
                : data::held_out_molecules(stream_key(seed, "halves", halving), cell, genes[e], molecules, 0.5);
        const double a = std::log1p(twice * static_cast<double>(taken));
        const double b = std::log1p(twice * static_cast<double>(molecules - taken));
        auto& of_gene = sums[static_cast<std::size_t>(genes[e])];
        of_gene.first += a;
        of_gene.second += b;
        of_gene.squares += a * a + b * b;
        of_gene.product += a * b;
        of_gene.with_mean += (a + b) * static_cast<double>(mean[genes[e]]);
      }
    }
    for (std::size_t e = 0; e < sums.size(); ++e) {
      const double first = sums[e].first / n, second = sums[e].second / n;
      variance[e] += (sums[e].squares / n - first * first - second * second) / 2;
      halves[e] += sums[e].product / n - first * second;
      alike[e] += (sums[e].with_mean / n - (first + second) * mean_of_means.data_ptr<double>()[e]) / 2;
    }
  }
  const auto rounded = [](double share) { return std::round(share * 1e4) / 1e4; };
  for (std::size_t e = 0; e < variance.size(); ++e) {
    const double r = variance[e] > 0 ? std::clamp(halves[e] / variance[e], 0.0, 1.0) : 0;
    prepared.schema.reliability.push_back(rounded(2 * r / (1 + r)));
    const double of_means = variance_of_means.data_ptr<double>()[e] * static_cast<double>(kHalvings) * halves[e];
    const bool tells = alike[e] > 0 && of_means > 0;
    prepared.schema.told.push_back(tells ? rounded(std::min(1.0, alike[e] * alike[e] / of_means)) : 0);
  }
}

}  // namespace ae::recipe
