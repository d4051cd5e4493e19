// Which class of a classifier each image shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/reporter.hpp"

namespace ae::victim {

// Labels that come from a file beside the images: IDX (one dimension of bytes), or a table with the column "label", and
// "id" or as many rows as there are images.
class LabelFile {
 public:
  // InputError for a file that is neither, or holds an id twice.
  LabelFile(const std::filesystem::path& path, Reporter& reporter);
  // InputError when there are labels for another number of images, where they go by their order.
  void check_count(std::int64_t images) const;
  // Of the `number`-th image; nothing where there is none.
  std::optional<std::string> of(const std::string& id, std::int64_t number) const;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::vector<std::string> in_order_;
  std::unordered_map<std::string, std::string> by_id_;
  bool has_ids_ = false;
};

// The class of a label: its place in `names`; or the whole number that it is, without names and where none of them is a
// number. InputError for another one, with `where`, whose label it is.
std::int64_t class_of(const std::string& label, const std::vector<std::string>& names, std::int64_t classes,
                      const std::string& where);

// The first of an image's folders, "cat" of the id "cat/0.png", that is one of the names; "" where none is.
std::string folder_class(const std::string& id, const std::vector<std::string>& names);

// The label of a class: see class_of().
std::string class_name(std::int64_t number, const std::vector<std::string>& names);

}  // namespace ae::victim
