#include "replay/jpeg.hpp"

#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "base/error.hpp"
#include "model/threads.hpp"

namespace ae::replay {
namespace {

// Where a pixel's channel lies in a row. OpenCV wants blue before red.
std::int64_t place_of(const FrameShape& shape, std::int64_t pixel, std::int64_t channel) {
  if (shape.channels == 3) channel = 2 - channel;
  return shape.planar ? channel * shape.height * shape.width + pixel : pixel * shape.channels + channel;
}

}  // namespace

std::optional<FrameShape> frame_shape(const std::vector<std::int64_t>& observation) {
  constexpr std::int64_t kLongest = 65'500;  // that JPEG can hold
  const auto is_frame = [](const FrameShape& shape) {
    return std::min(shape.height, shape.width) >= 2 && std::max(shape.height, shape.width) <= kLongest;
  };
  FrameShape shape;
  if (observation.size() == 2) shape = {observation[0], observation[1], 1, false};
  const auto is_channels = [](std::int64_t length) { return length == 1 || length == 3; };
  if (observation.size() == 3) {
    if (is_channels(observation[2]))
      shape = {observation[0], observation[1], observation[2], false};
    else if (is_channels(observation[0]))
      shape = {observation[1], observation[2], observation[0], true};
  }
  return is_frame(shape) ? std::optional(shape) : std::nullopt;
}

at::Tensor through_jpeg(const at::Tensor& frames, const FrameShape& shape, std::int64_t quality, double& bytes) {
  auto decoded = at::empty_like(frames);
  const auto width = frames.size(1), pixels = shape.height * shape.width;
  std::atomic<std::int64_t> total = 0;
  constexpr std::int64_t kPiece = 64;
  model::share_out(frames.size(0), kPiece, [&](std::int64_t begin, std::int64_t end) {
    const auto type = shape.channels == 3 ? CV_8UC3 : CV_8UC1;
    cv::Mat frame(static_cast<int>(shape.height), static_cast<int>(shape.width), type);
    std::vector<std::uint8_t> file;
    for (std::int64_t i = begin; i < end; ++i) {
      const auto* from = frames.data_ptr<double>() + i * width;
      auto* to = decoded.data_ptr<double>() + i * width;
      for (std::int64_t p = 0; p < pixels; ++p)
        for (std::int64_t c = 0; c < shape.channels; ++c)
          frame.data[p * shape.channels + c] = static_cast<std::uint8_t>(from[place_of(shape, p, c)]);
      if (!cv::imencode(".jpg", frame, file, {cv::IMWRITE_JPEG_QUALITY, static_cast<int>(quality)}))
        throw RunError("cannot encode a frame as JPEG");
      total += std::ssize(file);
      const auto back = cv::imdecode(file, shape.channels == 3 ? cv::IMREAD_COLOR : cv::IMREAD_GRAYSCALE);
      if (back.size() != frame.size() || back.type() != type) throw RunError("cannot decode a frame of JPEG");
      for (std::int64_t p = 0; p < pixels; ++p)
        for (std::int64_t c = 0; c < shape.channels; ++c) to[place_of(shape, p, c)] = back.data[p * shape.channels + c];
    }
  });
  bytes += static_cast<double>(total.load());
  return decoded;
}

}  // namespace ae::replay
