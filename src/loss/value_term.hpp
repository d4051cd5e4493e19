// The loss term in units of value, for the registry. Internal to this room.
#pragma once

#include <memory>

#include "loss/term.hpp"

namespace ae::loss {

// (Q(reconstruction, a) - Q(sample, a))^2, the mean over actions a of a fixed Q network: to first order the square of
// the error along Q's gradient, so that what no value depends on may be reconstructed badly. One number a sample, which
// each of its elements has. What is not observed is at the centre of its scale in both. In training only.
std::unique_ptr<Term> make_value();

}  // namespace ae::loss
