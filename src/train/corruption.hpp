// Corruption of the network's input for denoising and masked-cell training. The target is never touched.
#pragma once

#include "config/fields.hpp"
#include "model/batch.hpp"

namespace ae::train {

class Corruption : public config::Section {
 public:
  // Returns a corrupted copy; draws from torch's default generator. `elements` tells numbers from categories.
  virtual model::Batch apply(const model::Batch& batch, const std::vector<model::Element>& elements) const = 0;
  virtual double mask_rate() const { return 0; }  // mean probability that it hides a cell
};

std::span<const config::Entry<Corruption>> corruptions();  // mask, gaussian, swap

using CorruptionList = config::VariantList<Corruption>;

}  // namespace ae::train
