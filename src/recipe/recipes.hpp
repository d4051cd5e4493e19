// The recipes that the programs bring along: files of configs/, embedded at build time.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "config/document.hpp"

namespace ae::recipe {

std::span<const config::Recipe> recipes();  // each named as its file, without ".json"

// The recipe for such data when there is no config: for a folder, a pattern, and whatever begins as an image or a stack
// of images, one of images; for anything else one of tables. InputError when `data` cannot be read.
std::string_view default_recipe(const std::filesystem::path& data);

// Whether a file whose use nobody tells is a config: one whose name ends in .json, or whose text begins with "{".
bool is_config(const std::filesystem::path& file);

}  // namespace ae::recipe
