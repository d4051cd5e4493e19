#include "loss/ssim.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace ae::loss {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// [length, length]: row i holds the window's weights around position i. A product with such a band is the filter along
// one axis; for images of a few hundred pixels it is as fast as a convolution, of any type, and has a plain gradient.
at::Tensor band(std::int64_t length, const SsimWindow& window, const at::TensorOptions& options) {
  const std::int64_t radius = window.side / 2;
  std::vector<double> weights;
  double sum = 0;
  for (std::int64_t d = -radius; d <= radius; ++d) {
    weights.push_back(std::exp(-static_cast<double>(d * d) / (2 * window.sigma * window.sigma)));
    sum += weights.back();
  }
  auto matrix = torch::zeros({length, length}, torch::kFloat64);
  auto entries = matrix.accessor<double, 2>();
  for (std::int64_t i = 0; i < length; ++i) {
    for (std::int64_t j = std::max<std::int64_t>(0, i - radius); j <= std::min(length - 1, i + radius); ++j) {
      entries[i][j] = weights[static_cast<std::size_t>(j - i + radius)] / sum;
    }
  }
  return matrix.to(options);
}

}  // namespace

void SsimWindow::fields(config::Fields& f, std::string_view side_name, std::string_view sigma_name) {
  f.integer(side_name, side, {3, 255}, "Side of the window of structural similarity, in network pixels; odd.");
  f.number(sigma_name, sigma, {0, kInfinity, true}, "Width of the window's Gaussian weights, in network pixels.");
}

void SsimWindow::check(std::vector<config::Problem>& problems, std::string_view side_name) const {
  if (side % 2 != 0) return;
  problems.push_back({std::string("/").append(side_name), "found an even number; expected an odd one"});
}

void SsimConstants::fields(config::Fields& f, std::string_view remark) {
  f.number("c1", c1, {0, kInfinity, true}, "Keeps the luminance ratio of dark surroundings calm.");
  f.number("c2", c2, {0, kInfinity, true},
           "Keeps the structure ratio of flat surroundings calm" + std::string(remark) + ".");
}

SsimFactors ssim_factors(const at::Tensor& x, const at::Tensor& y, const at::Tensor& observed, const SsimWindow& window,
                         const SsimConstants& constants) {
  const auto [c1, c2] = constants;
  const auto rows = band(x.size(2), window, x.options());
  const auto columns = band(x.size(3), window, x.options()).t().contiguous();
  const auto filtered = [&](const at::Tensor& image) { return rows.matmul(image.matmul(columns)); };
  const auto seen = filtered(observed);
  const auto scale = torch::where(seen > 1e-12, 1 / seen.clamp_min(1e-12), torch::zeros_like(seen));
  const auto a = x * observed;
  const auto b = y * observed;
  const auto mean_a = filtered(a) * scale;
  const auto mean_b = filtered(b) * scale;
  const auto mean_ab = mean_a * mean_b;
  const auto means = mean_a.square() + mean_b.square();
  const auto squares = filtered(a.square() + b.square()) * scale;
  // Rounding may leave a flat window a negative variance.
  const auto variances = (squares - means).clamp_min(0);
  const auto covariance = filtered(a * b) * scale - mean_ab;
  return {(2 * mean_ab + c1) / (means + c1), (2 * covariance + c2) / (variances + c2)};
}

}  // namespace ae::loss
