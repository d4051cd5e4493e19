#include "model/dtypes.hpp"

#include <torch/types.h>

#include <algorithm>
#include <stdexcept>

namespace ae::model {

data::Dtype dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kFloat32:
      return data::Dtype::f32;
    case torch::kFloat64:
      return data::Dtype::f64;
    case torch::kInt64:
      return data::Dtype::i64;
    case torch::kUInt8:
      return data::Dtype::u8;
    default:
      throw std::logic_error("a tensor type that checkpoints do not hold");
  }
}

at::ScalarType scalar_type_of(data::Dtype dtype) {
  switch (dtype) {
    case data::Dtype::f32:
      return torch::kFloat32;
    case data::Dtype::f64:
      return torch::kFloat64;
    case data::Dtype::i64:
      return torch::kInt64;
    case data::Dtype::u8:
      return torch::kUInt8;
  }
  throw std::logic_error("unknown dtype");
}

data::NamedArray to_array(const at::Tensor& tensor) {
  const auto dense = tensor.detach().contiguous().cpu();
  return {dtype_of(dense), dense.sizes().vec(),
          std::string(static_cast<const char*>(dense.data_ptr()), dense.nbytes())};
}

at::Tensor to_tensor(const data::NamedArray& array) {
  auto tensor = torch::empty(array.shape, scalar_type_of(array.dtype));
  std::copy(array.bytes.begin(), array.bytes.end(), static_cast<char*>(tensor.data_ptr()));
  return tensor;
}

}  // namespace ae::model
