// How public data sets lay images out: which ones are trained on, which scored, the label and the masks of each.
//
// Adding one: a function that recognises the folder and one that lists it, here or in a file of its own, and one line
// in layouts().
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/images/image_files.hpp"

namespace ae::data {

struct Layout {
  std::string_view name;
  bool divided;  // into images to train on and others to score
  bool (*recognises)(const std::filesystem::path& folder);
  // Training: images that are good, or whose label is one of `normal` if that is given, without masks; every image of
  // the training part with its label when none has such a label. Scoring: labels and masks. In no order. InputError
  // when there are no images.
  ImageListing (*list)(const std::filesystem::path& folder, Purpose purpose, std::span<const std::string> normal);
};

std::span<const Layout> layouts();  // the first that recognises a folder is its layout

const Layout* layout_of(const std::filesystem::path& folder);  // null: none

// One with folders that `normal` names.
bool has_classes(const std::filesystem::path& folder, std::span<const std::string> normal);
ImageListing list_classes(const std::filesystem::path& folder, Purpose purpose, std::span<const std::string> normal);

// Every folder with its name as its images' label, whatever the names mean: those right below, or, beside a folder of
// images to test with, those of the training part. InputError for images that lie beside the folders, or none below.
ImageListing list_class_folders(const std::filesystem::path& folder);

// The test part of a split layout, which is given alone: its folders are labels there, too.
bool is_test_part(const std::filesystem::path& folder);
ImageListing list_test_part(const std::filesystem::path& folder, Purpose purpose, std::span<const std::string> normal);

// A row of VisA's split_csv/1cls.csv. Paths are relative to the data set's root.
struct SplitRow {
  std::string object;
  bool training = false;
  std::string label;
  std::string image;
  std::string mask;  // "" = none
  bool operator==(const SplitRow&) const = default;
};
// InputError naming file and line.
std::vector<SplitRow> parse_split(std::string_view text, const std::string& name);

}  // namespace ae::data
