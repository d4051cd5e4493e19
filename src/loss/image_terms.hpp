// Loss terms that look at the surroundings of a pixel, and the structural similarity they share with error maps.
//
// Images are [samples, channels, height, width] with values in [0, 1]; `observed` is 1 or 0, of the same shape.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "loss/term.hpp"

namespace ae::loss {

struct SsimWindow {
  std::int64_t side = 11;  // odd, in pixels
  double sigma = 1.5;      // of its Gaussian weights, in pixels
};

// The two factors of structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004, equations 6 and 13 with exponents 1)
// around each pixel:
//   luminance (2 m_x m_y + c1) / (m_x^2 + m_y^2 + c1), contrast-structure (2 s_xy + c2) / (s_x^2 + s_y^2 + c2)
// Moments are weighted by the window over the observed pixels alone: beyond the image's border and where `observed` is
// 0 there is nothing. Where no pixel of the window is observed both factors are 1.
struct SsimFactors {
  at::Tensor luminance;
  at::Tensor structure;
};
SsimFactors ssim_factors(const at::Tensor& x, const at::Tensor& y, const at::Tensor& observed, const SsimWindow& window,
                         double c1, double c2);

// Registry entries.
std::unique_ptr<Term> make_ssim();
std::unique_ptr<Term> make_ms_ssim();
std::unique_ptr<Term> make_gradient();
std::unique_ptr<Term> make_feature();

}  // namespace ae::loss
