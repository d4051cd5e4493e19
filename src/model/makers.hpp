// The makers of the families in this room's files, for the registry. Internal to this room.
#pragma once

#include <memory>

#include "model/network.hpp"

namespace ae::model {

std::unique_ptr<Family> make_dense();
std::unique_ptr<Family> make_linear();
std::unique_ptr<Family> make_variational();
std::unique_ptr<Family> make_factors();
std::unique_ptr<Family> make_backbone();
std::unique_ptr<Family> make_backbone_variational();
std::unique_ptr<Family> make_dense_images();
std::unique_ptr<Family> make_conv();
std::unique_ptr<Family> make_unet();
std::unique_ptr<Family> make_conv_variational();
std::unique_ptr<Family> make_none();

}  // namespace ae::model
