// Loss terms that look at the surroundings of a pixel, for the registry. Internal to this room.
#pragma once

#include <memory>

#include "loss/term.hpp"

namespace ae::loss {

std::unique_ptr<Term> make_ssim();
std::unique_ptr<Term> make_ms_ssim();
std::unique_ptr<Term> make_gradient();
std::unique_ptr<Term> make_feature();

}  // namespace ae::loss
