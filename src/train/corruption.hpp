// Corruption of the network's input for denoising and masked-cell training. The target is never touched.
#pragma once

#include "config/fields.hpp"
#include "model/batch.hpp"

namespace ae::train {

class Corruption : public config::Section {
 public:
  // Returns a corrupted copy; draws from torch's default generator.
  virtual model::Batch apply(const model::Batch& batch, const model::Domain& domain) const = 0;
  // Why it cannot be used on this kind of data, or "".
  virtual std::string complaint(const model::Domain&) const { return ""; }
  virtual double mask_rate() const { return 0; }  // mean probability that it hides a cell
};

std::span<const config::Entry<Corruption>> corruptions();  // mask, gaussian, swap, synthetic

using CorruptionList = config::VariantList<Corruption>;

}  // namespace ae::train
