// Which image files a path means: a folder, the root of a known data set, a pattern, a list file or one image.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/reporter.hpp"

namespace ae::data {

// classes: training of what tells kinds of images apart, all of which are taken.
enum class Purpose { training, classes, scoring };

struct ImageFile {
  std::filesystem::path path;
  std::string id;     // relative, "/" between folders; unique; the order of files is the byte order of ids
  std::string label;  // of a known layout: what the image shows ("good", "scratch"); else ""
  std::vector<std::filesystem::path> masks;  // of a known layout, when scoring: of its defects, to be united
};

// What a user should hear of an input besides its images.
struct ImageNotes {
  std::vector<std::string> lines;    // what was found out about it
  std::vector<std::string> unknown;  // files below it that are not looked at, though they may hold images; as ids
  std::vector<std::string> texts;    // and others, which do not
  // Of masks that were found beside the images, for who makes use of masks: see MaskFolder::left_over().
  std::string masks_left_over;

  // Once at the beginning, and once at the end.
  void tell_lines(Reporter& reporter) const;
  void tell_left_out(Reporter& reporter) const;
  // Of `others` below `root`.
  void add(std::span<const std::filesystem::path> others, const std::filesystem::path& root);
};

struct ImageListing {
  std::vector<ImageFile> files;
  ImageNotes notes;
};

// folder   every image below it, but masks (see MaskFolder); when training, InputError for a folder that holds
//          defective images, or several kinds of images of which none is named as good; of classes: see
//          list_class_folders()
// layout   a folder that one of layouts() recognises, or with folders named in `normal`: its folders' names are labels,
//          and training takes the good ones, or those named in `normal`
// pattern  * and ? within names, ** for any folders; ids are relative to the folder before the first wildcard
// list     a .txt file: one path a line, relative to the list; blank lines and lines that begin with # are skipped; the
//          path as written is the id
// image    the file; its name is the id
// Hidden files and folders are skipped. Links are followed; a folder that they reach twice is taken once. InputError
// when nothing is found, saying what was. Whether the files can be read shows when they are loaded.
ImageListing list_image_files(const std::filesystem::path& path, Purpose purpose,
                              std::span<const std::string> normal = {});

// The lines of a list file; `folder` is where its paths start. InputError naming list and line.
std::vector<ImageFile> parse_image_list(std::string_view text, const std::string& name,
                                        const std::filesystem::path& folder);

}  // namespace ae::data
