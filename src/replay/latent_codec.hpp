// Observations as latent codes of a few bits, by a trained model of tables.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tables/schema.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::replay {

// An even grid of 2^bits values from low to high, which are two of them. One value if low = high.
struct Quantiser {
  std::int64_t bits = 8;  // 1 to 16
  double low = 0, high = 1;

  std::int64_t levels() const { return std::int64_t{1} << bits; }
  // The nearest value's number; what lies outside of [low, high] becomes its end.
  std::int64_t code(double value) const;
  double value(std::int64_t code) const;
};

// Codes of fixed size, one after another, bit by bit: number `at` begins at bit at * bits, the first bit of a byte is
// its least significant one.
void put_bits(std::string& bytes, std::uint64_t first_bit, std::int64_t bits, std::uint64_t value);
std::uint64_t get_bits(std::string_view bytes, std::uint64_t first_bit, std::int64_t bits);

class LatentCodec {
 public:
  // UsageError, when the model is not of one network, of tables whose columns are `width` numbers, which are taken in
  // the order of its columns. The checkpoint must outlive this.
  LatentCodec(const recipe::Checkpoint& checkpoint, std::int64_t width);

  std::int64_t width() const { return static_cast<std::int64_t>(columns_.size()); }
  std::int64_t latents() const;
  // Rows [n, width] double in the unit of the training table; latent [n, latents] float32. RunError when a code is not
  // finite.
  at::Tensor encode(const at::Tensor& observations) const;
  // In pieces of kPiece rows. A row depends on its own latent and, in the last bit, on its place in its piece (where a
  // matrix product has it), not on the latents around it.
  static constexpr std::int64_t kPiece = 1024;
  at::Tensor decode(const at::Tensor& latent) const;

 private:
  const recipe::Checkpoint& checkpoint_;
  std::vector<data::Column> columns_;
};

}  // namespace ae::replay
