// Which image files a path means: a folder, an MVTec root, a pattern, a list file or one image.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ae::data {

enum class Purpose { training, scoring };

struct ImageFile {
  std::filesystem::path path;
  std::string id;     // relative, "/" between folders; unique; the order of files is the byte order of ids
  std::string label;  // of the MVTec convention: the folder below "train" or "test"; else ""
};

// folder   every image below it
// MVTec    a folder with train/good: training takes train/good, scoring takes test; its folder "test" alone is known
//          too
// pattern  * and ? within names, ** for any folders; ids are relative to the folder before the first wildcard
// list     a .txt file: one path a line, relative to the list; blank lines and lines that begin with # are skipped; the
//          path as written is the id
// image    the file; its name is the id
// Hidden files and folders are skipped, links to folders are not followed. InputError when nothing is found, saying
// what was. Whether the files can be read shows when they are loaded.
std::vector<ImageFile> list_image_files(const std::filesystem::path& path, Purpose purpose);

// The lines of a list file; `folder` is where its paths start. InputError naming list and line.
std::vector<ImageFile> parse_image_list(std::string_view text, const std::string& name,
                                        const std::filesystem::path& folder);

bool has_image_extension(const std::filesystem::path& path);  // .png .jpg .jpeg .bmp .tif .tiff, in any case

}  // namespace ae::data
