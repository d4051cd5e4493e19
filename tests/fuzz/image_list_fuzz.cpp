// Image lists from any bytes: unique ids in byte order, which read back to the same list, or one clear error.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "data/images/image_files.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto files = ae::data::parse_image_list({reinterpret_cast<const char*>(data), size}, "list.txt", "folder");
    std::string again = "\xEF\xBB\xBF";  // so that a name that begins with one is not taken for it
    for (const auto& file : files) again += file.id + '\n';
    const auto twice = ae::data::parse_image_list(again, "list.txt", "folder");
    require(twice.size() == files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
      require(files[i].id == twice[i].id && files[i].path == twice[i].path);
      require(i == 0 || files[i - 1].id < files[i].id);
      require(ae::data::has_image_extension(files[i].path));
    }
  } catch (const ae::Error& error) {
    require(error.lines().front().starts_with("list.txt:"));
  }
  return 0;
}
