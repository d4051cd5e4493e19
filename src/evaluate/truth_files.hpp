// Where the map, mask and boxes of a scored image are: found by the image's id, a path such as test/copper/000.png.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "data/images/mask_files.hpp"

namespace ae::evaluate {

// MAPS/<id without extension>.npy, as ae-score --maps writes it.
std::filesystem::path map_file(const std::filesystem::path& maps, std::string_view id);

// The known masks of images: in a folder, or in a data set of a layout that data::layouts() knows, by its root.
//
// In a folder, an image goes by its id without extension, by the same without its first folder (test/), or by its last
// two parts (MVTec: TYPE/NAME_mask.png); see data::MaskFolder for the names of the masks. In a data set, by its id
// there, or as many of its last parts as name one image only.
class TruthFiles {
 public:
  // InputError when there is no such folder, or it is a data set of images to train on and others to score, without
  // masks.
  explicit TruthFiles(std::filesystem::path truth);

  bool empty() const { return count_ == 0; }
  // To be united; empty when there is none.
  std::vector<std::filesystem::path> masks_of(std::string_view id) const;
  // A warning about masks of none of these images, or, in a data set, of none of its own; "" when each is of one.
  std::string left_over(std::span<const std::string> ids) const;
  // For when there are masks, but none of any image, this one for example.
  InputError fits_none(std::string_view id) const;

 private:
  bool read_data_set();

  std::filesystem::path truth_;
  std::size_t count_ = 0;  // masks
  std::string example_;    // the name of one
  std::string left_over_;  // of a data set
  std::optional<data::MaskFolder> folder_;
  std::map<std::string, std::vector<std::filesystem::path>, std::less<>> by_id_;
  std::map<std::string, const std::vector<std::filesystem::path>*, std::less<>> by_last_parts_;  // null: of several
};

// NAME.csv in BOXES, where NAME is as for masks in a folder; or the last part alone.
std::optional<std::filesystem::path> find_box_file(const std::filesystem::path& boxes, std::string_view id);

// `./test/a.png` and `test/a.png` are the same image.
std::string_view plain_id(std::string_view id);

}  // namespace ae::evaluate
