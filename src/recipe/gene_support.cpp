#include "recipe/gene_support.hpp"

#include <ATen/ops/linalg_eigh.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "base/signals.hpp"

namespace ae::recipe {
namespace {

constexpr std::int64_t kFewestCells = 50, kMostCells = 1000;
constexpr std::int64_t kNeighbours = 15, kComponents = 10, kFolds = 5;
// Of more molecules than these, chance moves a half by a few per cent only.
constexpr std::int64_t kMostDealt = 400;

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

// [cells, kNeighbours]: numbers of each cell's nearest others.
at::Tensor nearest_cells(const at::Tensor& values) {
  const auto cells = values.size(0);
  const auto centred = values - values.mean(0, true);
  // Principal components by the products of cells, of which there are few.
  const auto [squares, vectors] = at::linalg_eigh(torch::mm(centred, centred.t()).to(torch::kFloat64));
  const auto some = std::min(kComponents, cells - 1);
  const auto codes = vectors.narrow(1, cells - some, some) * squares.narrow(0, cells - some, some).clamp_min(0).sqrt();
  const auto norms = codes.square().sum(1, true);
  auto distances = norms + norms.t() - 2 * torch::mm(codes, codes.t());
  distances.fill_diagonal_(std::numeric_limits<double>::infinity());
  return std::get<1>(distances.topk(kNeighbours, 1, /*largest=*/false));
}

// [cells, elements], the mean of each cell's nearest others, by other genes than those whose mean it is: one that
// varies much would find the cells that have as much of it, and seem to be told by them.
at::Tensor neighbour_means(const at::Tensor& values) {
  auto means = torch::zeros_like(values);
  const auto folds = torch::arange(values.size(1), torch::kInt64).remainder(kFolds);
  for (std::int64_t fold = 0; fold < kFolds; ++fold) {
    throw_if_stopped("comparing cells");
    const auto own = (folds == fold).nonzero().squeeze(1), others = (folds != fold).nonzero().squeeze(1);
    if (own.numel() == 0 || others.numel() == 0) continue;
    const auto nearest = nearest_cells(values.index_select(1, others));
    const auto of_own = values.index_select(1, own);
    auto sum = torch::zeros_like(of_own);
    for (std::int64_t i = 0; i < kNeighbours; ++i) sum += of_own.index_select(0, nearest.select(1, i));
    means.index_copy_(1, own, sum / static_cast<double>(kNeighbours));
  }
  return means;
}

// What is to be expected of the values of both halves of so many molecules, each of which goes to either by chance.
struct Halves {
  double sum = 0;      // of both values
  double squares = 0;  // of both
  double product = 0;
  Halves(std::int64_t molecules, double size) {
    const auto value = [&](std::int64_t part) { return std::log1p(2 * static_cast<double>(part) / size); };
    if (molecules > kMostDealt) {
      const double half = std::log1p(static_cast<double>(molecules) / size);
      sum = 2 * half, squares = 2 * half * half, product = half * half;
      return;
    }
    double probability = std::ldexp(1.0, -static_cast<int>(molecules));  // binomial
    for (std::int64_t part = 0; part <= molecules; ++part) {
      const double a = value(part), b = value(molecules - part);
      sum += probability * (a + b);
      squares += probability * (a * a + b * b);
      product += probability * a * b;
      probability *= static_cast<double>(molecules - part) / static_cast<double>(part + 1);
    }
  }
};

// Sums over cells.
struct Sums {
  double sum = 0, squares = 0, product = 0;  // of the halves
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

  std::vector<Sums> sums(static_cast<std::size_t>(elements));
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % 100 == 0) throw_if_stopped("comparing cells");
    const auto cell = all.cells[static_cast<std::size_t>(i)];
    const auto genes = prepared.cells.genes_of(cell);
    const auto size = static_cast<double>(prepared.factors[static_cast<std::size_t>(cell)]);
    const float* mean = means.data_ptr<float>() + i * elements;
    for (std::size_t e = 0; e < genes.size(); ++e) {
      const Halves halves(all.counts[static_cast<std::size_t>(i)][e], size);
      auto& of_gene = sums[static_cast<std::size_t>(genes[e])];
      of_gene.sum += halves.sum;
      of_gene.squares += halves.squares;
      of_gene.product += halves.product;
      of_gene.with_mean += halves.sum * static_cast<double>(mean[genes[e]]);
    }
  }
  const auto n = static_cast<double>(count);
  const auto rounded = [](double share) { return std::round(share * 1e4) / 1e4; };
  for (std::size_t e = 0; e < sums.size(); ++e) {
    const double half = sums[e].sum / n / 2;
    const double variance = sums[e].squares / n / 2 - half * half, both = sums[e].product / n - half * half;
    const double alike = sums[e].with_mean / n / 2 - half * mean_of_means.data_ptr<double>()[e];
    const double r = variance > 0 ? std::clamp(both / variance, 0.0, 1.0) : 0;
    prepared.schema.reliability.push_back(rounded(2 * r / (1 + r)));
    const double of_means = variance_of_means.data_ptr<double>()[e] * both;
    const bool tells = alike > 0 && of_means > 0;
    prepared.schema.told.push_back(tells ? rounded(std::min(1.0, alike * alike / of_means)) : 0);
  }
}

}  // namespace ae::recipe
