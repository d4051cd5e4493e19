// Where the map, mask and boxes of a scored image are: found by the image's id, a path such as test/copper/000.png.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ae::evaluate {

// MAPS/<id without extension>.npy, as ae-score --maps writes it.
std::filesystem::path map_file(const std::filesystem::path& maps, std::string_view id);

// The first that exists of NAME_mask.png, NAME.png, NAME_mask.npy and NAME.npy in TRUTH, where NAME is the id without
// its extension, the same without its first folder (test/), or its last two parts (MVTec: TYPE/NAME_mask.png).
std::optional<std::filesystem::path> find_mask_file(const std::filesystem::path& truth, std::string_view id);

// Likewise NAME.csv in BOXES; NAME may also be the last part alone.
std::optional<std::filesystem::path> find_box_file(const std::filesystem::path& boxes, std::string_view id);

// `./test/a.png` and `test/a.png` are the same image.
std::string_view plain_id(std::string_view id);

}  // namespace ae::evaluate
