#include "model/batch.hpp"

#include <torch/torch.h>

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
    }
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
  return {values.repeat(repeats), observed.repeat(repeats)};
}

Batch Batch::range(std::int64_t begin, std::int64_t end) const {
  return {values.narrow(0, begin, end - begin), observed.narrow(0, begin, end - begin)};
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

TableSamples::TableSamples(Batch all)
    : all_(std::move(all)), has_missing_(all_.observed.numel() > 0 && all_.observed.min().item<float>() < 1) {}

Batch TableSamples::batch(const std::vector<std::int64_t>& indices) const {
  const auto index = torch::tensor(indices, torch::kInt64);
  return {all_.values.index_select(0, index), all_.observed.index_select(0, index)};
}

Batch TableSamples::range(std::int64_t begin, std::int64_t end) const { return all_.range(begin, end); }

}  // namespace ae::model
