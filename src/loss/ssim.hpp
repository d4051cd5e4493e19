// Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004) of images with values in [0, 1]: its settings, declared
// once for loss terms and error maps, and its value per pixel for loss terms.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/fields.hpp"

namespace ae::loss {

// What surrounds a pixel. As settings, side and width are called `side_name` and `sigma_name`.
struct SsimWindow {
  std::int64_t side = 11;  // odd, in pixels
  double sigma = 1.5;      // of its Gaussian weights, in pixels
  void fields(config::Fields& f, std::string_view side_name, std::string_view sigma_name);
  void check(std::vector<config::Problem>& problems, std::string_view side_name) const;
};

// What both factors have below and above their fraction bars: as published, (0.01)^2 and (0.03)^2 of the largest value.
struct SsimConstants {
  double c1 = 1e-4;
  double c2 = 9e-4;
  // `remark` follows what is said of c2 where its default is another one.
  void fields(config::Fields& f, std::string_view remark = {});
};

// The two factors (equations 6 and 13 with exponents 1) around each pixel of images [samples, channels, height, width]:
//   luminance (2 m_x m_y + c1) / (m_x^2 + m_y^2 + c1), contrast-structure (2 s_xy + c2) / (s_x^2 + s_y^2 + c2)
// Moments are weighted by the window over the observed pixels alone: beyond the image's border and where `observed` is
// 0 there is nothing. Where no pixel of the window is observed both factors are 1.
struct SsimFactors {
  at::Tensor luminance;
  at::Tensor structure;
};
SsimFactors ssim_factors(const at::Tensor& x, const at::Tensor& y, const at::Tensor& observed, const SsimWindow& window,
                         const SsimConstants& constants);

}  // namespace ae::loss
