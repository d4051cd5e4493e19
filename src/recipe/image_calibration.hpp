// What held-out good images teach a map head.
#pragma once

#include <cstdint>
#include <vector>

#include "base/reporter.hpp"
#include "data/images/geometry.hpp"
#include "loss/autoencoder.hpp"
#include "model/image_samples.hpp"
#include "recipe/corruption.hpp"
#include "score/maps.hpp"

namespace ae::recipe {

// Calibrates `head` on at most `most` of the held-out images, evenly chosen. Its kind "auto" is decided by synthetic
// defects as `corruption` makes them when it holds any, else by the default ones; they depend on `seed` alone. Returns
// the image scores for the calibration of p-values.
std::vector<double> calibrate_map_head(score::MapHead& head, const loss::Autoencoder& autoencoder,
                                       const data::Geometry& geometry, const model::ImageSamples& held_out,
                                       std::int64_t most, const CorruptionList& corruption, std::uint64_t seed,
                                       Reporter& reporter);

}  // namespace ae::recipe
