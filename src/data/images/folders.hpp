// What lies below a folder of images, and what names of folders and files mean.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ae::data {

bool has_image_extension(const std::filesystem::path& path);  // .png .jpg .jpeg .bmp .tif .tiff, in any case
inline constexpr std::string_view kImageKinds = "PNG, JPEG, BMP or TIFF";

std::string lower_case(std::string_view text);                                               // ASCII letters alone
std::string lower_extension(const std::filesystem::path& path);                              // ".png"
std::string id_below(const std::filesystem::path& path, const std::filesystem::path& root);  // "/" between folders
std::string without_extension(std::string_view id);  // "copper/000" of copper/000.png
std::string first_part(std::string_view id);         // "good" of good/0.png; "" of 0.png

struct FolderContent {
  std::vector<std::filesystem::path> images;  // by name; links that lead nowhere, too
  std::vector<std::filesystem::path> others;
  std::vector<std::filesystem::path> masks;  // folders of masks that were not entered, and masks beside their images
};

// All visible files below a folder, sorted. Links are followed; a folder that is reached twice is entered once, by its
// own name rather than by a link's. Unless asked for, masks are not among the images: folders of them, and NAME_mask,
// NAME_gt and NAME_label beside an image NAME. InputError for a folder that cannot be read.
FolderContent content_below(const std::filesystem::path& folder, bool enter_masks = false);

// What was taken for masks, in a line; "" where nothing was.
std::string masks_line(const FolderContent& content, const std::filesystem::path& root);

bool may_hold_an_image(const std::filesystem::path& file);  // of `others`: what is no text

// What a mask's name has behind its image's, in lower case; those that come first are asked for first.
inline constexpr std::string_view kMaskEndings[]{"_mask", "_gt", "_label"};

// Every file that a mask may be: of image_extension, or .npy.
std::vector<std::filesystem::path> mask_files_below(const std::filesystem::path& folder);

// Visible folders right below, sorted; links to folders, too.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& folder);
bool has_images_right_below(const std::filesystem::path& folder);

// The first of these names (lower case) that is a folder below, in whatever case it is written; else an empty path.
std::filesystem::path child(const std::filesystem::path& folder, std::span<const std::string_view> names);

// Names of folders of masks, in lower case; those that come first are asked for first.
inline constexpr std::string_view kMaskFolders[]{"ground_truth", "groundtruth", "gt", "masks", "mask"};

enum class FolderMeaning { unknown, good, defective, masks };
// What a folder of images holds, by common names of one: "good", "ok_front", "no_defect"; "ko", "def_front",
// "anomaly"; "ground_truth".
FolderMeaning meaning_of_folder(std::string_view name);

// Whether these names differ in numbers and single letters alone (camera_1, camera_2), as parts of one set do.
bool are_numbered(std::span<const std::string> names);

}  // namespace ae::data
