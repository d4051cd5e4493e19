// What each element of the training samples was like: the model's memory of normal values, beside that of normal
// scores. People are told by it what was usual, and drift by column is judged against it.
#pragma once

#include <vector>

#include "base/reporter.hpp"
#include "loss/autoencoder.hpp"
#include "score/head.hpp"
#include "stats/shift.hpp"

namespace ae::recipe {

// One entry per element, in network units; empty where nothing is known: images, models of older versions.
struct Profile {
  std::vector<stats::ColumnProfile> columns;

  bool known() const { return !columns.empty(); }
};

// From at most some ten thousand training samples, evenly drawn, and the answers for at most some thousand held-out
// ones; errors of hidden cells (of training samples, where none were held out) where `mask_rate`, the share of cells
// that training hid, is above 0. Empty for what is not a row of elements.
Profile profile_of(const loss::Autoencoder& autoencoder, const score::Head& head, const model::Samples& training,
                   const model::Samples& held_out, double mask_rate = 0);

}  // namespace ae::recipe
