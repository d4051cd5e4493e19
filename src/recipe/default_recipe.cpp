#include <system_error>

#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/bytes/source.hpp"
#include "recipe/recipes.hpp"

namespace ae::recipe {
namespace {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// A file that must not be read twice, as a pipe, is never looked at.
bool can_be_looked_at(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool holds_images(const fs::path& path) {
  auto source = data::ByteSource::open(path);
  const std::string head = data::read_head(*source);
  if (data::begins_npy(head)) {
    constexpr std::size_t kTable = 2;
    return data::read_npy_header(*data::with_prefix(head, std::move(source))).shape.size() > kTable;
  }
  const data::FileType* found = data::recognise(head);
  return found != nullptr && found->kind == "images";
}

}  // namespace

std::string_view default_recipe(const fs::path& data) {
  const bool pattern = data.string().find_first_of("*?") != std::string::npos && !is_there(data);
  const bool images = is_folder(data) || pattern || (can_be_looked_at(data) && holds_images(data));
  return data::recipe_for(images ? "images" : "table");
}

bool is_config(const fs::path& file) {
  if (lower_case(file.extension().string()) == ".json" || file == "-") return true;
  if (!can_be_looked_at(file)) return false;
  const std::string head = data::read_head(*data::ByteSource::open(file));
  std::string_view text = head;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const auto begin = text.find_first_not_of(" \t\r\n");
  return begin != std::string_view::npos && text[begin] == '{';
}

}  // namespace ae::recipe
