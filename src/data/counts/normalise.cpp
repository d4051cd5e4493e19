#include "data/counts/normalise.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/signals.hpp"

namespace ae::data {
namespace {

constexpr double kTheta = 100;

struct Sums {
  double sum = 0, squares = 0;
  void add(double value, double times = 1) {
    sum += times * value;
    squares += times * value * value;
  }
};

}  // namespace

double median_total(std::span<const double> totals) {
  std::vector<double> some;
  std::ranges::copy_if(totals, std::back_inserter(some), [](double total) { return total > 0; });
  if (some.empty()) return 1;
  std::ranges::sort(some);
  const std::size_t middle = some.size() / 2;
  return some.size() % 2 == 1 ? some[middle] : (some[middle - 1] + some[middle]) / 2;
}

std::vector<double> residual_variances(const CountView& counts, std::span<const std::int64_t> cells, std::int64_t genes,
                                       Reporter& reporter) {
  constexpr std::size_t kCellsBetweenChecks = 4096;
  const auto n = static_cast<double>(cells.size());
  const double most = std::sqrt(n);
  std::vector<double> of_gene(static_cast<std::size_t>(genes), 0.0);
  std::vector<double> of_cell;
  std::map<double, double> cells_of_total;  // cells of equal totals have equal residuals of zeros
  double all = 0;
  for (const auto cell : cells) {
    const auto numbers = counts.genes_of(cell);
    const auto values = counts.counts_of(cell);
    double total = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      of_gene[static_cast<std::size_t>(numbers[i])] += static_cast<double>(values[i]);
      total += static_cast<double>(values[i]);
    }
    of_cell.push_back(total);
    if (total > 0) ++cells_of_total[total];
    all += total;
  }
  const auto residual = [&](double count, double mean) {
    return std::clamp((count - mean) / std::sqrt(mean + mean * mean / kTheta), -most, most);
  };
  const std::vector<std::pair<double, double>> totals(cells_of_total.begin(), cells_of_total.end());
  // As if all were zeros, ...
  std::vector<Sums> sums(of_gene.size());
  for (std::size_t gene = 0; gene < sums.size(); ++gene) {
    if (of_gene[gene] == 0) continue;
    if (gene % 64 == 0) {
      throw_if_stopped("choosing genes");
      reporter.progress("genes", gene, sums.size());
    }
    const double share = of_gene[gene] / all;
    Sums zeros;
    for (const auto& [total, times] : totals) zeros.add(residual(0, total * share), times);
    sums[gene] = zeros;
  }
  // ... then what is none.
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i % kCellsBetweenChecks == 0) throw_if_stopped("choosing genes");
    const auto numbers = counts.genes_of(cells[i]);
    const auto values = counts.counts_of(cells[i]);
    for (std::size_t j = 0; j < numbers.size(); ++j) {
      const auto gene = static_cast<std::size_t>(numbers[j]);
      const double mean = of_cell[i] * of_gene[gene] / all;
      sums[gene].add(residual(0, mean), -1);
      sums[gene].add(residual(static_cast<double>(values[j]), mean));
    }
  }
  reporter.progress_done();
  std::vector<double> variances(sums.size(), 0.0);
  for (std::size_t gene = 0; gene < sums.size(); ++gene) {
    if (of_gene[gene] == 0) continue;
    const double mean = sums[gene].sum / n;
    variances[gene] = std::max(0.0, sums[gene].squares / n - mean * mean);
  }
  return variances;
}

std::vector<std::int32_t> largest(std::span<const double> variances, std::int64_t most) {
  std::vector<std::int32_t> numbers(variances.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  if (most == 0) return numbers;
  const auto variance = [&](std::int32_t number) { return variances[static_cast<std::size_t>(number)]; };
  std::erase_if(numbers, [&](auto number) { return !(variance(number) > 0); });
  std::ranges::stable_sort(numbers, std::ranges::greater(), variance);
  if (std::ssize(numbers) > most) numbers.resize(static_cast<std::size_t>(most));
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace ae::data
