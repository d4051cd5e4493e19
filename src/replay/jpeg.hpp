// Frames as JPEG has them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace ae::replay {

struct FrameShape {
  std::int64_t height = 0, width = 0, channels = 1;
  bool planar = false;  // [channels, height, width], else [height, width, channels]
};

// Nothing where an observation of this shape is no frame of 1 or 3 channels.
std::optional<FrameShape> frame_shape(const std::vector<std::int64_t>& observation);

// Rows [n, height * width * channels] double of whole numbers from 0 to 255, each as a JPEG file of this quality (1 to
// 100) gives it back; adds the bytes of the files.
at::Tensor through_jpeg(const at::Tensor& frames, const FrameShape& shape, std::int64_t quality, double& bytes);

}  // namespace ae::replay
