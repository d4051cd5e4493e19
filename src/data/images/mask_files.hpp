// Which files are the masks of an image's defects.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ae::data {

// A folder of masks, read once.
//
// Of an image that goes by the name N (a path without extension), the mask is the first that there is of N_mask, N_gt,
// N_label and N, with the extension of an image or .npy; or, of a name with a folder in it, all that lie in a folder N
// (MVTec LOCO: logical_anomalies/000/000.png, 001.png ...). Names are compared as written first, then without regard to
// case; PNG and NPY come before others.
class MaskFolder {
 public:
  explicit MaskFolder(const std::filesystem::path& folder);
  bool empty() const { return files_ == 0; }
  std::size_t files() const { return files_; }
  // By the first of these names that has a mask; several masks are to be united. Empty when there is none.
  std::vector<std::filesystem::path> find(std::span<const std::string> names) const;
  // One line about the masks that are of no image, with these names of all images; "" when each is of one. A mask that
  // another one goes before, 0_mask.npy beside 0_mask.png, is still its image's.
  std::string left_over(std::span<const std::string> names) const;

 private:
  std::vector<std::filesystem::path> find(const std::string& name, bool as_written) const;

  std::filesystem::path folder_;
  std::size_t files_ = 0;
  std::map<std::string, std::filesystem::path, std::less<>> by_name_, by_lower_name_;
  std::map<std::string, std::vector<std::filesystem::path>, std::less<>> in_folder_;  // lower case
};

}  // namespace ae::data
