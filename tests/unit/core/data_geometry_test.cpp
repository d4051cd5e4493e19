#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "config/document.hpp"
#include "data/images/geometry.hpp"
#include "data/images/image.hpp"
#include "data/images/images.hpp"
#include "support/errors.hpp"

namespace ae::data::geometry_test {
namespace {

Geometry tiled(std::int64_t size, std::int64_t stride, std::int64_t margin) {
  Geometry geometry;
  geometry.tile.size = geometry.height = geometry.width = size;
  geometry.tile.stride = stride;
  geometry.tile.margin = margin;
  return geometry;
}

TEST(Geometry, EveryPixelIsAnsweredByOneTileThatSeesMarginAroundIt) {
  Random random(7);
  for (int trial = 0; trial < 300; ++trial) {
    const auto size = static_cast<std::int64_t>(4 + random.below(30));
    const auto margin = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>((size + 1) / 2)));
    const auto stride = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(size - 2 * margin + 1)));
    const Size image{static_cast<std::int64_t>(1 + random.below(100)),
                     static_cast<std::int64_t>(1 + random.below(100))};
    const Geometry geometry = tiled(size, stride, margin);
    std::vector<config::Problem> problems;
    geometry.tile.check(problems);
    ASSERT_TRUE(problems.empty()) << problems.front().message;
    std::vector<int> covered(static_cast<std::size_t>(image.height * image.width), 0);
    for (const Placement& tile : geometry.tiles(image)) {
      EXPECT_GE(tile.y, 0);
      EXPECT_GE(tile.x, 0);
      EXPECT_LE(tile.y, std::max<std::int64_t>(0, image.height - size));
      EXPECT_LE(tile.x, std::max<std::int64_t>(0, image.width - size));
      const Box& keep = tile.keep;
      for (std::int64_t y = keep.y; y < keep.y + keep.height; ++y) {
        for (std::int64_t x = keep.x; x < keep.x + keep.width; ++x) {
          ++covered[static_cast<std::size_t>(y * image.width + x)];
          // Far enough from the tile's border, but where that is the image's.
          EXPECT_TRUE(y - tile.y >= margin || tile.y == 0);
          EXPECT_TRUE(x - tile.x >= margin || tile.x == 0);
          EXPECT_TRUE(tile.y + size - 1 - y >= margin || tile.y + size >= image.height);
          EXPECT_TRUE(tile.x + size - 1 - x >= margin || tile.x + size >= image.width);
        }
      }
    }
    EXPECT_EQ(std::count(covered.begin(), covered.end(), 1), image.height * image.width);
  }
}

TEST(Geometry, TheLastTileEndsAtTheImagesEnd) {
  const auto tiles = tiled(64, 0, 8).tiles({320, 150});
  EXPECT_EQ(tiles.back().y, 320 - 64);
  EXPECT_EQ(tiles.back().x, 150 - 64);
  EXPECT_EQ(tiles[0].y, 0);
  EXPECT_EQ(tiles[1].x, 48);
  EXPECT_EQ(tiles.size(), 7u * 3u);
}

TEST(Geometry, WithoutTilesTheImageIsItsOwn) {
  const auto tiles = Geometry().tiles({30, 40});
  ASSERT_EQ(tiles.size(), 1u);
  EXPECT_EQ(tiles[0].keep, (Box{0, 0, 30, 40}));
}

TEST(Geometry, ResizesByScaleLongSideOrFixedSize) {
  Geometry geometry;
  EXPECT_EQ(geometry.network_size({300, 200}), (Size{300, 200}));
  geometry.resize.scale = 0.5;
  EXPECT_EQ(geometry.network_size({301, 200}), (Size{151, 100}));
  EXPECT_EQ(geometry.network_size({1, 1}), (Size{1, 1}));
  geometry.resize.scale = 1;
  geometry.resize.long_side = 64;
  EXPECT_EQ(geometry.network_size({640, 320}), (Size{64, 32}));
  geometry.resize.long_side = 0;
  geometry.resize.height = 7;
  geometry.resize.width = 9;
  EXPECT_EQ(geometry.network_size({640, 320}), (Size{7, 9}));
}

TEST(Geometry, BoxesOfTheNetworkHoldTheirOriginalPixels) {
  Random random(3);
  const Geometry geometry;
  for (int trial = 0; trial < 500; ++trial) {
    const auto draw = [&](std::int64_t bound) {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(bound)));
    };
    const Size network{1 + draw(50), 1 + draw(50)};
    const Size original{1 + draw(200), 1 + draw(200)};
    const std::int64_t y = draw(network.height);
    const std::int64_t x = draw(network.width);
    const Box box{y, x, 1 + draw(network.height - y), 1 + draw(network.width - x)};
    const Box mapped = geometry.to_original(box, network, original);
    EXPECT_GE(mapped.y, 0);
    EXPECT_LE(mapped.y + mapped.height, original.height);
    EXPECT_GT(mapped.height, 0);
    EXPECT_GT(mapped.width, 0);
    const double up = static_cast<double>(original.height) / static_cast<double>(network.height);
    EXPECT_EQ(mapped.y, std::floor(static_cast<double>(box.y) * up + 1e-9));
    EXPECT_NEAR(static_cast<double>(mapped.y + mapped.height), static_cast<double>(box.y + box.height) * up, 1);
  }
  EXPECT_EQ(geometry.to_original({10, 20, 5, 5}, {320, 320}, {640, 640}), (Box{20, 40, 10, 10}));
}

std::string complaint(const std::string& json) {
  ImageOptions options;
  return test::error_of<UsageError>([&] { config::read_text(options, json, "test", "."); });
}

TEST(Geometry, RefusesSettingsThatContradictEachOther) {
  EXPECT_EQ(complaint(R"({"tile": {"size": 64, "margin": 8, "stride": 48}})"), "no error");
  EXPECT_NE(complaint(R"({"tile": {"size": 64, "margin": 8, "stride": 49}})").find("at most 48"), std::string::npos);
  EXPECT_NE(complaint(R"({"tile": {"size": 64, "margin": 32}})").find("/tile/margin"), std::string::npos);
  EXPECT_NE(complaint(R"({"tile": {"margin": 3}})").find("\"size\""), std::string::npos);
  EXPECT_NE(complaint(R"({"resize": {"scale": 0.5, "long_side": 64}})").find("several ways"), std::string::npos);
  EXPECT_NE(complaint(R"({"resize": {"height": 64}})").find("both"), std::string::npos);
}

TEST(Geometry, ReadsBackFromItsJson) {
  Geometry geometry = tiled(64, 40, 8);
  geometry.channels = 3;
  geometry.resize.scale = 0.3;
  Geometry again;
  config::read_text(again, config::to_json(geometry, config::Paths::as_written), "test", ".");
  EXPECT_EQ(again.channels, 3);
  EXPECT_EQ(again.resize.scale, 0.3);
  EXPECT_EQ(again.tile.stride, 40);
  for (const char* hostile : {R"({"height": -1, "width": 5})", R"({"height": 64, "width": 64, "tile": {"size": 32}})",
                              R"({"height": 64, "width": 64, "channels": 100000})", "[]"}) {
    Geometry damaged;
    EXPECT_THROW(config::read_text(damaged, hostile, "test", "."), UsageError) << hostile;
  }
}

Image counting(PixelType type, std::int64_t channels, std::int64_t height, std::int64_t width) {
  Image image{channels, height, width, type, {}};
  for (std::int64_t i = 0; i < channels * height * width; ++i) {
    const auto add = [&](auto value) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
      image.bytes.insert(image.bytes.end(), bytes, bytes + sizeof value);
    };
    if (type == PixelType::u8) add(static_cast<std::uint8_t>(i));
    if (type == PixelType::u16) add(static_cast<std::uint16_t>(257 * i));
    if (type == PixelType::f32) add(static_cast<float>(i) / 255);
  }
  return image;
}

TEST(Image, PixelsOfEveryTypeAreScaledByItsMaximum) {
  for (const auto type : {PixelType::u8, PixelType::u16, PixelType::f32}) {
    const auto floats = to_floats(counting(type, 2, 3, 4));
    ASSERT_EQ(floats.size(), 24u);
    for (std::size_t i = 0; i < floats.size(); ++i) EXPECT_FLOAT_EQ(floats[i], static_cast<float>(i) / 255);
  }
}

TEST(Image, ATileBeyondTheImageRepeatsItsBorderUnobserved) {
  const Image image = counting(PixelType::u8, 2, 3, 4);
  std::vector<float> values(2 * 4 * 4), observed(values.size());
  copy_tile(image, 1, 2, {4, 4}, values.data(), observed.data());
  for (std::int64_t c = 0; c < 2; ++c) {
    for (std::int64_t y = 0; y < 4; ++y) {
      for (std::int64_t x = 0; x < 4; ++x) {
        const auto i = static_cast<std::size_t>((c * 4 + y) * 4 + x);
        const std::int64_t row = std::min<std::int64_t>(1 + y, 2);
        const std::int64_t column = std::min<std::int64_t>(2 + x, 3);
        EXPECT_FLOAT_EQ(values[i], static_cast<float>((c * 3 + row) * 4 + column) / 255);
        EXPECT_EQ(observed[i], 1 + y < 3 && 2 + x < 4 ? 1 : 0);
      }
    }
  }
}

}  // namespace
}  // namespace ae::data::geometry_test
