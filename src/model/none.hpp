// No network, for families(). Internal to this room.
#pragma once

#include <memory>

#include "model/network.hpp"

namespace ae::model {

std::unique_ptr<Family> make_none();

}  // namespace ae::model
