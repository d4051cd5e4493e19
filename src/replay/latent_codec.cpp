#include "replay/latent_codec.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "loss/codes.hpp"
#include "model/threads.hpp"
#include "recipe/table_schema.hpp"

namespace ae::replay {

std::int64_t Quantiser::code(double value) const {
  if (!(high > low)) return 0;
  const auto last = static_cast<double>(levels() - 1);
  return std::llround(std::clamp((value - low) / (high - low), 0.0, 1.0) * last);
}

double Quantiser::value(std::int64_t code) const {
  return low + (high - low) * static_cast<double>(code) / static_cast<double>(levels() - 1);
}

void put_bits(std::string& bytes, std::uint64_t first_bit, std::int64_t bits, std::uint64_t value) {
  const auto end = (first_bit + static_cast<std::uint64_t>(bits) + 7) / 8;
  if (bytes.size() < end) bytes.resize(end, '\0');
  for (std::int64_t i = 0; i < bits; ++i) {
    const auto bit = first_bit + static_cast<std::uint64_t>(i);
    if (value >> i & 1) bytes[bit / 8] = static_cast<char>(bytes[bit / 8] | 1 << bit % 8);
  }
}

std::uint64_t get_bits(std::string_view bytes, std::uint64_t first_bit, std::int64_t bits) {
  std::uint64_t value = 0;
  for (std::int64_t i = 0; i < bits;) {  // by what a byte holds
    const auto bit = first_bit + static_cast<std::uint64_t>(i), offset = bit % 8;
    const auto count = std::min<std::int64_t>(static_cast<std::int64_t>(8 - offset), bits - i);
    const auto part = static_cast<unsigned char>(bytes[bit / 8]) >> offset & ((1u << count) - 1);
    value |= static_cast<std::uint64_t>(part) << i;
    i += count;
  }
  return value;
}

LatentCodec::LatentCodec(const recipe::Checkpoint& checkpoint, std::int64_t width) : checkpoint_(checkpoint) {
  const auto& pair = checkpoint.autoencoder();
  if (!pair.has_network())
    throw UsageError(checkpoint.name() + ": has no network (\"none\") that could encode observations");
  const auto schema = recipe::table_schema(checkpoint);
  if (!schema)
    throw UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                     "; expected a model of a table with a column for each number of an observation");
  if (pair.members() > 1)
    throw UsageError(checkpoint.name() + ": consists of " + counted(pair.members(), "networks") +
                     "; expected one, set /model/members to 1");
  for (const auto index : schema->features()) {
    columns_.push_back(schema->columns[index]);
    if (columns_.back().role != data::Role::numeric)
      throw UsageError(checkpoint.name() + ": column " + columns_.back().name +
                       " holds categories; expected numbers only, as observations are");
  }
  if (this->width() != width)
    throw UsageError(checkpoint.name() + ": was trained on " + counted(this->width(), "columns") +
                     ", but an observation has " + counted(width, "numbers") +
                     "; expected a model of a table with a column for each");
}

std::int64_t LatentCodec::latents() const { return checkpoint_.autoencoder().network().latent_size(); }

at::Tensor LatentCodec::encode(const at::Tensor& observations) const {
  const auto rows = observations.size(0), width = this->width();
  model::Batch batch{at::empty({rows, width}, at::kFloat), at::ones({rows, width}, at::kFloat)};
  const auto* from = observations.data_ptr<double>();
  auto* to = batch.values.data_ptr<float>();
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < width; ++j)
      to[i * width + j] = static_cast<float>(columns_[static_cast<std::size_t>(j)].scaler.scale(from[i * width + j]));
  auto codes = loss::codes(checkpoint_.autoencoder(), batch);
  if (!codes.isfinite().all().item<bool>())
    throw RunError(checkpoint_.name() + ": the code of an observation is not finite; train the model on such ones");
  return codes;
}

// The last piece is padded.
at::Tensor LatentCodec::decode(const at::Tensor& latent) const {
  const auto& pair = checkpoint_.autoencoder();
  pair.network().set_training(false);
  const auto rows = latent.size(0), width = this->width();
  auto decoded = at::empty({rows, width}, at::kDouble);
  const auto decode_piece = [&](std::int64_t begin, std::int64_t end) {
    const torch::NoGradGuard no_grad;
    auto piece = latent.narrow(0, begin, end - begin);
    if (end - begin < kPiece)
      piece = torch::cat({piece, at::zeros({kPiece - (end - begin), latent.size(1)}, latent.options())});
    const auto expected = pair.loss().expected(pair.network().decode(piece)).to(at::kFloat).contiguous();
    const auto* from = expected.data_ptr<float>();
    auto* to = decoded.data_ptr<double>() + begin * width;
    for (std::int64_t i = 0; i < (end - begin) * width; ++i)
      to[i] = columns_[static_cast<std::size_t>(i % width)].scaler.unscale(from[i]);
  };
  if (rows > kPiece) {
    model::share_out(rows, kPiece, decode_piece);
  } else if (rows > 0) {
    const model::SerialLibraries serial;  // as a piece among several is decoded, to the same bits
    decode_piece(0, rows);
  }
  return decoded;
}

}  // namespace ae::replay
