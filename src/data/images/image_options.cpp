// The declaration of the config section "/data" of images.
#include <array>

#include "data/images/images.hpp"

namespace ae::data {
namespace {

constexpr std::array<config::Choice, 3> kChannels{{
    {"auto", "gray when the first image is gray or its channels are all equal, else what it has"},
    {"gray", "one channel"},
    {"rgb", "red, green and blue"},
}};

constexpr std::array<config::Choice, 2> kUnreadable{{
    {"stop", "an unreadable image is an error"},
    {"skip", "unreadable images are reported and left out"},
}};

}  // namespace

void AugmentOptions::fields(config::Fields& f) {
  f.boolean("flip_horizontal", flip_horizontal, "Mirror every other tile left to right.");
  f.boolean("flip_vertical", flip_vertical, "Mirror every other tile top to bottom.");
  f.boolean("rotate", rotate, "Turn tiles by 0, 90, 180 or 270 degrees; needs square ones.");
  f.integer("shift", shift, {0, 1 << 16}, "Move a tile by up to so many pixels within its image.");
}

void ImageOptions::fields(config::Fields& f) {
  f.path(
      "path", path,
      "A folder of images, a data set's root (MVTec AD, LOCO and AD 2, BTAD, VisA, a folder for each class), a pattern "
      "with * ? **, a .txt list, one image, an IDX, NPY or NPZ file.");
  f.choice("channels", channels, kChannels, "What of an image's colours is used.");
  f.text("array", array, "The member of an NPZ file to read; empty takes the only stack of images.");
  declare_cache(f);
  f.path("labels", labels, "An IDX file with one label an image; empty takes the one that belongs to MNIST's names.");
  f.scalars(
      "normal", normal,
      "The label value or values that mean normal; training uses only images with one of them. Of folders, empty takes "
      "those named as good (good, ok, normal and the like).");
  f.choice("unreadable", unreadable, kUnreadable, "What happens when an image of the training set cannot be read.");
  f.section("resize", resize, "How images are resized.");
  f.section("tile", tile, "How images are cut into the tiles that the network sees.");
  f.section("augment", augment, "What is done to a tile at random each time it is trained on.");
}

}  // namespace ae::data
