#include "apply/pictures.hpp"

#include <torch/types.h>

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.hpp"

namespace ae::apply {
namespace {

constexpr int kColours = 256;

cv::Mat plane(const at::Tensor& map) {
  return cv::Mat(static_cast<int>(map.size(0)), static_cast<int>(map.size(1)), CV_32F, map.data_ptr<float>());
}

const cv::Mat& colour_table() {  // [1, 256] blue, green, red
  static const cv::Mat table = [] {
    cv::Mat ramp(1, kColours, CV_8U), colours;
    for (int i = 0; i < kColours; ++i) ramp.at<std::uint8_t>(0, i) = static_cast<std::uint8_t>(i);
    cv::applyColorMap(ramp, colours, cv::COLORMAP_INFERNO);
    return colours;
  }();
  return table;
}

std::string encoded(const char* extension, const cv::Mat& picture, const std::vector<int>& options) {
  std::vector<std::uint8_t> bytes;
  if (!cv::imencode(extension, picture, bytes, options)) throw RunError("cannot encode a picture");
  return {bytes.begin(), bytes.end()};
}
// Level 1 is three times faster than the default and its files hardly larger.
std::string png(const cv::Mat& picture) { return encoded(".png", picture, {cv::IMWRITE_PNG_COMPRESSION, 1}); }
std::string jpeg(const cv::Mat& picture) { return encoded(".jpg", picture, {cv::IMWRITE_JPEG_QUALITY, 85}); }

// Blue, green, red of planar values in [0, 1]; one channel becomes gray, of other numbers than three the first is
// taken.
cv::Mat bgr8(const float* values, std::int64_t channels, std::int64_t height, std::int64_t width) {
  std::vector<cv::Mat> planes;
  for (const std::int64_t c : {2, 1, 0}) {
    const auto channel = channels == 3 ? c : 0;
    const cv::Mat source(static_cast<int>(height), static_cast<int>(width), CV_32F,
                         const_cast<float*>(values) + channel * height * width);
    cv::Mat bytes;
    source.convertTo(bytes, CV_8U, 255);
    planes.push_back(bytes);
  }
  cv::Mat picture;
  cv::merge(planes, picture);
  return picture;
}
cv::Mat bgr8(const data::Image& image) {
  return bgr8(data::to_floats(image).data(), image.channels, image.height, image.width);
}
cv::Mat bgr8(const at::Tensor& image) {
  const auto dense = image.to(torch::kFloat32).contiguous();
  return bgr8(dense.data_ptr<float>(), dense.size(0), dense.size(1), dense.size(2));
}

cv::Mat overlaid(cv::Mat picture, const at::Tensor& map, const Scale& scale) {
  const auto values = plane(map);
  const auto& table = colour_table();
  const double factor = (kColours - 1) / std::max(scale.high - scale.low, 1e-30);
  for (int y = 0; y < picture.rows; ++y) {
    auto* pixel = picture.ptr<cv::Vec3b>(y);
    const auto* value = values.ptr<float>(y);
    for (int x = 0; x < picture.cols; ++x) {
      const double level = std::clamp((value[x] - scale.low) * factor, 0.0, kColours - 1.0);
      const double opacity = 0.75 * level / (kColours - 1);
      const auto& colour = table.at<cv::Vec3b>(0, static_cast<int>(level));
      for (int c = 0; c < 3; ++c) {
        pixel[x][c] = cv::saturate_cast<std::uint8_t>((1 - opacity) * pixel[x][c] + opacity * colour[c]);
      }
    }
  }
  return picture;
}

cv::Size fitted(cv::Size size, std::int64_t side) {
  const int longest = std::max(size.width, size.height);
  if (longest <= side) return size;
  const double factor = static_cast<double>(side) / longest;
  return {std::max(1, cvRound(size.width * factor)), std::max(1, cvRound(size.height * factor))};
}

cv::Mat shrunk(const cv::Mat& picture, cv::Size size) {
  if (picture.size() == size) return picture;
  cv::Mat small;
  cv::resize(picture, small, size, 0, 0, picture.cols > size.width ? cv::INTER_AREA : cv::INTER_LINEAR);
  return small;
}

}  // namespace

std::vector<std::array<std::uint8_t, 3>> heat_colours() {
  std::vector<std::array<std::uint8_t, 3>> colours;
  for (int i = 0; i < kColours; ++i) {
    const auto& bgr = colour_table().at<cv::Vec3b>(0, i);
    colours.push_back({bgr[2], bgr[1], bgr[0]});
  }
  return colours;
}

std::string gray16_png(const at::Tensor& map, const Scale& scale) {
  const double factor = 65535 / std::max(scale.high - scale.low, 1e-30);
  cv::Mat levels;
  plane(map).convertTo(levels, CV_16U, factor, -scale.low * factor);  // rounds and saturates
  return png(levels);
}

std::string mask_png(const at::Tensor& mask) {
  return png(
      cv::Mat(static_cast<int>(mask.size(0)), static_cast<int>(mask.size(1)), CV_8U, mask.data_ptr<std::uint8_t>()));
}

std::string image_png(const at::Tensor& image) {
  const auto picture = bgr8(image);
  if (image.size(0) == 3) return png(picture);
  cv::Mat gray;
  cv::extractChannel(picture, gray, 0);
  return png(gray);
}

std::string overlay_png(const data::Image& image, const at::Tensor& map, const Scale& scale) {
  return png(overlaid(bgr8(image), map, scale));
}

std::string image_thumbnail(const data::Image& image, std::int64_t side) {
  const auto picture = bgr8(image);
  return jpeg(shrunk(picture, fitted(picture.size(), side)));
}

std::string image_thumbnail(const at::Tensor& image, data::Size original, std::int64_t side) {
  const cv::Size size(static_cast<int>(original.width), static_cast<int>(original.height));
  return jpeg(shrunk(bgr8(image), fitted(size, side)));
}

std::string overlay_thumbnail(const data::Image& image, const at::Tensor& map, const Scale& scale, std::int64_t side) {
  const auto picture = overlaid(bgr8(image), map, scale);
  return jpeg(shrunk(picture, fitted(picture.size(), side)));
}

std::string mask_thumbnail(const at::Tensor& mask, std::int64_t side) {
  const cv::Mat picture(static_cast<int>(mask.size(0)), static_cast<int>(mask.size(1)), CV_8U,
                        mask.data_ptr<std::uint8_t>());
  return png(shrunk(picture, fitted(picture.size(), side)));
}

}  // namespace ae::apply
