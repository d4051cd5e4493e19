// The images of a training set at their network size: in memory, or in a file that is mapped, for sets larger than it.
//
// The file's key covers ids and files' bytes of all images and everything that decides what becomes of them (channels,
// resizing, tiles, held-out images, where they are, which messages name), but not what is done to tiles that are drawn.
// Sections: the pixels of one image after another, as in Image; a record of each. The description tells geometry and
// digest. See cache_file.hpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/images/geometry.hpp"
#include "data/images/image.hpp"
#include "data/images/images.hpp"

namespace ae::data {

struct PreparedImage {
  ImageView pixels;
  Size original;  // before resizing
  bool held_out = false;
  std::int64_t number = 0;            // in the source
  std::shared_ptr<const void> owner;  // of the pixels
};

// What is told of a whole set besides its images.
struct ImageSummary {
  Geometry geometry;
  std::string data_sha256;         // of ids, sizes and network pixels
  std::vector<std::string> forms;  // as the files hold them, sorted; see LoadedImage
};

struct PreparedImages {
  ImageSummary summary;
  std::vector<PreparedImage> images;  // in the source's order
};

class ImageTaker {
 public:
  virtual ~ImageTaker() = default;
  // `image` with the channels of the summary's geometry; `number` of the source.
  virtual void take(Image image, Size original, bool held_out, std::int64_t number) = 0;
};
using PrepareImages = std::function<ImageSummary(ImageTaker&, Reporter&)>;

PreparedImages hold_images(Reporter& reporter, const PrepareImages& prepare);

// The same from the file in the folder options.cache, which `prepare` makes when there is none, or, with a warning,
// when it is damaged. Files that cannot be read are left to `prepare`. About 100 bytes of memory an image. RunError
// when the folder cannot be written, InputError when a file changes meanwhile.
PreparedImages open_cached_images(const ImageOptions& options, const ImageSource& source, HoldOut hold_out,
                                  Reporter& reporter, const PrepareImages& prepare);

}  // namespace ae::data
