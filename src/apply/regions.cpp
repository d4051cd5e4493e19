#include "apply/regions.hpp"

#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <tuple>

namespace ae::apply {
namespace {

cv::Mat matrix_of(const at::Tensor& map) {
  return {static_cast<int>(map.size(0)), static_cast<int>(map.size(1)), CV_32F, map.data_ptr<float>()};
}

// Those connected components of `above` that count, as told by counts(labels, label, area, peak).
template <typename Counts>
Regions components(const cv::Mat& values, const cv::Mat& above, Counts counts) {
  cv::Mat labels, statistics, centroids;
  const int count = cv::connectedComponentsWithStats(above, labels, statistics, centroids, 8, CV_32S);
  std::vector<double> peaks(static_cast<std::size_t>(count), -std::numeric_limits<double>::infinity());
  std::vector<double> sums(static_cast<std::size_t>(count), 0.0);
  for (int y = 0; y < labels.rows; ++y) {
    const int* label = labels.ptr<int>(y);
    const auto* value = values.ptr<float>(y);
    for (int x = 0; x < labels.cols; ++x) {
      const auto l = static_cast<std::size_t>(label[x]);
      peaks[l] = std::max(peaks[l], static_cast<double>(value[x]));
      sums[l] += value[x];
    }
  }
  Regions answer;
  std::vector<std::uint8_t> inside(static_cast<std::size_t>(count), 0);
  for (int l = 1; l < count; ++l) {
    const auto index = static_cast<std::size_t>(l);
    const int area = statistics.at<int>(l, cv::CC_STAT_AREA);
    if (!counts(labels, l, area, peaks[index])) continue;
    inside[index] = 255;
    answer.regions.push_back({statistics.at<int>(l, cv::CC_STAT_LEFT), statistics.at<int>(l, cv::CC_STAT_TOP),
                              statistics.at<int>(l, cv::CC_STAT_WIDTH), statistics.at<int>(l, cv::CC_STAT_HEIGHT), area,
                              peaks[index], sums[index] / area, centroids.at<double>(l, 0),
                              centroids.at<double>(l, 1)});
  }
  std::sort(answer.regions.begin(), answer.regions.end(), [](const Region& a, const Region& b) {
    return std::tuple(-a.peak, a.y, a.x) < std::tuple(-b.peak, b.y, b.x);
  });
  answer.mask = torch::empty({labels.rows, labels.cols}, torch::kUInt8);
  auto* mask = answer.mask.data_ptr<std::uint8_t>();
  for (int y = 0; y < labels.rows; ++y) {
    const int* label = labels.ptr<int>(y);
    for (int x = 0; x < labels.cols; ++x) *mask++ = inside[static_cast<std::size_t>(label[x])];
  }
  return answer;
}

}  // namespace

Regions find_regions(const at::Tensor& map, const RegionRule& rule) {
  const cv::Mat values = matrix_of(map);
  cv::Mat above = values > rule.threshold;
  if (rule.opening > 1) {
    const int side = static_cast<int>(rule.opening);
    cv::morphologyEx(above, above, cv::MORPH_OPEN, cv::getStructuringElement(cv::MORPH_RECT, {side, side}));
  }
  return components(values, above, [&](const cv::Mat&, int, int area, double peak) {
    return area >= rule.minimum_area && peak > rule.peak;
  });
}

Regions strongest_region(const at::Tensor& map, double threshold) {
  const cv::Mat values = matrix_of(map);
  double largest = 0;
  cv::Point place;
  cv::minMaxLoc(values, nullptr, &largest, nullptr, &place);
  const cv::Mat above = values >= std::min(threshold, largest);
  return components(values, above,
                    [&](const cv::Mat& labels, int label, int, double) { return labels.at<int>(place) == label; });
}

}  // namespace ae::apply
