// Convolutional families, for the registry. Internal to this room.
#pragma once

#include <memory>

#include "model/network.hpp"

namespace ae::model {

std::unique_ptr<Family> make_conv();
std::unique_ptr<Family> make_unet();
std::unique_ptr<Family> make_conv_variational();

}  // namespace ae::model
