#include "evaluate/pixel_roc.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "base/random.hpp"
#include "evaluate/roc.hpp"

namespace ae::evaluate::pixel_roc_test {
namespace {

struct Image {
  std::vector<float> values;
  DefectMask mask;
  DefectRegions regions;
  ImagePixels pixels() const { return {values, mask.defect, regions.weight, regions.count}; }
};

Image random_image(Random& random, const std::function<double(double, bool)>& value, double share = 0.2) {
  constexpr std::int64_t side = 24;
  Image image{{}, {side, side, {}}, {}};
  for (std::int64_t i = 0; i < side * side; ++i) {
    image.mask.defect.push_back(random.uniform() < share);
    image.values.push_back(static_cast<float>(value(random.uniform(), image.mask.defect.back())));
  }
  image.regions = find_defect_regions(image.mask);
  return image;
}

// Regions by flooding from each pixel.
std::vector<int> flooded(const DefectMask& mask) {
  std::vector<int> label(mask.defect.size(), 0);
  int regions = 0;
  const std::function<void(std::int64_t, std::int64_t)> flood = [&](std::int64_t x, std::int64_t y) {
    if (x < 0 || y < 0 || x >= mask.width || y >= mask.height) return;
    const auto i = static_cast<std::size_t>(y * mask.width + x);
    if (!mask.defect[i] || label[i]) return;
    label[i] = regions;
    for (int dx = -1; dx <= 1; ++dx)
      for (int dy = -1; dy <= 1; ++dy) flood(x + dx, y + dy);
  };
  for (std::int64_t y = 0; y < mask.height; ++y)
    for (std::int64_t x = 0; x < mask.width; ++x)
      if (mask.defect[static_cast<std::size_t>(y * mask.width + x)] &&
          !label[static_cast<std::size_t>(y * mask.width + x)]) {
        ++regions;
        flood(x, y);
      }
  return label;
}

TEST(DefectRegions, AreThoseFoundByFlooding) {
  Random random(stream_key(1, "regions"));
  for (const double share : {0.0, 0.05, 0.3, 0.45, 0.7, 1.0}) {
    for (const auto& [width, height] : {std::pair{1, 40}, {40, 1}, {33, 21}}) {
      DefectMask mask{width, height, {}};
      for (int i = 0; i < width * height; ++i) mask.defect.push_back(random.uniform() < share);
      const auto slow = flooded(mask);
      const auto fast = find_defect_regions(mask);
      EXPECT_EQ(fast.count, *std::max_element(slow.begin(), slow.end()));
      for (std::size_t i = 0; i < slow.size(); ++i) {
        const float expected = slow[i] ? 1 / static_cast<float>(std::count(slow.begin(), slow.end(), slow[i])) : 0;
        EXPECT_EQ(fast.weight[i], expected);
      }
    }
  }
}

TEST(PixelBins, RiseWithTheValueAndTellNearlyEqualOnesApart) {
  for (const auto& values : {std::vector<float>{-1e30f, -2, -1e-40f, 0, 1e-40f, 1, 1.0001f, 3e38f},
                             std::vector<float>{0.5f, std::nextafter(0.5f, 1.0f), std::nextafter(0.5001f, 1.0f)}}) {
    PixelSurvey survey;
    survey.add({values, {}, {}, 0});
    const PixelBins bins(survey);
    for (std::size_t i = 1; i < values.size(); ++i) EXPECT_LT(bins.of(values[i - 1]), bins.of(values[i])) << i;
    EXPECT_LT(bins.of(values.back()), bins.size());
  }
  const std::vector<float> zeros = {0.0f, -0.0f};
  PixelSurvey survey;
  survey.add({zeros, {}, {}, 0});
  EXPECT_EQ(PixelBins(survey).of(0.0f), PixelBins(survey).of(-0.0f));
}

TEST(PixelRates, EqualTheExactOnesOfAllPixels) {
  const std::vector<std::function<double(double, bool)>> kinds = {
      [](double u, bool defect) { return u + 0.3 * defect; },
      [](double u, bool defect) { return std::exp(20 * u + 2 * defect); },
      [](double u, bool defect) { return std::floor(5 * u + defect) - 3; }, [](double, bool) { return 1.0; }};
  Random random(stream_key(2, "pixels"));
  for (const auto& kind : kinds) {
    std::vector<Image> images;
    for (int i = 0; i < 8; ++i) images.push_back(random_image(random, kind, i % 2 ? 0.1 : 0));
    PixelSurvey survey;
    for (const auto& image : images) survey.add(image.pixels());
    const PixelBins bins(survey);
    PixelCounts counts(bins.size());
    std::vector<double> anomalies, normals;
    for (const auto& image : images) {
      counts.add(bins, image.pixels());
      for (std::size_t i = 0; i < image.values.size(); ++i)
        (image.mask.defect[i] ? anomalies : normals).push_back(static_cast<double>(image.values[i]));
    }
    const LabeledScores exact(anomalies, normals);
    const auto rates = pixel_rates(counts);
    ASSERT_TRUE(rates);
    EXPECT_EQ(rates->defect_pixels, exact.anomaly_count());
    EXPECT_EQ(rates->normal_pixels, exact.normal_count());
    EXPECT_NEAR(rates->auroc, auroc(exact, 0.95).value, 1e-4);
    EXPECT_NEAR(rates->average_precision, average_precision(exact), 3e-4);
  }
}

TEST(PixelRates, OverlapOfPerfectMapsIsOneAndOfConstantOnesHalfTheLimit) {
  Random random(stream_key(3, "pixels"));
  const auto rates_of = [&](const std::function<double(double, bool)>& value) {
    const Image image = random_image(random, value);
    PixelSurvey survey;
    survey.add(image.pixels());
    const PixelBins bins(survey);
    PixelCounts counts(bins.size());
    counts.add(bins, image.pixels());
    return *pixel_rates(counts);
  };
  const auto perfect = rates_of([](double u, bool defect) { return u + 2 * defect; });
  EXPECT_NEAR(perfect.aupro_30, 1, 1e-12);
  EXPECT_NEAR(perfect.aupro_05, 1, 1e-12);
  const auto constant = rates_of([](double, bool) { return 7; });
  EXPECT_NEAR(constant.aupro_30, 0.15, 1e-12);  // straight from (0, 0) to (1, 1)
  EXPECT_NEAR(constant.aupro_05, 0.025, 1e-12);
}

TEST(PixelRates, NeedBothKindsOfPixels) {
  PixelCounts counts(3);
  EXPECT_FALSE(pixel_rates(counts));
  counts.normal[1] = 4;
  EXPECT_FALSE(pixel_rates(counts));
  counts.defect[2] = counts.region[2] = 1;
  EXPECT_TRUE(pixel_rates(counts));
}

TEST(PixelBootstrap, CoversTheValueAndNarrowsWithImages) {
  double wider = 2;
  for (const int count : {10, 200}) {
    Random random(stream_key(4, "pixels"));
    std::vector<Image> images;
    for (int i = 0; i < count; ++i) {
      const double strength = random.uniform();
      images.push_back(random_image(
          random, [=](double u, bool defect) { return u + strength * defect; }, i % 2 ? 0.1 : 0));
    }
    PixelSurvey survey;
    for (const auto& image : images) survey.add(image.pixels());
    const PixelBins bins(survey);
    PixelCounts counts(bins.size());
    for (const auto& image : images) counts.add(bins, image.pixels());
    PixelBootstrap bootstrap(bins, counts, 100, 0);
    for (const auto& image : images) bootstrap.add(image.pixels());
    const auto intervals = bootstrap.intervals(0.95);
    ASSERT_TRUE(intervals);
    const auto rates = *pixel_rates(counts);
    for (const auto& [interval, value] : {std::pair{intervals->auroc, rates.auroc},
                                          {intervals->average_precision, rates.average_precision},
                                          {intervals->aupro_30, rates.aupro_30},
                                          {intervals->aupro_05, rates.aupro_05}}) {
      EXPECT_LE(interval.low, value);
      EXPECT_GE(interval.high, value);
    }
    const double width = intervals->auroc.high - intervals->auroc.low;
    EXPECT_GT(width, 0);
    EXPECT_LT(width, 0.6 * wider);
    wider = width;
  }
}

}  // namespace
}  // namespace ae::evaluate::pixel_roc_test
