// Loss terms of counts, for the registry. Internal to this room.
//
// Targets are values log(1 + count / size) with the sizes of the samples, which give the counts back. Every loss is
// half a deviance: the negative logarithm of the likelihood less that of the best possible prediction, the saturated
// model, so that it is 0 for what is predicted exactly and never below. The likelihood of what a gene has for all
// samples, its dispersion, has no such best: in training its gradient is that of the likelihood itself.
#pragma once

#include <memory>

#include "loss/term.hpp"

namespace ae::loss {

std::unique_ptr<Term> make_poisson();
std::unique_ptr<Term> make_negative_binomial();
std::unique_ptr<Term> make_zero_inflated();
std::unique_ptr<Term> make_hurdle();

}  // namespace ae::loss
