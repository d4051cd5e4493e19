#include "model/batch.hpp"

#include <torch/types.h>

#include <algorithm>
#include <bit>

#include "data/images/image.hpp"

namespace ae::model {

std::vector<Element> elements_of(const data::Schema& schema) {
  std::vector<Element> elements;
  for (const std::size_t index : schema.features()) {
    const data::Column& column = schema.columns[index];
    Element element{column.name, 0, false};
    if (column.role == data::Role::categorical) {
      element.codes = column.unseen_code() + 1;
    } else {
      element.constant = column.scaler.constant();
      element.affine = element.constant || column.scaler.knots().empty();
      element.center = element.constant ? column.scaler.unscale(0) : column.scaler.center();
      element.spread = element.constant ? 0 : column.scaler.spread();
    }
    element.observed = column.observed;
    elements.push_back(std::move(element));
  }
  return elements;
}

Domain image_domain(const data::Geometry& geometry) {
  std::vector<Element> elements;
  for (auto& name : data::channel_names(geometry.channels)) elements.push_back({std::move(name), 0, false, true});
  return {std::move(elements), {geometry.height, geometry.width}, "images", "images"};
}

Batch Batch::repeated(std::int64_t times) const {
  if (times == 1) return *this;
  std::vector<std::int64_t> repeats(static_cast<std::size_t>(values.dim()), 1);
  repeats[0] = times;
  return {values.repeat(repeats), observed.repeat(repeats), sizes.defined() ? sizes.repeat({times}) : sizes};
}

Batch Batch::range(std::int64_t begin, std::int64_t end) const {
  const auto part = [&](const at::Tensor& all) { return all.defined() ? all.narrow(0, begin, end - begin) : all; };
  return {part(values), part(observed), part(sizes)};
}

Batch to_batch(const data::Block& block) {
  const auto shape = {block.rows, block.elements};
  // from_blob wants a mutable pointer but clone() only reads.
  auto values = torch::from_blob(const_cast<float*>(block.values.data()), shape, torch::kFloat32).clone();
  auto observed =
      torch::from_blob(const_cast<std::uint8_t*>(block.observed.data()), shape, torch::kUInt8).to(torch::kFloat32);
  return {std::move(values), std::move(observed)};
}

Batch mapped_batch(const float* values, const float* observed, std::int64_t rows, std::int64_t elements,
                   std::shared_ptr<const void> owner) {
  const auto tensor = [&](const float* from) {
    return torch::from_blob(
        const_cast<float*>(from), {rows, elements}, [owner](void*) {}, torch::kFloat32);
  };
  return {tensor(values), tensor(observed)};
}

std::int64_t piece_rows(std::int64_t elements) {
  // The costly products of score heads are of tables up to this width.
  constexpr std::int64_t kWidest = 4096, kRows = 256;
  constexpr std::int64_t kCells = 1 << 19;
  if (elements <= kWidest) return kRows;
  const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(kCells / elements, 1));
  return static_cast<std::int64_t>(std::bit_floor(rows));
}

std::int64_t block_rows(std::int64_t elements, std::int64_t width, int threads) {
  constexpr std::int64_t kMost = 4096, kCells = 1 << 20;
  const std::int64_t piece = piece_rows(elements);
  const std::int64_t within = kCells / std::max<std::int64_t>(width, 1) / piece * piece;
  return std::min(std::max(within, threads * piece), kMost);
}

void Samples::gather(std::span<const std::int64_t> indices, float* values, float* observed) const {
  const auto batch = this->batch({indices.begin(), indices.end()});
  const auto copy = [](const at::Tensor& from, float* to) {
    const auto whole = from.contiguous();
    std::copy_n(whole.data_ptr<float>(), whole.numel(), to);
  };
  copy(batch.values, values);
  if (observed != nullptr) copy(batch.observed, observed);
}

TableSamples::TableSamples(Batch all)
    : all_{all.values.contiguous(), all.observed.contiguous()},
      has_missing_(all_.observed.numel() > 0 && all_.observed.min().item<float>() < 1) {}

Batch TableSamples::batch(const std::vector<std::int64_t>& indices) const {
  const auto index = torch::tensor(indices, torch::kInt64);
  return {all_.values.index_select(0, index), all_.observed.index_select(0, index)};
}

Batch TableSamples::range(std::int64_t begin, std::int64_t end) const { return all_.range(begin, end); }

void TableSamples::gather(std::span<const std::int64_t> indices, float* values, float* observed) const {
  const std::int64_t elements = all_.values.size(1);
  const auto copy = [&](const at::Tensor& all, float* to) {
    const float* from = all.data_ptr<float>();
    for (const auto i : indices) to = std::copy_n(from + i * elements, elements, to);
  };
  copy(all_.values, values);
  if (observed != nullptr) copy(all_.observed, observed);
}

}  // namespace ae::model
