// What held-out good images teach a map head.
#pragma once

#include <cstdint>
#include <memory>

#include "model/image_samples.hpp"
#include "recipe/corruption.hpp"
#include "score/maps.hpp"

namespace ae::recipe {

// At most `most` of the held-out images, evenly chosen. Damaged ones hold synthetic defects as `corruption` makes them
// when it holds any, else the default ones; they depend on `seed` alone. `corruption` must outlive the answer.
score::GoodImages good_images(std::shared_ptr<const model::ImageSamples> held_out, const CorruptionList& corruption,
                              std::uint64_t seed, std::int64_t most);

}  // namespace ae::recipe
