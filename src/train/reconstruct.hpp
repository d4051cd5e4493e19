// The trainee of all objectives that reconstruct by steps. Internal to this room.
#pragma once

#include <memory>

#include "recipe/config.hpp"
#include "recipe/kind.hpp"
#include "train/adversary.hpp"
#include "train/process_group.hpp"
#include "train/trainee.hpp"

namespace ae::train {

// With an adversary, or without. Errors: see recipe::ObjectiveOptions::build().
std::unique_ptr<Trainee> reconstruct(recipe::Config& config, const recipe::Dataset& data, Group& group,
                                     std::unique_ptr<Adversary> adversary = nullptr);

}  // namespace ae::train
