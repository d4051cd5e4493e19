// Image lists, and VisA's tables of images, from any bytes: unique ids in byte order, which read back to the same list,
// or one clear error.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "data/images/folders.hpp"
#include "data/images/image_files.hpp"
#include "data/images/layouts.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void read_list(std::string_view text) {
  const auto files = ae::data::parse_image_list(text, "list.txt", "folder");
  std::string again = "\xEF\xBB\xBF";  // so that a name that begins with one is not taken for it
  for (const auto& file : files) again += file.id + '\n';
  const auto twice = ae::data::parse_image_list(again, "list.txt", "folder");
  require(twice.size() == files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    require(files[i].id == twice[i].id && files[i].path == twice[i].path);
    require(i == 0 || files[i - 1].id < files[i].id);
    require(ae::data::has_image_extension(files[i].path));
  }
}

std::string cell(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

void read_split(std::string_view text) {
  const auto rows = ae::data::parse_split(text, "list.txt");
  std::string again = "object,split,label,image,mask\n";
  for (const auto& row : rows) {
    require(ae::data::has_image_extension(row.image));
    again += cell(row.object) + (row.training ? ",train," : ",test,") + cell(row.label) + ',' + cell(row.image) + ',' +
             cell(row.mask) + '\n';
  }
  require(ae::data::parse_split(again, "list.txt") == rows);
}

template <typename Read>
void one_line_of_error(Read read, std::string_view text) {
  try {
    read(text);
  } catch (const ae::Error& error) {
    require(error.lines().size() == 1 && error.lines().front().starts_with("list.txt:"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  one_line_of_error(read_list, text);
  one_line_of_error(read_split, text);
  return 0;
}
