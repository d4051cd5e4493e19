// Corruption of the network's input for denoising and masked-cell training. The target is never touched.
#pragma once

#include "config/fields.hpp"
#include "model/batch.hpp"

namespace ae::recipe {

// A batch of rows as plain arrays [samples, elements].
struct Cells {
  std::int64_t samples = 0;
  std::int64_t elements = 0;
  float* values = nullptr;
  float* observed = nullptr;
  const std::vector<bool>* categorical = nullptr;  // of each element
  float* scratch = nullptr;                        // 3 * samples * elements numbers
  std::int64_t size() const { return samples * elements; }
};

class Corruption : public config::Section {
 public:
  // Returns a corrupted copy; draws from torch's default generator.
  virtual model::Batch apply(const model::Batch& batch, const model::Domain& domain) const = 0;
  // Fused twin of apply() for rows, by which the dense engine trains: in place, a function of the key. One without is
  // left to autograd.
  virtual bool fused() const { return false; }
  virtual void corrupt(const Cells& cells, std::uint64_t key) const;
  // Why it cannot be used on this kind of data, or "".
  virtual std::string complaint(const model::Domain&) const { return ""; }
  virtual double mask_rate() const { return 0; }  // mean probability that it hides a cell
};

std::span<const config::Entry<Corruption>> corruptions();  // mask, gaussian, drop, swap, signs, synthetic

using CorruptionList = config::VariantList<Corruption>;

}  // namespace ae::recipe
